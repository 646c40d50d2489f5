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
import { type Bytes, giveBack } from "../base/bytes.ts";
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
  /**
   * Called whenever a page is not what the index says. False if nothing could be read, because a writer
   * is in the middle of a commit: that may be told of a page, too, and says nothing about the file.
   * @throws {LiveError} if the database is gone.
   */
  refresh(): boolean;
  /** A page stays different from its hash: the file was changed behind SQLite's back. */
  distrust(pgno: number): void;
}

/** Up to this many bytes are read at one go; more goes out in rounds. */
const SNAPSHOT_BYTES = 4 * 1024 * 1024;
/** A writer that outruns the rounds gets larger snapshots, up to this many times as large. */
const SNAPSHOT_GROWTH_MAX = 16;
const MAX_TRIES = 5;
/** So many looks at a log that cannot be read, about a millisecond: a header is written in less. */
const MAX_LOOKS = 1000;

/**
 * A writer has no processor in the middle of a commit, so what is newer than the index cannot be read.
 * It passes; of snapshotAnswer() the same may be asked again.
 */
export class Unread extends LiveError {
  constructor() {
    super("busy", "The header of the log is being written");
  }
}

export interface Answer {
  readonly records: readonly Bytes[];
  readonly bytes: number;
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

/**
 * Yields the answer's records and returns the position it leads to. `holds` is told what is kept in
 * memory until it has been taken: the last round; the others are read as they are asked for. A record
 * of pages is empty once the next is asked for: its memory is free then, not when the collector comes.
 */
export async function* answerRounds(
  source: AnswerSource,
  from: Txid,
  wanted: readonly number[] = [],
  holds: (pieces: object, bytes: number) => void = () => {},
): AsyncGenerator<Bytes, Position> {
  let since = from;
  let extra = wanted;
  let sent = 0;
  for (let round = 0;; round++) {
    source.refresh();
    const { index, position } = source;
    const count = countMerged(index, since, extra);
    if (round === 0) yield beginRecord(source, from, count);
    const growth = Math.min(2 ** Math.max(0, round - 3), SNAPSHOT_GROWTH_MAX);
    if (count * index.pageSize <= SNAPSHOT_BYTES * growth) {
      const snapshot = snapshotPages(source, since, extra);
      // Encoded before anything is yielded: meanwhile the index may move on.
      const commit = commitRecord(source.index, snapshot.position, sent + snapshot.pages);
      holds(snapshot.records, bytesOf(snapshot.records));
      for (const record of snapshot.records) {
        yield record;
        giveBack(record);
      }
      yield commit;
      return snapshot.position;
    }
    for (const chunk of chunksOf(merged(index, since, extra), index.pageSize)) {
      const fuzzy = fuzzyPages(source, chunk);
      if (fuzzy === undefined) continue;
      sent += fuzzy.pages;
      yield fuzzy.record;
      giveBack(fuzzy.record);
    }
    since = position.txid;
    extra = [];
  }
}

/** A whole small answer, or undefined if it is too large for one go. @throws {Unread} */
export function snapshotAnswer(source: AnswerSource, from: Txid): Answer | undefined {
  const { index } = source;
  if (index.countSince(from) * index.pageSize > SNAPSHOT_BYTES) return undefined;
  const { records, position, pages: sent } = snapshotPages(source, from, []);
  const begin = beginRecord(source, from, sent);
  const commit = commitRecord(index, position, sent);
  const whole = joined([begin, ...records, commit]);
  return { records: whole, bytes: bytesOf(whole), to: position };
}

/** A live answer is a page or two: one piece of bytes is one send instead of three. */
function joined(records: readonly Bytes[]): readonly Bytes[] {
  const length = bytesOf(records);
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
  for (let tries = 0;;) {
    const { index, position } = source;
    const pages = extra.length === 0 ? index.since(since) : [...merged(index, since, extra)];
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
    tries = moved(source, bad, tries); // then all of it again: the position may be a later one now
  }
}

/** Reads pages as they are now; undefined if the database has shrunk below all of them. */
function fuzzyPages(
  source: AnswerSource,
  pgnos: readonly number[],
): { record: Bytes; pages: number } | undefined {
  for (let tries = 0;;) {
    const { index } = source;
    const chunk = pgnos.filter((pgno) => pgno <= index.pageCount);
    if (chunk.length === 0) return undefined;
    const record = new Uint8Array(pagesOffset(chunk.length) + chunk.length * index.pageSize);
    const bad = source.pages.read(index, chunk, record, pagesOffset(chunk.length));
    if (bad === undefined) {
      sealPages(record, index.pageSize, chunk, (pgno) => index.hashOf(pgno));
      return { record, pages: chunk.length };
    }
    tries = moved(source, bad, tries);
  }
}

/** A page was not where the index had it: look at the log again, and give up after some tries. */
function moved(source: AnswerSource, pgno: number, tries: number): number {
  if (tries < MAX_TRIES) {
    for (let looks = 0; looks < MAX_LOOKS; looks++) if (source.refresh()) return tries + 1;
    throw new Unread();
  }
  source.distrust(pgno);
  throw new LiveError("busy", `Page ${pgno} is not what the index says: reading the file again`, {
    pgno,
  });
}

function* chunksOf(pages: Iterable<number>, pageSize: number): Generator<readonly number[]> {
  const size = Math.max(1, Math.floor(RECORD_PAGE_BYTES / pageSize));
  let chunk: number[] = [];
  for (const pgno of pages) {
    chunk.push(pgno);
    if (chunk.length < size) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

/**
 * Pages newer than `since` or in `extra` (ascending), ascending, as the index is at each step: a list
 * of all pages of a large database would cost more than the index, once for every replica that asks.
 */
function* merged(index: PageIndex, since: number, extra: readonly number[]): Generator<number> {
  let nth = 0;
  for (let last = 0;;) {
    const newer = index.nextSince(since, last);
    while (nth < extra.length && (extra[nth]! <= last || extra[nth] === index.lockPage)) nth++;
    const wanted = nth < extra.length && extra[nth]! <= index.pageCount ? extra[nth]! : 0;
    if (newer === 0 && wanted === 0) return;
    last = newer === 0 || (wanted !== 0 && wanted < newer) ? wanted : newer;
    yield last;
  }
}

function countMerged(index: PageIndex, since: number, extra: readonly number[]): number {
  if (extra.length === 0) return index.countSince(since);
  let count = 0;
  for (const _ of merged(index, since, extra)) count++;
  return count;
}

function bytesOf(records: readonly Bytes[]): number {
  return records.reduce((sum, { length }) => sum + length, 0);
}
