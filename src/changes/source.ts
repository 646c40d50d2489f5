/**
 * The waist of the design: who can answer "what is newer than this?". A local database and the HTTP
 * client both do, so a cascade has no code of its own, and a test joins two databases without HTTP.
 * Types only. May import: base/.
 * @module
 */
import type { Bytes, Words } from "../base/bytes.ts";
import type { Lineage } from "../base/lineage.ts";
import type { Epoch, Position, Txid } from "../base/types.ts";
import type { Beat } from "./records.ts";
import type { Above, Branch } from "./tree.ts";

export interface ChangesRequest {
  /** What the asker has; absent: nothing, so the first answer is a first copy. */
  readonly since?: Position;
  /** What the epoch of `since` goes on from: an upstream that is still there learns that it is over. */
  readonly ancestors?: readonly Position[];
  /** Hash of the asker's database at `since`: equal txids with unequal hashes are not equal. */
  readonly hash?: Words;
  /** Pages wanted in the first answer besides those newer than `since` (repair), ascending. */
  readonly wanted?: readonly number[];
  /** Called when an answer has been taken whole, with the position it leads to. */
  readonly taken?: (position: Position) => void;
  /** Called when so many bytes are kept in memory until the asker has taken them; `pieces` names them. */
  readonly holds?: (pieces: object, bytes: number) => void;
  /**
   * When the asker was last told beside the stream where the source is (monotonic), -Infinity if never:
   * it needs no heartbeat for a while then.
   */
  readonly toldAt?: () => number;
}

export interface HashesRequest {
  /** Blocks whose page hashes are wanted; absent: the hash of every block. */
  readonly blocks?: readonly number[];
}

/** How far an asker is; sent back beside the stream. */
export interface Report {
  readonly epoch: Epoch;
  /** Newest txid of which all bytes have come, of which all is fsynced, that readers see. */
  readonly received: Txid;
  readonly durable: Txid;
  readonly applied: Txid;
  /** Since its copy was last known to be current, ms; absent: an asker that does not tell. */
  readonly lagMs?: number;
}

export type Reported = (beat: Beat | undefined) => void;

export interface ChangeSource {
  /**
   * Yields a hello record, then waits until newer than `since` and yields all that is newer as ONE
   * transaction (begin, pages, commit), then the same again from there, with a heartbeat each second
   * in between, fewer for who is told beside the stream; ends only by `signal`. The next answer begins
   * when the last byte of this one has been taken: a slow asker gets fewer, larger answers and costs
   * no memory.
   *
   * A local database never writes a yielded buffer again: it may be shared with other askers. Another
   * node's bytes are good until the next ones are asked for.
   * @throws {LiveError} "position_gone" if `since` is not of this history: compare hashes instead;
   * "not_ready" while the database cannot be read yet.
   * Source: docs/PROTOCOL.md "Stream".
   */
  changes(request: ChangesRequest, signal: AbortSignal): AsyncIterable<Bytes>;

  /** Of several upstreams: the one that is followed. */
  readonly name?: { readonly url: string; readonly path: string };

  /** A new attempt begins: of several upstreams another one may be chosen. */
  renew?(): void;

  /**
   * What is followed is cut off from the primary, and at `at`: of several upstreams another one may be
   * better, then changes() ends with an error.
   */
  elsewhere?(at: Position): void;

  /** Yields a hello record, then hashes records. @throws {LiveError} "not_ready". */
  hashes(request: HashesRequest, signal: AbortSignal): AsyncIterable<Bytes>;

  /**
   * Tells how far the asker is. `done` is called once it has been sent, or cannot be, with where the
   * source is if it says so: then its stream is there, and may have no heartbeats. Never throws, a lost
   * report is followed by the next one. No promise: each database reports each second.
   */
  report(report: Report, signal: AbortSignal, done: Reported): void;

  /**
   * Tells who follows the asker, and returns who is above the other side, nearest first; never throws.
   * Undefined if it does not tell, as older ones.
   */
  tree?(branches: readonly Branch[], signal: AbortSignal): Promise<readonly Above[] | undefined>;

  /**
   * Tells that `lineage` may go on from the history there, which is over then; never throws. Absent
   * where there is nobody to tell.
   */
  supersede?(lineage: Lineage, signal: AbortSignal): Promise<void>;
}
