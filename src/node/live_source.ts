/**
 * A local database as a ChangeSource: what replicas of this node are served from, the same on a
 * primary and on a replica. May import: base/, pages/, changes/.
 *
 * It lives as long as one opening of one database; when that is closed, end() ends its streams, and
 * whoever was connected asks again.
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { sameWords } from "../base/bytes.ts";
import { eachSecond, type Env } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import { placeIn } from "../base/lineage.ts";
import {
  type DatabaseId,
  formatPosition,
  type Position,
  samePosition,
  ZERO_TXID,
} from "../base/types.ts";
import { Waiters } from "../base/waiters.ts";
import {
  type Answer,
  AnswerCache,
  answerRounds,
  type AnswerSource,
  snapshotAnswer,
  Unread,
} from "../changes/answer.ts";
import { type Beat, encodeHashes, encodeHeartbeat, encodeHello } from "../changes/records.ts";
import type {
  ChangeSource,
  ChangesRequest,
  HashesRequest,
  Report,
  Reported,
} from "../changes/source.ts";
import type { Counters } from "./counters.ts";
import type { Checked } from "./self_check.ts";

const HEARTBEAT_MS = 1000;
/** A millisecond each. */
const UNREAD_TRIES = 1000;
/** Who was told beside the stream needs no heartbeat in that second or the next; it gives up after 3 s. */
const TOLD_MS = 1500;
/** A stream carries something that often in any case: machines on the way forget quiet connections. */
const KEEP_ALIVE_MS = 40_000;
/** Hashes a record: 128 KiB. */
const HASHES_PER_RECORD = 16384;

export interface LocalDatabase extends AnswerSource {
  readonly id: DatabaseId;
  /** The histories that this one goes on from (base/lineage). */
  readonly ancestors: readonly Position[];
  readonly counters: Counters;
  /** Commits within this time go out as one answer, ms. */
  readonly delayMs: number;
  /** A replica may be asked by one that is ahead of it: it waits until it has caught up. */
  readonly role: "primary" | "replica";
  /** Since this database was last known to be current, ms; 0 of a primary. */
  staleMs(): number;
}

export class LiveSource implements ChangeSource {
  readonly #database: LocalDatabase;
  readonly #env: Env;
  readonly #cache = new AnswerCache();
  readonly #waiters: Waiters;
  /** The same again while nothing changes: each second one for each who follows. */
  #lastBeat: Beat | undefined;
  #ended: LiveError | undefined;

  constructor(database: LocalDatabase, env: Env) {
    this.#database = database;
    this.#env = env;
    this.#waiters = new Waiters(env.clock);
  }

  /** Somebody is told of each commit. */
  get isFollowed(): boolean {
    return this.#waiters.size > 0;
  }

  /** There is something newer: wakes every stream. */
  notify(): void {
    this.#waiters.wake();
  }

  /** Ends every stream with `reason`. */
  end(reason: LiveError): void {
    this.#ended = reason;
    this.notify();
  }

  async *changes(request: ChangesRequest, signal: AbortSignal): AsyncGenerator<Bytes> {
    const database = this.#database;
    let at = this.#check(request);
    using waiter = this.#waiters.join(signal);
    yield this.#hello();
    let { wanted } = request;
    const { clock } = this.#env;
    let beatAt = clock.monotonic();
    let isDue = false;
    using _beats = eachSecond(clock, (at) => {
      const told = request.toldAt?.() ?? -Infinity;
      if (at - told < TOLD_MS && at - beatAt < KEEP_ALIVE_MS) return;
      isDue = true;
      waiter.wake();
    });
    while (!signal.aborted) {
      if (this.#ended !== undefined) throw this.#ended;
      const { position } = database;
      if (at !== undefined && at.epoch !== position.epoch) throw otherHistory(at, position);
      if (isDue) { // of the history that hello told: after the two checks
        isDue = false;
        beatAt = clock.monotonic();
        yield this.#heartbeat(at);
        continue;
      }
      if (at === undefined || wanted !== undefined || position.txid > at.txid) {
        if (at !== undefined) yield* this.#delay(at, signal);
        if (at !== undefined && wanted === undefined) at = yield* this.#newer(at, request);
        else at = yield* this.#rounds(at, wanted, request);
        wanted = undefined;
        request.taken?.(at);
      } else await waiter.wait();
    }
  }

  async *hashes(request: HashesRequest, _signal: AbortSignal): AsyncGenerator<Bytes> {
    if (this.#ended !== undefined) throw this.#ended;
    this.#database.refresh();
    yield this.#hello();
    if (request.blocks === undefined) {
      const words = this.#database.index.blockHashes();
      for (let first = 0; first === 0 || 2 * first < words.length; first += HASHES_PER_RECORD) {
        const part = words.slice(2 * first, 2 * (first + HASHES_PER_RECORD));
        yield this.#hashesRecord("blocks", first, part);
      }
      return;
    }
    for (const block of request.blocks) {
      yield this.#hashesRecord("pages", block, this.#database.index.pageHashes(block));
    }
  }

  /** What is on disk against the index. */
  get checked(): Checked {
    return this.#database;
  }

  /** What a heartbeat tells, for who reports; undefined once it has ended. */
  beat(): Beat | undefined {
    return this.#ended === undefined ? this.#beat() : undefined;
  }

  /** Nobody to tell: who asks in this process knows. */
  report(_report: Report, _signal: AbortSignal, done: Reported): void {
    done(undefined);
  }

  /** Lets commits gather; heartbeats go on. */
  async *#delay(at: Position, signal: AbortSignal): AsyncGenerator<Bytes> {
    const { delayMs } = this.#database;
    for (let left = delayMs; left > 0 && !signal.aborted; left -= HEARTBEAT_MS) {
      await this.#env.clock.sleep(Math.min(left, HEARTBEAT_MS), signal);
      if (left > HEARTBEAT_MS) yield this.#heartbeat(at);
    }
  }

  #hashesRecord(level: "blocks" | "pages", first: number, words: Uint32Array<ArrayBuffer>): Bytes {
    const { index, position } = this.#database;
    return encodeHashes({ level, first, ...position, pageCount: index.pageCount, words });
  }

  #beat(): Beat {
    const { position: { epoch, txid }, index: { hash } } = this.#database;
    const staleMs = this.#database.staleMs();
    const last = this.#lastBeat;
    const isSame = last?.txid === txid && last.epoch === epoch && last.staleMs === staleMs &&
      sameWords(last.hash, hash);
    return isSame ? last : this.#lastBeat = { epoch, txid, hash, staleMs };
  }

  #heartbeat(at: Position | undefined): Bytes {
    return encodeHeartbeat({ ...this.#beat(), sent: at?.txid ?? ZERO_TXID });
  }

  #hello(): Bytes {
    const { id, index, position, ancestors } = this.#database;
    const { pageSize, pageCount, hash } = index;
    return encodeHello({ id, pageSize, pageCount, hash, ...position, ancestors });
  }

  /** What the asker says it has must be of this history; where that is in it. */
  #check(request: ChangesRequest): Position | undefined {
    if (this.#ended !== undefined) throw this.#ended;
    this.#database.refresh();
    const { hash, wanted } = request;
    const { position, index, role, ancestors } = this.#database;
    if (request.since === undefined) return undefined;
    const since = placeIn(request.since, { epoch: position.epoch, ancestors });
    if (since === undefined) throw otherHistory(request.since, position);
    if (since.txid < index.floor) {
      throw new LiveError(
        "position_gone",
        `What changed since ${formatPosition(since)} is not known any more`,
      );
    }
    if (since.txid > position.txid && role === "primary") throw otherHistory(since, position);
    const equal = hash === undefined || wanted !== undefined || sameWords(hash, index.hash);
    if (samePosition(since, position) && !equal) {
      throw new LiveError(
        "position_gone",
        `Two databases claim to be at ${formatPosition(since)} and differ`,
      );
    }
    return since;
  }

  async *#newer(at: Position, request: ChangesRequest): AsyncGenerator<Bytes, Position> {
    const { counters } = this.#database;
    const shared = this.#cache.get(at, this.#database.position);
    if (shared !== undefined) {
      counters.answersShared++;
      request.holds?.(shared, shared.bytes);
      yield* shared.records;
      return shared.to;
    }
    let answer = this.#snapshot(at);
    for (let tries = 1; answer instanceof Unread; tries++) {
      if (tries === UNREAD_TRIES) throw answer;
      await this.#env.clock.sleep(1);
      if (this.#ended !== undefined) throw this.#ended;
      answer = this.#snapshot(at);
    }
    if (answer === undefined) return yield* this.#rounds(at, undefined, request);
    counters.answersEncoded++;
    this.#cache.put(at, answer);
    request.holds?.(answer, answer.bytes);
    yield* answer.records;
    return answer.to;
  }

  #snapshot(at: Position): Answer | Unread | undefined {
    try {
      return snapshotAnswer(this.#database, at.txid);
    } catch (error) {
      if (error instanceof Unread) return error;
      throw error;
    }
  }

  #rounds(
    at: Position | undefined,
    wanted: readonly number[] | undefined,
    { holds }: ChangesRequest,
  ): AsyncGenerator<Bytes, Position> {
    this.#database.counters.answersEncoded++;
    return answerRounds(this.#database, at?.txid ?? ZERO_TXID, wanted, holds);
  }
}

function otherHistory(since: Position, position: Position): LiveError {
  return new LiveError(
    "position_gone",
    `${formatPosition(since)} is not of this history, which is at ${formatPosition(position)}`,
  );
}
