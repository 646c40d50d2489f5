/**
 * A live primary: one opening of the application's database. It reads each commit from the WAL as it
 * comes, keeps the index, has the log checkpointed when it is long, and serves what changed. May import:
 * base/, sqlite/ and wal/ by node/handle, pages/, changes/.
 *
 * Nothing of ours is written into the application's files: no table, no byte of the database, the WAL
 * or the wal-index's header (but the guard, when it steps down: node/demotion). Invariant: every frame
 * <= nBackfill has been read, or the log is pinned.
 * What cannot be explained (a log that began anew without us, a file that moved) ends this opening;
 * node/database.ts opens again, and a new epoch makes replicas compare hashes.
 * @module
 */
import type { Env } from "../base/env.ts";
import { codeOf, LiveError } from "../base/errors.ts";
import type { DatabaseId, Epoch, Position } from "../base/types.ts";
import type { PageIndex } from "../pages/page_index.ts";
import { PageReader } from "../pages/page_reader.ts";
import { expectedRestart, type LogState } from "../wal/checkpoint.ts";
import { SLOT, type WalIndexHeader } from "../wal/wal_index.ts";
import { type Checkpointed, Checkpointer } from "./checkpointer.ts";
import type { Counters } from "./counters.ts";
import type { DatabaseHandle } from "./handle.ts";
import { LiveSource, type LocalDatabase } from "./live_source.ts";
import type { LogFollower } from "./log_follower.ts";
import type { DatabaseOptions } from "./options.ts";
import { OVERDUE_MS } from "./overdue.ts";
import type { SavedIndex } from "./saved_index.ts";
import { WatchedFile } from "./watched_file.ts";

/** There is a look each second; one that is so late is told to replicas, which then are not current. */
const LOOK_LATE_MS = 1500;
/** A WAL that cannot be read for so long is opened again. */
const GIVE_UP_MS = 5000;
/** How often the place in the log is written down while commits come. */
const SAVE_MS = 250;
/** Such a transaction takes a while to send; its checkpoint, which takes a core, can wait so long. */
const LARGE_FRAMES = 1000;
const SENDING_MS = 300;
/** Read of a transaction that is not committed yet, at one go. */
const AHEAD_BYTES = 4 * 1024 * 1024;
const FRAGILE =
  "the application's SQLite left frames without a checksum (a bug up to 3.50.1): a crash " +
  "before the next checkpoint loses these commits";
const UNSEEN = "it began anew before it was read";

export interface PrimaryParts {
  readonly options: DatabaseOptions;
  readonly handle: DatabaseHandle;
  readonly index: PageIndex;
  readonly follower: LogFollower;
  readonly savedIndex: SavedIndex;
  readonly id: DatabaseId;
  readonly epoch: Epoch;
  readonly ancestors: readonly Position[];
  readonly counters: Counters;
  /** Writes down where we are in the log. */
  save(primary: Primary): void;
  /** The position has moved. */
  moved(): void;
  /** This opening is over: open again. Called once. */
  lost(reason: LiveError): void;
}

export class Primary implements LocalDatabase, Checkpointed {
  readonly role = "primary";
  readonly source: LiveSource;
  readonly pages: PageReader;
  readonly handle: DatabaseHandle;
  readonly index: PageIndex;
  readonly follower: LogFollower;
  readonly id: DatabaseId;
  readonly ancestors: readonly Position[];
  readonly counters: Counters;
  readonly delayMs: number;
  readonly #parts: PrimaryParts;
  readonly #env: Env;
  readonly #checkpointer: Checkpointer;
  readonly #database: WatchedFile;
  #header: WalIndexHeader;
  /** Asked each second: the same again while nothing is committed. */
  #position: Position;
  /** `change` when all was read, of a log that others restarted; what is read next tells if all was seen. */
  #unproven: number | undefined;
  #failingSince: number | undefined;
  #lastCommit: number;
  /** The log was read, or nothing new was in it. */
  #lastLook: number;
  /** A large transaction was read, monotonic. */
  #lastLarge = -Infinity;
  #lastSave = 0;
  #saveError: string | undefined;
  #unsaved = false;
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
    this.ancestors = parts.ancestors;
    this.counters = parts.counters;
    this.delayMs = parts.options.monitorDelayMs;
    const { minCheckpointPageCount: soft, maxCheckpointPageCount: hard } = parts.options;
    const interval = parts.options.checkpointIntervalMs;
    this.#checkpointer = new Checkpointer(this, { soft, hard }, interval, env);
    this.#header = header;
    this.#position = { epoch: parts.epoch, txid: parts.follower.txid };
    this.#lastCommit = this.#lastLook = env.clock.monotonic();
    this.#database = new WatchedFile(this.handle.database);
    this.pages = new PageReader({
      database: this.#database,
      wal: this.handle.wal,
      backfilled: () => this.handle.backfilled(),
    });
    this.source = new LiveSource(this, env);
  }

  get position(): Position {
    const { txid } = this.follower;
    if (this.#position.txid !== txid) this.#position = { epoch: this.#parts.epoch, txid };
    return this.#position;
  }

  get log(): LogState {
    const { mxFrame } = this.#header;
    const fragile = this.follower.reader.unsummed > 0;
    return { mxFrame, backfilled: this.handle.backfilled(), fragile };
  }

  /** Checkpointed: last frame read. */
  get last(): number {
    return this.follower.reader.last;
  }

  get isLost(): boolean {
    return this.#lost;
  }

  /** Checkpointed: a large transaction has just been read, which is being sent now. */
  get isSending(): boolean {
    return this.source.isFollowed && this.#env.clock.monotonic() - this.#lastLarge < SENDING_MS;
  }

  /** Since the last commit was seen, ms. */
  get quietMs(): number {
    return this.#env.clock.monotonic() - this.#lastCommit;
  }

  /** Why it makes no progress although it should, a sentence; undefined while all is well. */
  trouble(now = this.#env.clock.monotonic()): string | undefined {
    if (now - (this.#badSince ?? now) > OVERDUE_MS) {
      return "the wal-index header is broken, a writer died in it, and it cannot be recovered";
    }
    if (now - (this.#failingSince ?? now) > OVERDUE_MS) return "the WAL cannot be read";
    const unseenMs = now - this.#lastLook;
    if (unseenMs > OVERDUE_MS) {
      return `the log has not been looked at for ${Math.round(unseenMs / 1000)} s`;
    }
    return this.#database.trouble ?? this.#saveError ?? this.#checkpointer.trouble(now);
  }

  /** Reads what was committed since the last look. Never throws; true if there was something. */
  look(): boolean {
    if (this.#lost) return false;
    try {
      const commits = this.consume() ?? 0;
      this.#failingSince = undefined;
      this.#maintain();
      return commits > 0;
    } catch (error) {
      this.failed(error);
      return false;
    }
  }

  /** There is something new, or much that is not committed yet. Never throws. */
  woken(): void {
    if (!this.look() && !this.#lost) this.#readAhead();
  }

  /** LocalDatabase: a primary is what others are compared with, as long as it reads its log. */
  staleMs(): number {
    const ms = this.#env.clock.monotonic() - this.#lastLook;
    return ms > LOOK_LATE_MS ? Math.round(ms) : 0;
  }

  /** AnswerSource: what was committed since, read now. */
  refresh(): boolean {
    if (this.#lost) throw new LiveError("not_ready", "The database is being opened again");
    try {
      return this.consume() !== undefined;
    } catch (error) {
      this.failed(error);
      throw error;
    }
  }

  /** AnswerSource: a page of the file is not what we read before: somebody changed it under us. */
  distrust(pgno: number): void {
    this.#parts.savedIndex.discard();
    this.lose(new LiveError("corrupt", `Page ${pgno} was changed without a commit`, { pgno }));
  }

  /** Once a second: things that only change by hand. */
  check(): void {
    if (this.#lost) return;
    if (this.handle.wasMoved) {
      this.lose(new LiveError("not_ready", `"${this.handle.path}" was moved or replaced`));
      return;
    }
    if (this.#unsaved) this.#save();
    this.#database.retry();
  }

  /** Before the process ends. */
  flush(): void {
    if (!this.#lost) this.#save();
  }

  /** Reads what is committed: so many commits; undefined: the header is being written. @throws {LiveError}. */
  consume(): number | undefined {
    const started = this.#env.clock.monotonic();
    const header = this.handle.walIndex.header();
    if (header === undefined) {
      this.#badHeader(started);
      return undefined;
    }
    this.#badSince = undefined;
    const reader = this.follower.reader;
    if (!reader.sameLog(header)) this.#restarted(header);
    else if (header.mxFrame < reader.last) throw unexpected("frames are gone");
    this.#header = header;
    const commits = header.mxFrame === reader.last ? 0 : this.#read(header.mxFrame, started);
    const missed = this.#unproven !== undefined &&
      (this.#unproven + commits) >>> 0 !== header.change;
    if (missed) throw unexpected(UNSEEN);
    this.#unproven = undefined;
    this.#lastLook = started;
    if (commits > 0) {
      this.source.notify();
      this.#parts.moved();
    }
    return commits;
  }

  #read(upTo: number, started: number): number {
    const { reader } = this.follower;
    const { last: before, unsummed: bare } = reader;
    const commits = this.follower.read(upTo);
    if (bare === 0 && reader.unsummed > 0) this.#env.log.warn(FRAGILE, { frames: reader.unsummed });
    this.counters.commits += commits;
    this.counters.walBytes += (reader.last - before) * (this.index.pageSize + 24);
    this.counters.syncs++;
    this.#lastCommit = this.#env.clock.monotonic();
    this.counters.syncSeconds += (this.#lastCommit - started) / 1000;
    if (reader.last - before > LARGE_FRAMES * Math.max(1, commits)) {
      this.#lastLarge = this.#lastCommit;
    }
    this.#unsaved = true;
    return commits;
  }

  /** What a large transaction has written so far: when it commits, little is left to read. */
  #readAhead(): void {
    try {
      const most = Math.ceil(AHEAD_BYTES / this.index.pageSize);
      this.counters.aheadFrames += this.follower.readAhead(most);
    } catch (error) { // what cannot be read will be told when it is committed
      if (!(error instanceof LiveError)) throw error; // a bug
    }
  }

  #restarted(header: WalIndexHeader): void {
    const reader = this.follower.reader;
    const before = {
      salt1: reader.salts?.salt1 ?? 0,
      last: reader.last,
      backfilled: this.#checkpointer.backfilled,
    };
    const after = { salt1: header.salt1, sequence: this.#sequence(header) };
    // Others may backfill and restart it while CKPT is lent: then the commits are counted.
    if (this.#checkpointer.isLent) this.#unproven ??= this.#header.change;
    else if (!expectedRestart(before, after)) throw unexpected(UNSEEN);
    this.#parts.savedIndex.restarted(header);
    this.follower.begin(header);
    this.#checkpointer.restarted();
    this.counters.logRestarts++;
    this.#env.log.debug("log restarted by the application", { frames: before.last });
    this.#header = header;
    this.#save();
  }

  /** The checkpoint sequence in the WAL's header; undefined if that is not the log of `header`. */
  #sequence({ salt1, salt2 }: WalIndexHeader): number | undefined {
    const found = this.follower.reader.ownHeader();
    return found?.salt1 === salt1 && found.salt2 === salt2 ? found.sequence : undefined;
  }

  /** What a look may start: a checkpoint, the place written down. */
  #maintain(): void {
    const now = this.#env.clock.monotonic();
    if (this.#unsaved && now - this.#lastSave >= SAVE_MS) this.#save();
    this.#checkpointer.maintain(now - this.#lastCommit, now);
  }

  /** A header in the middle of a write, for microseconds; or its writer died there. */
  #badHeader(now: number): void {
    this.#badSince ??= now;
    if (this.#recovering) return;
    this.#recovering = true;
    this.#recoverHeader().catch((error) => this.failed(error)).finally(() => {
      this.#recovering = false;
    });
  }

  async #recoverHeader(): Promise<void> {
    for (let tries = 0; tries < 1000 && !this.#lost; tries++) {
      await this.#env.clock.sleep(tries === 0 ? 0 : 1);
      if (this.#lost || this.handle.walIndex.header() !== undefined) break;
      // Asked before the lock is tried: a writer that has just let go would find it taken.
      if (this.handle.isBeingWritten()) continue;
      if (this.handle.walIndex.header() !== undefined) break;
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
      this.#saveError = undefined;
    } catch (error) { // a full disk must not stop the stream; a restart then compares hashes
      if (!(error instanceof LiveError)) throw error; // a bug
      if (this.#saveError === undefined) this.#env.log.warn(error.message);
      this.#saveError = error.message;
    }
    this.#lastSave = this.#env.clock.monotonic();
  }

  /** Ends this opening, unless it is something that passes by itself. */
  failed(error: unknown): void {
    if (!(error instanceof LiveError)) throw error; // a bug
    if (this.#lost) return;
    this.counters.syncErrors++;
    // The WAL's header is written before the wal-index's: for a moment they differ. Look again.
    const now = this.#env.clock.monotonic();
    this.#failingSince ??= now;
    if (codeOf(error) === "busy" && now - this.#failingSince < GIVE_UP_MS) return;
    this.lose(error);
  }

  /** Ends the streams; the handle may be closed then. */
  end(reason: LiveError): void {
    this.#lost = true;
    this.#parts.savedIndex.close();
    this.source.end(reason);
  }

  /** Ends this opening, once. */
  lose(reason: LiveError): void {
    if (this.#lost) return;
    this.end(new LiveError("not_ready", "The database is being opened again"));
    this.#parts.lost(reason);
  }
}

function unexpected(what: string): LiveError {
  return new LiveError("corrupt", `The WAL is not as it was left: ${what}`);
}
