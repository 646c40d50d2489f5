/**
 * Values of single keys: text in, checked value out. Each complaint is a LiveError "config" without
 * a place ("must be …, not …; write …"); the caller adds file and line. No state, no I/O.
 * May import: base/, node/options, cli/place.
 * @module
 */
import { formatDuration, parseDuration } from "../base/duration.ts";
import { COPY_BYTES_A_STREAM } from "../node/options.ts";
import { problem, show } from "./place.ts";

export interface Range {
  readonly least: number;
  readonly most: number;
}

/** What a file that the config names must hold. */
export type SecretKind = "token" | "certificate" | "key" | "ca";

/** What relative paths and `~` mean. */
export interface Surroundings {
  /** Complains about a file that does not hold what it must. Absent: nobody looks. */
  readonly checkFile?: (kind: SecretKind, path: string) => void;
  /** The number of a user or group; undefined if there is none of this name. */
  readonly idOf?: (kind: "user" | "group", name: string) => number | undefined;
  readonly cwd: string;
  /** Undefined where HOME is not set, as under a bare systemd unit. */
  readonly home: string | undefined;
}

export function parseInteger(text: string, range: Range): number {
  if (!/^(0|[+-]?[1-9][0-9]*)$/.test(text)) {
    throw problem(`must be a whole number, not ${show(text)}; write it in digits alone`);
  }
  return inRange(Number(text), text, range, String);
}

/** Go's form, "1m30s", or a plain 0; in milliseconds. */
export function parseRangedDuration(text: string, range: Range): number {
  if (/^[0-9]+$/.test(text) && text !== "0") {
    throw problem(`has no unit; write ${text.slice(0, 9)}ms, ${text.slice(0, 9)}s or the like`);
  }
  const ms = parseDuration(text);
  if (ms !== undefined) return inRange(ms, text, range, formatDuration);
  throw problem(`must be a time, not ${show(text)}; write it like 10ms, 1m or 1m30s`);
}

function inRange(
  value: number,
  text: string,
  { least, most }: Range,
  format: (value: number) => string,
): number {
  if (value >= least && value <= most) return value;
  const side = value < least ? `at least ${format(least)}` : `at most ${format(most)}`;
  throw problem(`must be ${side}, not ${text.slice(0, 20)}; change it or remove the line`);
}

const UNIT_BYTES: Readonly<Record<string, number>> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9 };

/** Bytes a second: "256KB/s", "50MB/s", or a plain 0. */
export function parseRate(text: string): number {
  if (text === "0") return 0;
  const [, number, unit] = text.match(/^([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(B|KB|MB|GB)\/s$/) ?? [];
  if (number !== undefined) return Math.round(Number(number) * UNIT_BYTES[unit!]!);
  throw problem(`must be bytes a second, not ${show(text)}; write it like 256KB/s, 50MB/s or 0`);
}

/** Bytes a second; 0: no limit. Each of `streams` copies must hear something each second. */
export function parseCopyRate(text: string, streams: number): number {
  const bytes = parseRate(text);
  const least = streams * COPY_BYTES_A_STREAM;
  const shown = least < 1e6 ? `${least / 1e3}KB/s` : `${least / 1e6}MB/s`;
  if (bytes === 0 || bytes >= least) return bytes;
  throw problem(
    `is ${text}, too little for ${streams} replicas (limits.streams) that give up without a byte ` +
      `for 3s; write ${shown} or more, lower limits.streams, or write 0 for no limit`,
  );
}

export function parseChoice<T extends string>(text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  const list = `${choices.slice(0, -1).join(", ")} or ${choices.at(-1)}`;
  throw problem(`cannot be ${show(text)}; write ${list}`);
}

export function parseBoolean(text: string): boolean {
  return parseChoice(text, ["true", "false"]) === "true";
}

/** A user or group, by name or number. */
export function parseId(text: string, idOf: (name: string) => number | undefined): number {
  if (/^[0-9]{1,10}$/.test(text)) return parseInteger(text, { least: 0, most: 4_294_967_294 });
  const id = idOf(text);
  if (id !== undefined) return id;
  throw problem(`names ${show(text)}, whom this machine does not know; write a name or a number`);
}

/** Permissions as chmod takes them. */
export function parseMode(text: string): number {
  if (/^0?[0-7]{3}$/.test(text)) {
    const mode = Number.parseInt(text, 8);
    if ((mode & 0o600) === 0o600) return mode;
    throw problem(`is ${show(text)}, but the owner must read and write; write it like "0640"`);
  }
  throw problem(`cannot be ${show(text)}; write permissions in quotes like "0640"`);
}

/** Goes into an HTTP header as it stands. The sentence never shows it. */
export function parseToken(text: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  const what = text === ""
    ? "is empty"
    : /\s/.test(text)
    ? "contains a space or a line break"
    : "contains a character that is not ASCII";
  throw problem(`${what}; a token is made of printable ASCII characters without spaces`);
}

/**
 * A path on this machine, absolute and without `.` and `..`; links are not resolved. `of` is what
 * lies there, for the sentences.
 */
export function resolvePath(
  text: string,
  { cwd, home }: Surroundings,
  of = "a database file",
): string {
  checkPath(text, of);
  if (/^(https?|file|sqlite|s3):/i.test(text)) {
    throw problem(`must be a path, not the URL ${showUrl(text)}; write the path alone`);
  }
  if (!text.startsWith("~")) return normalise(text.startsWith("/") ? text : `${cwd}/${text}`, of);
  if (!/^~(\/|$)/.test(text)) {
    throw problem(`cannot tell whose home ${show(text)} means; write an absolute path`);
  }
  if (home === undefined || home === "") {
    throw problem("begins with ~, but HOME is not set; write an absolute path");
  }
  return normalise(`${home}${text.slice(1)}`, of);
}

/** The path of a file that holds a secret or a certificate, and that it does. */
export function secretPath(text: string, kind: SecretKind, surroundings: Surroundings): string {
  const path = resolvePath(text, surroundings, `the file of the ${kind}`);
  surroundings.checkFile?.(kind, path);
  return path;
}

/** A path on another machine: nothing here can make it absolute. */
export function absolutePath(text: string): string {
  checkPath(text);
  if (text.startsWith("/")) return normalise(text);
  throw problem(
    `must be absolute, as it is a path on the upstream node, not ${show(text)}; begin it with /`,
  );
}

/** A URL inside a sentence, without what may be a password. */
export function showUrl(url: string): string {
  return show(url.replace(/\/\/[^/]*@/, "//…@").replace(/[?#].*$/s, ""));
}

function checkPath(text: string, of = "a database file"): void {
  if (text === "") throw problem(`is empty; write the path of ${of}`);
  if (text.includes("\0")) throw problem("contains a NUL; write a path");
}

function normalise(path: string, of = "a database file"): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  if (parts.length === 0) throw problem(`is the directory /; write the path of ${of}`);
  return `/${parts.join("/")}`;
}
