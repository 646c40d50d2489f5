/**
 * Checkpoints of a primary's log: passes under a pin, and past the hard limit one under the write
 * lock. When is wal/checkpoint's rule; here it is done. May import: base/, sqlite/, wal/, node/.
 *
 * Invariant: every frame <= nBackfill has been read, or the log is pinned, or no writer can begin. So
 * the application restarts its own log, and no unread frame is lost.
 * @module
 */
import type { Env } from "../base/env.ts";
import { codeOf, LiveError } from "../base/errors.ts";
import type { ShmLock } from "../base/io.ts";
import { RC } from "../sqlite/library.ts";
import { fullPriority } from "../sqlite/process.ts";
import {
  type CheckpointLimits,
  isTooLong,
  type LogState,
  mayBeLent,
  mayTakeWriteLock,
  passDue,
  tailIsShort,
  worthAnotherPass,
} from "../wal/checkpoint.ts";
import { SLOT } from "../wal/wal_index.ts";
import type { Counters } from "./counters.ts";
import type { DatabaseHandle } from "./handle.ts";
import { lend, type Lender } from "./lending.ts";
import { notEnded, OVERDUE_MS } from "./overdue.ts";
import { lockHolders, READER_BYTES } from "./proc_locks.ts";

/** After a pass that a reader's mark held up: twice as long each time, from the first to the last. */
const BACK_OFF_MS = { first: 20, last: 1000 } as const;
/** It waits so long at most for what is being sent. */
const PUT_OFF_MS = 500;
/** Try-locks only, for this long; so many at once take some 0.1 ms. */
const WRITE_LOCK = { ms: 20, triesInARow: 100 } as const;
/** A header stays unreadable for microseconds; after a writer's death until it is recovered. */
const HEADER_PATIENCE_MS = 10_000;

/** What the primary that is checkpointed does. */
export interface Checkpointed {
  readonly handle: DatabaseHandle;
  readonly counters: Counters;
  readonly log: LogState;
  /** Last frame read. */
  readonly last: number;
  /** This opening is over. */
  readonly isLost: boolean;
  /** A checkpoint would be in the way just now. */
  readonly isSending: boolean;
  /** Reads what was committed; undefined if the header was being written. @throws {LiveError}. */
  consume(): number | undefined;
  /** Why a checkpoint could not go on. */
  failed(error: unknown): void;
}

export class Checkpointer {
  readonly #primary: Checkpointed;
  readonly #limits: CheckpointLimits;
  readonly #intervalMs: number;
  readonly #env: Env;
  #startedAt: number | undefined;
  /** It could have begun then. */
  #dueSince: number | undefined;
  #lastPass: number;
  #backOffUntil = 0;
  #backOffMs = 0;
  #heldUpBy: string | undefined;
  /** None has succeeded from the first of these (monotonic) to the last. */
  #failing: { readonly since: number; readonly last: number; readonly rc: number } | undefined;
  /**
   * A pass of this checkpoint was held up by a reader's mark. Not remembered longer: while CKPT is lent
   * the log is pinned, and if that went on once the reader has gone, nobody could ever restart it.
   */
  #cutShort = false;
  #lentAt: number | undefined;
  /** nBackfill as our last pass left it: a log with more was checkpointed by somebody else. */
  backfilled: number;

  constructor(primary: Checkpointed, limits: CheckpointLimits, intervalMs: number, env: Env) {
    this.#primary = primary;
    this.#limits = limits;
    this.#intervalMs = intervalMs;
    this.#env = env;
    this.#lastPass = env.clock.monotonic();
    this.backfilled = primary.handle.backfilled();
  }

  /** Starts a checkpoint if one is due and none is under way. `quietMs`: since the last commit. */
  maintain(quietMs: number, now = this.#env.clock.monotonic()): void {
    if (this.#startedAt !== undefined || now < this.#backOffUntil) return;
    const sincePass = now - this.#lastPass;
    const { log } = this.#primary;
    if (passDue(log, this.#limits, quietMs, sincePass, this.#intervalMs) === undefined) {
      this.#dueSince = undefined;
      return;
    }
    this.#dueSince ??= now;
    if (this.#primary.isSending && now - this.#dueSince < PUT_OFF_MS) return;
    this.#dueSince = undefined;
    this.#startedAt = now;
    this.#checkpoint().catch((error) => this.#primary.failed(error)).finally(() => {
      this.#startedAt = undefined;
    });
  }

  /** Why the log grows, a sentence; undefined while all is well. */
  trouble(now = this.#env.clock.monotonic()): string | undefined {
    const ms = now - (this.#lentAt ?? this.#startedAt ?? Infinity);
    if (ms > OVERDUE_MS && this.#lentAt !== undefined) {
      return `others have had the checkpoint lock for ${Math.round(ms / 1000)} s: one is in a ` +
        "checkpoint, or readers have every read mark";
    }
    if (ms > OVERDUE_MS) return notEnded("a checkpoint", ms);
    if (this.#failing === undefined && this.#heldUpBy === undefined) return undefined;
    const { mxFrame, backfilled } = this.#primary.log;
    const { since, last, rc } = this.#failing ?? { since: 0, last: 0, rc: 0 };
    if (last - since > OVERDUE_MS && backfilled < mxFrame) {
      return `no checkpoint of the log succeeds, and it grows: SQLite code ${rc}`;
    }
    if (
      !isTooLong(mxFrame, this.#limits.hard) || this.#heldUpBy === undefined ||
      backfilled === mxFrame
    ) return undefined;
    return `the log has ${mxFrame} frames: ${this.#heldUpBy} is in the way`;
  }

  /** The log began anew. */
  restarted(): void {
    this.backfilled = 0;
    this.#failing = undefined;
  }

  /** Others may restart the log: then all its commits are counted. */
  get isLent(): boolean {
    return this.#lentAt !== undefined;
  }

  async #checkpoint(): Promise<void> {
    const primary = this.#primary;
    this.#cutShort = false;
    let goesOn = await this.#pass();
    for (let done = 1; goesOn && worthAnotherPass(primary.log, this.#limits, done); done++) {
      goesOn = await this.#pass();
    }
    if (goesOn && mayTakeWriteLock(primary.log, this.#limits)) await this.#catchUp();
    const isLong = mayBeLent(primary.log.mxFrame, this.#limits.hard);
    if (isLong && this.#cutShort && !primary.isLost) await this.#lend();
  }

  #lender(): Lender {
    const primary = this.#primary;
    return {
      handle: primary.handle,
      get last() {
        return primary.last;
      },
      get isLost() {
        return primary.isLost;
      },
      consume: () => this.#consumed(),
      readOn: (last) => this.#readOn(last),
      letGo: () => this.backfilled = primary.last,
      settled: () => this.backfilled = primary.handle.backfilled(),
    };
  }

  /** A reader is in the way that may only go for a checkpoint of its own. */
  async #lend(): Promise<void> {
    this.#lentAt = this.#env.clock.monotonic();
    try {
      await lend(this.#lender(), this.#env.clock);
    } finally {
      this.#lentAt = undefined;
    }
  }

  /**
   * One PASSIVE checkpoint under a pin: nobody restarts the log until we have read all that it
   * backfilled. False if a reader's mark held it up, or this opening is over.
   */
  async #pass(): Promise<boolean> {
    this.#primary.consume();
    using pin = this.#primary.handle.walIndex.pin();
    if (pin === undefined) return this.#heldUp("no free read mark");
    return await this.#backfill();
  }

  /** PASSIVE on the worker, then everything up to nBackfill read. */
  async #backfill(): Promise<boolean> {
    const { handle, counters } = this.#primary;
    const started = this.#env.clock.monotonic();
    const before = handle.backfilled();
    const result = await handle.checkpoint("passive");
    if (this.#primary.isLost || result === undefined) return false;
    this.#lastPass = this.#env.clock.monotonic();
    counters.checkpoints++;
    counters.checkpointSeconds += (this.#lastPass - started) / 1000;
    await this.#readOn(handle.backfilled());
    if (this.#primary.isLost) return false;
    this.backfilled = handle.backfilled();
    if (result.rc !== 0) {
      counters.checkpointErrors++;
      this.#failed(result.rc);
      return this.#heldUp(`SQLite code ${result.rc}`);
    }
    this.#failing = undefined;
    // A mark as old as the running transaction is normal; one that lets nothing through is not.
    const stuck = this.backfilled === before && before < this.#primary.log.mxFrame;
    if (stuck) {
      this.#cutShort = true;
      return this.#heldUp("a reader's mark");
    }
    this.#backOffMs = 0;
    this.#heldUpBy = undefined;
    return true;
  }

  /** Reads up to `frame`, which is committed: only a header in the middle of a write delays it. */
  async #readOn(frame: number): Promise<void> {
    const until = this.#env.clock.monotonic() + HEADER_PATIENCE_MS;
    for (;;) {
      // What cannot be read now is looked at again: the pin must not go before. `last` says nothing then,
      // it may be that of an older log.
      if (this.#consumed() && this.#primary.last >= frame) return;
      if (this.#env.clock.monotonic() > until) {
        throw new LiveError("corrupt", "The WAL is not as it was left: frames were not read");
      }
      await this.#env.clock.sleep(1);
      if (this.#primary.isLost) return;
    }
  }

  /** Reads what was committed; false if it cannot be read just now. @throws {LiveError}. */
  #consumed(): boolean {
    try {
      return this.#primary.consume() !== undefined;
    } catch (error) {
      if (codeOf(error) !== "busy") throw error;
      return false;
    }
  }

  /** As on a disk that is broken; who is merely busy is in the way like a reader. */
  #failed(rc: number): void {
    if ((rc & 0xff) === RC.busy) return;
    const now = this.#env.clock.monotonic();
    if (this.#failing?.rc !== rc) this.#env.log.warn("checkpoint failed", { code: rc });
    this.#failing = { since: this.#failing?.since ?? now, last: now, rc };
  }

  #heldUp(what: string): false {
    this.#backOffMs = Math.min(BACK_OFF_MS.last, 2 * this.#backOffMs || BACK_OFF_MS.first);
    this.#backOffUntil = this.#env.clock.monotonic() + this.#backOffMs;
    const frames = this.#primary.log.mxFrame;
    const grows = this.#limits.hard > 0 && frames >= this.#limits.hard;
    if (!grows || this.#heldUpBy !== undefined || this.#backOffMs < BACK_OFF_MS.last) return false;
    const pids = lockHolders(`${this.#primary.handle.path}-shm`, READER_BYTES);
    this.#heldUpBy = pids.length === 0 ? what : `${what} (process ${pids.join(", ")})`;
    this.#env.log.warn("checkpoint held up, the log grows", { by: what, pids, frames });
    return false;
  }

  /**
   * Past the hard limit: a writer that never pauses leaves no gap in which the log could restart. So
   * the tail is made short, then backfilled under the write lock, which is held for two fsyncs.
   */
  async #catchUp(): Promise<void> {
    for (let tries = 0; tries < 3 && !tailIsShort(this.#primary.log); tries++) {
      if (!await this.#pass()) return;
    }
    using _full = fullPriority(); // whoever waits for the lock waits for this
    const lock = await this.#tryWriteLock();
    if (lock === undefined) return;
    const locked = this.#env.clock.monotonic();
    try {
      await this.#backfill();
    } finally {
      lock[Symbol.dispose]();
      this.#primary.counters.writeLock.observe((this.#env.clock.monotonic() - locked) / 1000);
    }
  }

  /** A writer that never pauses leaves gaps of microseconds: many tries in a row, then its turn. */
  async #tryWriteLock(): Promise<ShmLock | undefined> {
    const until = this.#env.clock.monotonic() + WRITE_LOCK.ms;
    while (!this.#primary.isLost && this.#env.clock.monotonic() < until) {
      for (let tries = 0; tries < WRITE_LOCK.triesInARow; tries++) {
        const lock = this.#primary.handle.walIndex.lock(SLOT.write, 1, "exclusive");
        if (lock !== undefined) return lock;
      }
      await this.#env.clock.sleep(0);
    }
    return undefined;
  }
}
