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
    if (first <= last) throw bad("not ascending");
    last = lastOf({ first, count });
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

/** Page numbers from 1 to `most` out of a body that comes in chunks: what is above takes no memory. */
export class RunsDecoder {
  readonly #most: number;
  readonly #numbers: number[] = [];
  /** Bytes of a run that is not whole yet. */
  readonly #rest = new Uint8Array(8);
  readonly #view = viewOf(this.#rest);
  #have = 0;
  #last = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Numbers so far. */
  get length(): number {
    return this.#numbers.length;
  }

  /** @throws {LiveError} "bad_request". */
  take(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + 8 - this.#have);
      this.#rest.set(part, this.#have);
      this.#have += part.length;
      at += part.length;
      if (this.#have < 8) return;
      this.#have = 0;
      this.#run(this.#view.getUint32(0, true), this.#view.getUint32(4, true));
    }
  }

  /** @throws {LiveError} "bad_request" if it ends inside a run. */
  end(): number[] {
    if (this.#have !== 0) throw bad("the body is not a list of runs");
    return this.#numbers;
  }

  #run(first: number, count: number): void {
    if (first === 0) throw bad("there is no page 0");
    if (first <= this.#last) throw bad("not ascending");
    this.#last = lastOf({ first, count });
    for (let pgno = first; pgno <= Math.min(this.#last, this.#most); pgno++) {
      this.#numbers.push(pgno);
    }
  }
}

function lastOf({ first, count }: Run): number {
  if (count < 1 || first + count - 1 > MAX_PGNO) throw bad("not ascending");
  return first + count - 1;
}

function bad(what: string): LiveError {
  return new LiveError("bad_request", `Cannot read the list of numbers: ${what}`);
}
