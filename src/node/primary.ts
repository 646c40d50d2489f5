/**
 * A live primary: one opening of the application's database. It reads each commit from the WAL as it
 * comes, keeps the index, checkpoints when the log is long, and serves what changed. May import:
 * base/, sqlite/ and wal/ by node/handle, pages/, changes/.
 *
 * Nothing of ours is written into the application's files: no table, no byte of the database, the WAL
 * or the wal-index's header. Invariant: every frame <= nBackfill has been read, or the log is pinned.
 * What cannot be explained (a log that began anew without us, a file that moved) ends this opening;
 * node/database.ts opens again, and a new epoch makes replicas compare hashes.
 * @module
 */
import type { Env } from "../base/env.ts";
import { codeOf, LiveError, messageOf } from "../base/errors.ts";
import type { ShmLock } from "../base/io.ts";
import type { DatabaseId, Epoch, Position } from "../base/types.ts";
import type { PageIndex } from "../pages/page_index.ts";
import { PageReader } from "../pages/page_reader.ts";
import {
  type CheckpointLimits,
  expectedRestart,
  type LogState,
  mayTakeWriteLock,
  passDue,
  tailIsShort,
  worthAnotherPass,
} from "../wal/checkpoint.ts";
import { SLOT, type WalIndexHeader } from "../wal/wal_index.ts";
import type { Counters } from "./counters.ts";
import type { DatabaseHandle } from "./handle.ts";
import { LiveSource, type LocalDatabase } from "./live_source.ts";
import type { LogFollower } from "./log_follower.ts";
import type { DatabaseOptions } from "./options.ts";
import { lockHolders, READER_BYTES } from "./proc_locks.ts";

/** After a pass that a reader's mark held up: twice as long each time, from the first to the last. */
const BACK_OFF_MS = { first: 20, last: 1000 } as const;
/** Try-locks only, for this long; so many at once take some 0.1 ms. */
const WRITE_LOCK = { ms: 20, triesInARow: 100 } as const;
/** A header stays unreadable for microseconds; after a writer's death until it is recovered. */
const HEADER_PATIENCE_MS = 10_000;
/** How often the place in the log is written down while commits come. */
const SAVE_MS = 250;

export interface PrimaryParts {
  readonly options: DatabaseOptions;
  readonly handle: DatabaseHandle;
  readonly index: PageIndex;
  readonly follower: LogFollower;
  readonly id: DatabaseId;
  readonly epoch: Epoch;
  readonly counters: Counters;
  /** Writes down where we are in the log. */
  save(primary: Primary): void;
  /** This opening is over: open again. Called once. */
  lost(reason: LiveError): void;
}

export class Primary implements LocalDatabase {
  readonly role = "primary";
  readonly source: LiveSource;
  readonly pages: PageReader;
  readonly handle: DatabaseHandle;
  readonly index: PageIndex;
  readonly follower: LogFollower;
  readonly id: DatabaseId;
  readonly counters: Counters;
  readonly delayMs: number;
  readonly #parts: PrimaryParts;
  readonly #env: Env;
  readonly #limits: CheckpointLimits;
  #header: WalIndexHeader;
  /** nBackfill as our own last pass left it: a log with more was checkpointed by somebody else. */
  #backfilled: number;
  #checkpointing = false;
  #lastCommit: number;
  #lastPass: number;
  #lastSave = 0;
  #unsaved = false;
  #backOffUntil = 0;
  #backOffMs = 0;
  #saidHeldUp = false;
  #badSince: number | undefined;
  #recovering = false;
  #lost = false;

  constructor(parts: PrimaryParts, header: WalIndexHeader, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.handle = parts.handle;
    this.index = parts.index;
    this.follower = parts.follower;
    this.id = parts.id;
    this.counters = parts.counters;
    this.delayMs = parts.options.monitorDelayMs;
    this.#limits = {
      soft: parts.options.minCheckpointPageCount,
      hard: parts.options.maxCheckpointPageCount,
    };
    this.#header = header;
    this.#backfilled = this.handle.backfilled();
    this.#lastCommit = this.#lastPass = env.clock.monotonic();
    this.pages = new PageReader({
      database: this.handle.database,
      wal: this.handle.wal,
      backfilled: () => this.handle.backfilled(),
    });
    this.source = new LiveSource(this, env);
  }

  get position(): Position {
    return { epoch: this.#parts.epoch, txid: this.follower.txid };
  }

  get log(): LogState {
    return { mxFrame: this.#header.mxFrame, backfilled: this.handle.backfilled() };
  }

  /** Since the last commit was seen, ms. */
  get quietMs(): number {
    return this.#env.clock.monotonic() - this.#lastCommit;
  }

  /** The application's writer died inside the wal-index header, and nobody has recovered it yet. */
  get broken(): boolean {
    return this.#badSince !== undefined;
  }

  /** Reads what was committed since the last look. Never throws; true if there was something. */
  look(): boolean {
    if (this.#lost) return false;
    try {
      const commits = this.#consume();
      this.#maintain();
      return commits > 0;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** LocalDatabase: a primary is what others are compared with. */
  staleMs(): number {
    return 0;
  }

  /** AnswerSource: what was committed since, read now. */
  refresh(): void {
    if (this.#lost) throw new LiveError("not_ready", "The database is being opened again");
    try {
      this.#consume();
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  /** AnswerSource: a page of the file is not what we read before: somebody changed it under us. */
  distrust(pgno: number): void {
    this.#lose(new LiveError("corrupt", `Page ${pgno} was changed without a commit`, { pgno }));
  }

  /** Once a second: things that only change by hand. */
  check(): void {
    if (this.#lost) return;
    if (this.handle.moved()) {
      this.#lose(new LiveError("not_ready", `"${this.handle.path}" was moved or replaced`));
    } else if (this.#unsaved) this.#save();
  }

  /** Before the process ends. */
  flush(): void {
    if (!this.#lost) this.#save();
  }

  #consume(): number {
    const started = this.#env.clock.monotonic();
    const header = this.handle.walIndex.header();
    if (header === undefined) {
      this.#badHeader(started);
      return 0;
    }
    this.#badSince = undefined;
    const reader = this.follower.reader;
    if (!reader.sameLog(header)) this.#restarted(header);
    else if (header.mxFrame < reader.last) throw unexpected("frames are gone");
    this.#header = header;
    if (header.mxFrame === reader.last) return 0;
    const before = reader.last;
    const commits = this.follower.read(header.mxFrame);
    this.counters.commits += commits;
    this.counters.walBytes += (reader.last - before) * (this.index.pageSize + 24);
    this.counters.syncs++;
    this.#lastCommit = this.#env.clock.monotonic();
    this.counters.syncSeconds += (this.#lastCommit - started) / 1000;
    this.#unsaved = true;
    if (commits > 0) this.source.notify();
    return commits;
  }

  #restarted(header: WalIndexHeader): void {
    const reader = this.follower.reader;
    const before = {
      salt1: reader.salts?.salt1 ?? 0,
      last: reader.last,
      backfilled: this.#backfilled,
    };
    if (!expectedRestart(before, header)) throw unexpected("it began anew before it was read");
    this.follower.begin(header);
    this.#backfilled = 0;
    this.counters.logRestarts++;
    this.#env.log.debug("log restarted by the application", { frames: before.last });
    this.#header = header;
    this.#save();
  }

  /** What a look may start: a checkpoint, the place written down. */
  #maintain(): void {
    const now = this.#env.clock.monotonic();
    if (this.#unsaved && now - this.#lastSave >= SAVE_MS) this.#save();
    if (this.#checkpointing || now < this.#backOffUntil) return;
    const sincePass = now - this.#lastPass;
    const interval = this.#parts.options.checkpointIntervalMs;
    const due = passDue(this.log, this.#limits, now - this.#lastCommit, sincePass, interval);
    if (due === undefined) return;
    this.#checkpointing = true;
    this.#checkpoint().catch((error) => this.#failed(error)).finally(() => {
      this.#checkpointing = false;
    });
  }

  async #checkpoint(): Promise<void> {
    let heldUp = !await this.#pass();
    for (let done = 1; !this.#lost && worthAnotherPass(this.log, this.#limits, done); done++) {
      heldUp = !await this.#pass();
    }
    if (this.#lost || heldUp || !mayTakeWriteLock(this.log, this.#limits)) return;
    await this.#catchUp();
  }

  /**
   * One PASSIVE checkpoint under a pin: nobody restarts the log until we have read all that it
   * backfilled. False if a reader's mark held it up.
   */
  async #pass(): Promise<boolean> {
    this.#consume();
    using pin = this.handle.walIndex.pin();
    if (pin === undefined) return this.#heldUp("no free read mark");
    return await this.#backfill();
  }

  /** PASSIVE on the worker, then everything up to nBackfill read. */
  async #backfill(): Promise<boolean> {
    const started = this.#env.clock.monotonic();
    const before = this.handle.backfilled();
    const result = await this.handle.checkpoint("passive");
    if (this.#lost || result === undefined) return false;
    this.counters.checkpoints++;
    this.counters.checkpointSeconds += (this.#env.clock.monotonic() - started) / 1000;
    this.#lastPass = this.#env.clock.monotonic();
    await this.#readOn(this.handle.backfilled());
    if (this.#lost) return false;
    this.#backfilled = this.handle.backfilled();
    if (result.rc !== 0) {
      this.counters.checkpointErrors++;
      return this.#heldUp(`SQLite code ${result.rc}`);
    }
    // A mark as old as the running transaction is normal; one that lets nothing through is not.
    const stuck = this.#backfilled === before && before < this.#header.mxFrame;
    if (stuck) return this.#heldUp("a reader's mark");
    this.#backOffMs = 0;
    this.#saidHeldUp = false;
    return true;
  }

  /** Reads up to `frame`, which is committed: only a header in the middle of a write delays it. */
  async #readOn(frame: number): Promise<void> {
    const until = this.#env.clock.monotonic() + HEADER_PATIENCE_MS;
    for (;;) {
      this.#consume();
      if (this.follower.reader.last >= frame) return;
      if (this.#env.clock.monotonic() > until) throw unexpected("frames were not read");
      await this.#env.clock.sleep(1);
      if (this.#lost) return;
    }
  }

  #heldUp(what: string): boolean {
    this.#backOffMs = Math.min(BACK_OFF_MS.last, 2 * this.#backOffMs || BACK_OFF_MS.first);
    this.#backOffUntil = this.#env.clock.monotonic() + this.#backOffMs;
    const frames = this.log.mxFrame;
    const grows = this.#limits.hard > 0 && frames >= this.#limits.hard;
    if (!grows || this.#saidHeldUp || this.#backOffMs < BACK_OFF_MS.last) return false;
    this.#saidHeldUp = true;
    const pids = lockHolders(`${this.handle.path}-shm`, READER_BYTES);
    this.#env.log.warn("checkpoint held up, the log grows", { by: what, pids, frames });
    return false;
  }

  /**
   * Past the hard limit: a writer that never pauses leaves no gap in which the log could restart. So
   * the tail is made short, then backfilled under the write lock, which is held for two fsyncs.
   */
  async #catchUp(): Promise<void> {
    for (let tries = 0; tries < 3 && !tailIsShort(this.log); tries++) {
      if (!await this.#pass() || this.#lost) return;
    }
    const lock = await this.#tryWriteLock();
    if (lock === undefined) return;
    const locked = this.#env.clock.monotonic();
    try {
      await this.#backfill();
    } finally {
      lock[Symbol.dispose]();
      this.counters.writeLock.observe((this.#env.clock.monotonic() - locked) / 1000);
    }
  }

  /** A writer that never pauses leaves gaps of microseconds: many tries in a row, then its turn. */
  async #tryWriteLock(): Promise<ShmLock | undefined> {
    const until = this.#env.clock.monotonic() + WRITE_LOCK.ms;
    while (!this.#lost && this.#env.clock.monotonic() < until) {
      for (let tries = 0; tries < WRITE_LOCK.triesInARow; tries++) {
        const lock = this.handle.walIndex.lock(SLOT.write, 1, "exclusive");
        if (lock !== undefined) return lock;
      }
      await this.#env.clock.sleep(0);
    }
    return undefined;
  }

  /** A header in the middle of a write, for microseconds; or its writer died there. */
  #badHeader(now: number): void {
    this.#badSince ??= now;
    if (this.#recovering) return;
    this.#recovering = true;
    this.#recoverHeader().catch((error) => this.#failed(error)).finally(() => {
      this.#recovering = false;
    });
  }

  async #recoverHeader(): Promise<void> {
    for (let tries = 0; tries < 1000 && !this.#lost; tries++) {
      await this.#env.clock.sleep(tries === 0 ? 0 : 1);
      if (this.#lost || this.handle.walIndex.header() !== undefined) break;
      const lock = this.handle.walIndex.lock(SLOT.write, 1, "exclusive");
      if (lock === undefined) continue; // a writer is at work
      const broken = this.handle.walIndex.header() === undefined;
      lock[Symbol.dispose]();
      if (!broken) break;
      this.#env.log.warn("a writer died inside the wal-index header, recovering it");
      await this.handle.recover();
    }
    this.look();
  }

  #save(): void {
    try {
      this.#parts.save(this);
      this.#unsaved = false;
    } catch (error) { // a full disk must not stop the stream; a restart then compares hashes
      this.#env.log.warn("cannot write the state file", { error: messageOf(error) });
    }
    this.#lastSave = this.#env.clock.monotonic();
  }

  #failed(error: unknown): void {
    if (this.#lost) return;
    this.counters.syncErrors++;
    // The WAL's header is written before the wal-index's: for a moment they differ. Look again.
    if (codeOf(error) === "busy") return;
    this.#lose(
      error instanceof LiveError ? error : new LiveError("sqlite", messageOf(error)),
    );
  }

  #lose(reason: LiveError): void {
    if (this.#lost) return;
    this.#lost = true;
    this.source.end(new LiveError("not_ready", "The database is being opened again"));
    this.#parts.lost(reason);
  }
}

function unexpected(what: string): LiveError {
  return new LiveError("corrupt", `The WAL is not as it was left: ${what}`);
}
