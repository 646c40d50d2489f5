/**
 * What a node tells about itself: /status prints it, /metrics and /health are made from it.
 * Types only. May import: base/.
 *
 * Lag compares this node's position with the newest one its upstream has told (heartbeats carry it),
 * never the clocks of two machines: `ms` is the time since this copy was last known to be current.
 * @module
 */
import type { DatabaseId, Epoch, Txid } from "../base/types.ts";
import type { Above, Branch } from "../changes/tree.ts";
import type { Counters } from "./counters.ts";

export type Role = "primary" | "replica";

/**
 * waiting: for a file, a directory, an upstream or a lock (`reason` says which)
 * opening: reading the database to build its index
 * copying: first copy under way, the file is not there yet
 * repairing: comparing hashes with the upstream
 * connecting: the copy is readable, but the upstream is not connected
 * catching-up: connected, and the first answer is not applied yet
 * streaming: live
 * serving: a primary that is live
 * failed: needs a person (`reason` says what to do)
 */
export type State =
  | "waiting"
  | "opening"
  | "copying"
  | "repairing"
  | "connecting"
  | "catching-up"
  | "streaming"
  | "serving"
  | "failed";

export interface Progress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Estimate, ms; absent until there is one. */
  readonly etaMs?: number;
}

export interface Lag {
  /** Transactions the upstream has and we have not applied. */
  readonly txids: number;
  /** Bytes received of an answer that is not applied yet. */
  readonly bytes: number;
  /** Since this copy was last known to be current, ms; 0 while it is. */
  readonly ms: number;
}

export interface UpstreamStatus {
  readonly url: string;
  readonly path: string;
  readonly connected: boolean;
  readonly epoch?: Epoch;
  readonly txid?: Txid;
  readonly lag: Lag;
  readonly progress?: Progress;
  /** The last failure, a sentence. */
  readonly error?: string;
  /** Whom the upstream follows, nearest first, as it said; absent: it does not tell, or not yet. */
  readonly above?: readonly Above[];
}

/** A replica connected to us, or one that was. */
export interface DownstreamStatus {
  /** Random id of the replica's process. */
  readonly id: string;
  readonly address: string;
  readonly connected: boolean;
  readonly epoch: Epoch;
  readonly sent: Txid;
  readonly received: Txid;
  readonly durable: Txid;
  readonly applied: Txid;
  /** Its own lag as it said in its last report, ms; absent: it does not tell. */
  readonly lagMs?: number;
  /** Since its last report, ms. */
  readonly silentMs: number;
  /** Its own replicas, as it said; absent: none. */
  readonly replicas?: readonly Branch[];
}

export interface DatabaseStatus {
  readonly path: string;
  readonly role: Role;
  readonly state: State;
  /** A sentence: what it waits for, or why it is not healthy. */
  readonly reason?: string;
  /** A sentence: it is live, but something fails for good that needs a person. Not healthy. */
  readonly trouble?: string;
  /** Readers of this node see a consistent copy (which may be old). */
  readonly readable: boolean;
  readonly id?: DatabaseId;
  readonly epoch?: Epoch;
  readonly txid?: Txid;
  /** 16 hex digits: XOR of all pages' hashes. */
  readonly hash?: string;
  readonly pageSize?: number;
  readonly pageCount?: number;
  /** Frames committed in the WAL, and how many of them are checkpointed. */
  readonly walFrames?: number;
  readonly walBackfilled?: number;
  /** Since the last change was seen or applied, ms. */
  readonly lastChangeMs?: number;
  readonly upstream?: UpstreamStatus;
  readonly replicas: readonly DownstreamStatus[];
  readonly counters: Counters;
}

export interface NodeStatus {
  readonly version: string;
  readonly pid: number;
  readonly uptimeMs: number;
  /** Ready to run and without a processor, as of the last second; absent if the system does not count. */
  readonly processorWaitMs?: number;
  /** Whether it runs at a lower priority now; absent where it never does. */
  readonly givesWay?: boolean;
  readonly databases: readonly DatabaseStatus[];
}
