/**
 * Ascending numbers as runs: block numbers as text in a URL ("0-3,7"), page numbers as binary in a
 * request's body (u32 first, u32 count, little-endian). No I/O. May import: base/.
 * @module
 */
import { type Bytes, viewOf } from "../base/bytes.ts";
import { LiveError } from "../base/errors.ts";
import { MAX_PGNO } from "../base/types.ts";

interface Run {
  readonly first: number;
  readonly count: number;
}

function runsOf(ascending: readonly number[]): Run[] {
  const runs: Run[] = [];
  for (let at = 0; at < ascending.length;) {
    const first = ascending[at]!;
    let count = 1;
    while (ascending[at + count] === first + count) count++;
    runs.push({ first, count });
    at += count;
  }
  return runs;
}

/** Numbers above `most` are dropped before they take memory. */
function expand(runs: readonly Run[], most: number): number[] {
  const numbers: number[] = [];
  let last = -1;
  for (const { first, count } of runs) {
    if (first <= last || count < 1 || first + count - 1 > MAX_PGNO) throw bad("not ascending");
    last = first + count - 1;
    for (let number = first; number <= Math.min(last, most); number++) numbers.push(number);
  }
  return numbers;
}

/** "0-3,7"; "" for none. */
export function formatRanges(ascending: readonly number[]): string {
  return runsOf(ascending)
    .map(({ first, count }) => count === 1 ? `${first}` : `${first}-${first + count - 1}`)
    .join(",");
}

/** Those up to `most`. @throws {LiveError} "bad_request". */
export function parseRanges(text: string, most: number): number[] {
  if (text === "") return [];
  return expand(
    text.split(",").map((part) => {
      const match = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(part);
      if (match === null) throw bad(`"${part}" is no range`);
      const first = Number(match[1]);
      return { first, count: Number(match[2] ?? match[1]) - first + 1 };
    }),
    most,
  );
}

export function encodeRuns(ascending: readonly number[]): Bytes {
  const runs = runsOf(ascending);
  const bytes = new Uint8Array(8 * runs.length);
  const view = viewOf(bytes);
  for (const [nth, { first, count }] of runs.entries()) {
    view.setUint32(8 * nth, first, true);
    view.setUint32(8 * nth + 4, count, true);
  }
  return bytes;
}

/** Page numbers from 1 to `most`. @throws {LiveError} "bad_request". */
export function decodeRuns(bytes: Bytes, most: number): number[] {
  if (bytes.length % 8 !== 0) throw bad("the body is not a list of runs");
  const view = viewOf(bytes);
  const runs: Run[] = [];
  for (let at = 0; at < bytes.length; at += 8) {
    const first = view.getUint32(at, true);
    if (first === 0) throw bad("there is no page 0");
    runs.push({ first, count: view.getUint32(at + 4, true) });
  }
  return expand(runs, most);
}

function bad(what: string): LiveError {
  return new LiveError("bad_request", `Cannot read the list of numbers: ${what}`);
}
