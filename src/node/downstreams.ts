/**
 * The replicas of one database: connected now, or seen since the process started. May import: base/,
 * changes/, node/status.
 *
 * A replica reports each second; one that is silent for 5 s is shown as not connected, whatever its
 * socket says. Those that went away stay listed, up to a limit.
 * @module
 */
import type { Env } from "../base/env.ts";
import type { Report } from "../changes/source.ts";
import type { Branch } from "../changes/tree.ts";
import { type Epoch, type Txid, ZERO_TXID } from "../base/types.ts";
import type { DownstreamStatus } from "./status.ts";

export const SILENT_MS = 5000;
const NOBODY: readonly DownstreamStatus[] = [];
/** Replicas that went away and are still listed. */
const REMEMBERED = 1000;

interface Downstream {
  id: string;
  address: string;
  streams: number;
  epoch: Epoch;
  sent: Txid;
  received: Txid;
  durable: Txid;
  applied: Txid;
  lagMs: number | undefined;
  lastSeen: number;
  /** When it was last told beside its stream where this database is. */
  beatAt: number;
  /** Its own replicas, and when it told of them. */
  branches: readonly Branch[];
  toldAt: number;
}

export class Downstreams {
  readonly #env: Env;
  readonly #moved: () => void;
  readonly #all = new Map<string, Downstream>();

  /** `moved` is called when a replica has told where it is. */
  constructor(env: Env, moved: () => void = () => {}) {
    this.#env = env;
    this.#moved = moved;
  }

  /** A stream to replica `id` begins; call the result when it ends. */
  connect(id: string, address: string, epoch: Epoch): () => void {
    const entry = this.#entry(id, address, epoch);
    entry.streams++;
    entry.address = address;
    return () => {
      entry.streams--;
      this.#forgetOld();
    };
  }

  sent(id: string, epoch: Epoch, txid: Txid): void {
    const entry = this.#all.get(id);
    if (entry === undefined) return;
    entry.epoch = epoch;
    entry.sent = txid;
  }

  /** Replicas that report without ever having asked for a stream are not entered. */
  report(id: string, report: Report): void {
    const entry = this.#all.get(id);
    if (entry === undefined) return;
    entry.epoch = report.epoch;
    entry.received = report.received;
    entry.durable = report.durable;
    entry.applied = report.applied;
    entry.lagMs = report.lagMs;
    entry.lastSeen = this.#env.clock.monotonic();
    this.#moved();
  }

  /** It is told beside its stream where this database is. False: there is no stream to it. */
  tell(id: string): boolean {
    const entry = this.#all.get(id);
    if (entry === undefined || entry.streams === 0) return false;
    entry.beatAt = this.#env.clock.monotonic();
    return true;
  }

  /** When tell() was called last (monotonic), -Infinity if never. */
  beatAt(id: string): number {
    return this.#all.get(id)?.beatAt ?? -Infinity;
  }

  /** Who follows replica `id`, as it says. */
  branches(id: string, branches: readonly Branch[]): void {
    const entry = this.#all.get(id);
    if (entry === undefined) return;
    entry.branches = branches;
    entry.toldAt = this.#env.clock.monotonic();
  }

  status(): readonly DownstreamStatus[] {
    if (this.#all.size === 0) return NOBODY; // asked each second
    const now = this.#env.clock.monotonic();
    return [...this.#all.values()].map((entry) => {
      const { id, address, epoch, sent, received, durable, applied, lagMs } = entry;
      const silentMs = Math.round(now - entry.lastSeen);
      const connected = entry.streams > 0 && silentMs < SILENT_MS;
      const told = lagMs === undefined ? {} : { lagMs };
      const replicas = aged(entry.branches, Math.round(now - entry.toldAt));
      const below = replicas.length === 0 ? {} : { replicas };
      return {
        ...{ id, address, connected, epoch, sent, received, durable, applied },
        ...told,
        silentMs,
        ...below,
      };
    });
  }

  #entry(id: string, address: string, epoch: Epoch): Downstream {
    const known = this.#all.get(id);
    const lastSeen = this.#env.clock.monotonic();
    if (known !== undefined) {
      known.lastSeen = lastSeen;
      return known;
    }
    const zero = ZERO_TXID;
    const entry = {
      id,
      address,
      streams: 0,
      epoch,
      sent: zero,
      received: zero,
      durable: zero,
      applied: zero,
      lagMs: undefined,
      lastSeen,
      beatAt: -Infinity,
      branches: [],
      toldAt: lastSeen,
    };
    this.#all.set(id, entry);
    return entry;
  }

  #forgetOld(): void {
    for (const [id, entry] of this.#all) {
      if (this.#all.size <= REMEMBERED) return;
      if (entry.streams === 0) this.#all.delete(id);
    }
  }
}

/** What was said `ms` ago: of whom nothing is heard any more, nobody knows whether it is there. */
function aged(branches: readonly Branch[], ms: number): Branch[] {
  return branches.map((branch) => {
    const silentMs = branch.silentMs + ms;
    const { connected, replicas } = branch;
    return {
      ...branch,
      silentMs,
      connected: connected && silentMs < SILENT_MS,
      ...(replicas === undefined ? {} : { replicas: aged(replicas, ms) }),
    };
  });
}
