/**
 * Whether the pages on disk are what the index says: bytes that changed without a commit. All of them,
 * because somebody asked, or some each second, so that bit rot is found before it is needed. May
 * import: base/, pages/, changes/answer (types).
 *
 * Nothing is locked: a page that moved or was written meanwhile has another hash for a moment, and is
 * looked at again after the log has been read on.
 * @module
 */
import { type Bytes, formatWords } from "../base/bytes.ts";
import type { Position } from "../base/types.ts";
import type { Env } from "../base/env.ts";
import type { AnswerSource } from "../changes/answer.ts";

/** Read at once; other work gets its turn in between. */
const SLICE_BYTES = 512 * 1024;
const TRIES = 20;
const TRY_MS = 5;

export type Checked = Pick<AnswerSource, "index" | "pages" | "position" | "refresh">;

export class SelfCheck {
  readonly #database: Checked;
  readonly #env: Env;
  #buffer: Bytes = new Uint8Array(0);
  readonly #perSlice: number;
  #next = 1;

  constructor(database: Checked, env: Env) {
    this.#database = database;
    this.#env = env;
    this.#perSlice = Math.max(1, SLICE_BYTES / database.index.pageSize);
  }

  /** The page that the next step begins with; 1 again after the last. */
  get next(): number {
    return this.#next;
  }

  /**
   * Checks `most` pages at most, in one slice at most. @returns those that are not what they must be.
   * @throws {LiveError} "disk" if they cannot be read, "not_ready" if the database was closed.
   */
  async step(most = this.#perSlice): Promise<number[]> {
    const { index } = this.#database;
    const last = Math.min(index.pageCount, this.#next + Math.min(most, this.#perSlice) - 1);
    const bad: number[] = [];
    const bytes = Math.max(0, last - this.#next + 1) * index.pageSize;
    if (this.#buffer.length < bytes) this.#buffer = new Uint8Array(bytes);
    let pgnos = range(this.#next, last).filter((pgno) => pgno !== index.lockPage);
    for (let tries = 0; pgnos.length > 0;) {
      pgnos = pgnos.filter((pgno) => pgno <= index.pageCount); // it may have shrunk
      const wrong = this.#database.pages.read(index, pgnos, this.#buffer, 0);
      if (wrong === undefined) break;
      pgnos = pgnos.slice(pgnos.indexOf(wrong));
      if (++tries < TRIES) {
        this.#database.refresh();
        await this.#env.clock.sleep(TRY_MS);
        continue;
      }
      bad.push(wrong);
      pgnos = pgnos.slice(1);
      tries = 0;
    }
    this.#next = last >= index.pageCount ? 1 : last + 1;
    return bad;
  }
}

export interface CheckProgress {
  readonly donePages: number;
  readonly pages: number;
  /** Of all pages so far, in order; at most MAX_BAD. */
  readonly bad: readonly number[];
  readonly badCount: number;
  /** What the index is as of, and the hash of all pages. */
  readonly position: Position;
  readonly hash: string;
}

/** Bad pages that are named; all are counted. */
export const MAX_BAD = 1000;

/** Every page once, slice by slice. Ends early if `signal` aborts. */
export async function* checkAll(
  database: Checked,
  env: Env,
  signal: AbortSignal,
): AsyncGenerator<CheckProgress> {
  const check = new SelfCheck(database, env);
  const bad: number[] = [];
  let badCount = 0;
  do {
    const from = check.next;
    const found = await check.step();
    badCount += found.length;
    bad.push(...found.slice(0, MAX_BAD - bad.length));
    const pages = database.index.pageCount;
    const donePages = check.next === 1 ? pages : check.next - 1;
    const hash = formatWords(database.index.hash);
    yield { donePages, pages, bad, badCount, position: database.position, hash };
    if (check.next === from) return; // no page at all
    await env.clock.sleep(0);
  } while (check.next !== 1 && !signal.aborted);
}

function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, nth) => first + nth);
}
