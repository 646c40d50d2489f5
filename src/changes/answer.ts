/**
 * One answer: all pages newer than a txid, as of some later txid, as records. May import: base/,
 * pages/, changes/.
 *
 * A small answer is read at one go, so it is a snapshot, and is shared by all who ask from the same
 * place. A large one is sent in rounds: pages as they are now (fuzzy), then those that changed
 * meanwhile, until the rest is small enough for a snapshot. Within an answer a page may come again,
 * the last one counts: fuzzy copy plus redo, committed once, is consistent. Source: SQLITE.md's
 * argument is repeated in docs/ARCHITECTURE.md "Rounds".
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { LiveError } from "../base/errors.ts";
import type { Position, Txid } from "../base/types.ts";
import type { PageIndex } from "../pages/page_index.ts";
import type { PageReader } from "../pages/page_reader.ts";
import { encodeBegin, encodeCommit, pagesOffset, RECORD_PAGE_BYTES, sealPages } from "./records.ts";

/** What an answer is made from. `refresh` reads what has been committed since (a primary's WAL). */
export interface AnswerSource {
  readonly index: PageIndex;
  readonly pages: PageReader;
  readonly position: Position;
  /** @throws {LiveError} if the database is gone. Called whenever a page is not what the index says. */
  refresh(): void;
  /** A page stays different from its hash: the file was changed behind SQLite's back. */
  distrust(pgno: number): void;
}

/** Up to this many bytes are read at one go; more goes out in rounds. */
const SNAPSHOT_BYTES = 4 * 1024 * 1024;
/** A writer that outruns the rounds gets larger snapshots, up to this many times as large. */
const SNAPSHOT_GROWTH_MAX = 16;
const MAX_TRIES = 5;

export interface Answer {
  readonly records: readonly Bytes[];
  readonly to: Position;
}

/** The last snapshot that was built, for all who ask from the same position. */
export class AnswerCache {
  #from: Position | undefined;
  #answer: Answer | undefined;

  /** What was built from `from` and is still the newest. */
  get(from: Position, to: Position): Answer | undefined {
    if (this.#from?.epoch !== from.epoch || this.#from.txid !== from.txid) return undefined;
    const same = this.#answer?.to.epoch === to.epoch && this.#answer.to.txid === to.txid;
    return same ? this.#answer : undefined;
  }

  put(from: Position, answer: Answer): void {
    this.#from = from;
    this.#answer = answer;
  }
}

/** Yields the answer's records and returns the position it leads to. */
export async function* answerRounds(
  source: AnswerSource,
  from: Txid,
  wanted: readonly number[] = [],
): AsyncGenerator<Bytes, Position> {
  let since = from;
  let extra = wanted;
  let sent = 0;
  for (let round = 0;; round++) {
    source.refresh();
    const { index, position } = source;
    const pages = merge(index.since(since), extra, index);
    if (round === 0) yield beginRecord(source, from, pages.length);
    const growth = Math.min(2 ** Math.max(0, round - 3), SNAPSHOT_GROWTH_MAX);
    if (pages.length * index.pageSize <= SNAPSHOT_BYTES * growth) {
      const snapshot = snapshotPages(source, since, extra);
      // Encoded before anything is yielded: meanwhile the index may move on.
      const commit = commitRecord(source.index, snapshot.position, sent + snapshot.pages);
      yield* snapshot.records;
      yield commit;
      return snapshot.position;
    }
    for (const chunk of chunksOf(pages, index.pageSize)) {
      const fuzzy = fuzzyPages(source, chunk);
      if (fuzzy === undefined) continue;
      sent += fuzzy.pages;
      yield fuzzy.record;
    }
    since = position.txid;
    extra = [];
  }
}

/** A whole small answer, or undefined if it is too large for one go. */
export function snapshotAnswer(source: AnswerSource, from: Txid): Answer | undefined {
  const { index } = source;
  const pages = index.since(from);
  if (pages.length * index.pageSize > SNAPSHOT_BYTES) return undefined;
  const { records, position, pages: sent } = snapshotPages(source, from, []);
  const begin = beginRecord(source, from, sent);
  const commit = commitRecord(index, position, sent);
  return { records: joined([begin, ...records, commit]), to: position };
}

/** A live answer is a page or two: one piece of bytes is one send instead of three. */
function joined(records: readonly Bytes[]): readonly Bytes[] {
  const length = records.reduce((sum, record) => sum + record.length, 0);
  if (length > RECORD_PAGE_BYTES) return records;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const record of records) {
    bytes.set(record, at);
    at += record.length;
  }
  return [bytes];
}

function beginRecord(source: AnswerSource, from: Txid, pages: number): Bytes {
  const { index, position } = source;
  return encodeBegin({ from, to: position.txid, pages, pageCount: index.pageCount });
}

function commitRecord(index: PageIndex, position: Position, sent: number): Bytes {
  return encodeCommit({ ...position, hash: index.hash, pageCount: index.pageCount, sent });
}

/** Reads all pages newer than `since` without giving up the event loop: as of one position. */
function snapshotPages(
  source: AnswerSource,
  since: number,
  extra: readonly number[],
): { records: Bytes[]; position: Position; pages: number } {
  for (let tries = 0;; tries++) {
    const { index, position } = source;
    const pages = merge(index.since(since), extra, index);
    const records: Bytes[] = [];
    let bad: number | undefined;
    for (const chunk of chunksOf(pages, index.pageSize)) {
      const record = new Uint8Array(pagesOffset(chunk.length) + chunk.length * index.pageSize);
      bad = source.pages.read(index, chunk, record, pagesOffset(chunk.length));
      if (bad !== undefined) break;
      sealPages(record, index.pageSize, chunk, (pgno) => index.hashOf(pgno));
      records.push(record);
    }
    if (bad === undefined) return { records, position, pages: pages.length };
    moved(source, bad, tries); // then all of it again: the position may be a later one now
  }
}

/** Reads pages as they are now; undefined if the database has shrunk below all of them. */
function fuzzyPages(
  source: AnswerSource,
  pgnos: readonly number[],
): { record: Bytes; pages: number } | undefined {
  for (let tries = 0;; tries++) {
    const { index } = source;
    const chunk = pgnos.filter((pgno) => pgno <= index.pageCount);
    if (chunk.length === 0) return undefined;
    const record = new Uint8Array(pagesOffset(chunk.length) + chunk.length * index.pageSize);
    const bad = source.pages.read(index, chunk, record, pagesOffset(chunk.length));
    if (bad === undefined) {
      sealPages(record, index.pageSize, chunk, (pgno) => index.hashOf(pgno));
      return { record, pages: chunk.length };
    }
    moved(source, bad, tries);
  }
}

/** A page was not where the index had it: look at the log again, and give up after some tries. */
function moved(source: AnswerSource, pgno: number, tries: number): void {
  if (tries < MAX_TRIES) return source.refresh();
  source.distrust(pgno);
  throw new LiveError("busy", `Page ${pgno} is not what the index says: reading the file again`, {
    pgno,
  });
}

function* chunksOf(pages: readonly number[], pageSize: number): Generator<readonly number[]> {
  const size = Math.max(1, Math.floor(RECORD_PAGE_BYTES / pageSize));
  for (let at = 0; at < pages.length; at += size) yield pages.slice(at, at + size);
}

/** Both lists ascending, without the lock page and pages that do not exist. */
function merge(a: readonly number[], b: readonly number[], index: PageIndex): readonly number[] {
  if (b.length === 0) return a;
  const all = new Set(a);
  for (const pgno of b) {
    if (pgno >= 1 && pgno <= index.pageCount && pgno !== index.lockPage) all.add(pgno);
  }
  return [...all].sort((x, y) => x - y);
}
