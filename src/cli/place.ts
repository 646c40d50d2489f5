/**
 * Where something stands in a config file, and the one form of every complaint about it:
 * `FILE:LINE:COLUMN: key: what is wrong; what to do`, one sentence. May import: base/.
 * @module
 */
import { LiveError, messageOf } from "../base/errors.ts";

export interface Place {
  readonly file: string;
  /** From 1, like the column. */
  readonly line: number;
  readonly column: number;
}

const MOST_SHOWN = 60;

/** `key` is dotted ("dbs[].path"); undefined for what concerns the whole file. */
export function problemAt(place: Place, key: string | undefined, what: string): LiveError {
  const { file, line, column } = place;
  const about = key === undefined ? "" : `${key}: `;
  return new LiveError("config", `${file}:${line}:${column}: ${about}${what}`, {
    file,
    line,
    column,
  });
}

/** Calls `parse`; a complaint about the value becomes one about this place. */
export function parseAt<T>(place: Place, key: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    throw problemAt(place, key, error.message);
  }
}

/** The same for a flag or an argument, which has a name but no line. */
export function parseNamed<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    throw new LiveError("config", `${name}: ${messageOf(error)}`);
  }
}

/** A complaint about a value, without a place yet. */
export function problem(what: string): LiveError {
  return new LiveError("config", what);
}

/** Somebody else's text inside a sentence: quoted, on one line, not too long. */
export function show(text: string): string {
  const cut = text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text;
  return JSON.stringify(cut);
}

/** A key that may be anything, as it stands in a sentence. */
export function showKey(key: string): string {
  return /^[\w.[\]-]{1,60}$/.test(key) ? key : show(key);
}
