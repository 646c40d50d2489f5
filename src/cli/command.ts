/**
 * A command line as a shell would split it, without a shell: quotes and backslashes, nothing else.
 * Pure. The one module that imports shlex. May import: cli/place.
 * @module
 */
import { split } from "shlex";
import { problem, show } from "./place.ts";

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
}

const SHELL_ONLY = ["|", "||", "&", "&&", ";", ">", ">>", "<"];

/** @throws {LiveError} "config" without a place. */
export function parseCommand(text: string): Command {
  const [program, ...args] = wordsOf(text);
  if (program === undefined || program === "") {
    throw problem("names no program; write it like /usr/local/bin/app --port 8080");
  }
  if (text.includes("\0")) throw problem("has a NUL byte; remove it");
  const operator = args.find((word) => SHELL_ONLY.includes(word));
  if (operator !== undefined) {
    throw problem(`is run without a shell, which ${show(operator)} needs; write sh -c '…'`);
  }
  return { program, args };
}

function wordsOf(text: string): string[] {
  try {
    return split(text);
  } catch { // its errors are Error: "Got EOF while …"
    throw problem(`has a quote that does not end, in ${show(text)}; close it`);
  }
}
