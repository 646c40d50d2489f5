/**
 * Applies answers to a readable replica: one answer is one transaction of its WAL. May import: base/,
 * pages/, sqlite/library, wal/, changes/, node/.
 *
 * Invariants: WRITE and CKPT are held by us as long as the database is open (nobody else needs them
 * on a guarded file); nothing becomes visible whose hash is not what the upstream said; what is about
 * to be is written down before it is published, so a restart finds exactly where it was.
 * @module
 */
import { type Bytes, formatWords, sameWords } from "../base/bytes.ts";
import type { Env } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import type { ShmLock } from "../base/io.ts";
import { MAX_PGNO, type Position, txid } from "../base/types.ts";
import type { Begin, Commit, Pages } from "../changes/records.ts";
import { hashPage } from "../pages/hash.ts";
import type { PageIndex } from "../pages/page_index.ts";
import { GUARD_VERSION, WRITE_VERSION_BYTE } from "../pages/page_reader.ts";
import { PendingPages } from "../pages/pending.ts";
import { RC } from "../sqlite/library.ts";
import { SLOT, type WalIndexHeader } from "../wal/wal_index.ts";
import { WalWriter } from "../wal/writer.ts";
import type { Counters } from "./counters.ts";
import { writeGuard } from "./guard.ts";
import type { DatabaseHandle } from "./handle.ts";
import { Overdue, OVERDUE_MS } from "./overdue.ts";
import type { SavedIndex } from "./saved_index.ts";
import type { Target } from "./target.ts";

/** After a checkpoint that did not do all: a reader's mark stays, a commit of ours does not. */
const BACK_OFF_MS = 1000;
const MEETING_MS = 20;

export interface ApplierOptions {
  readonly handle: DatabaseHandle;
  readonly index: PageIndex;
  readonly savedIndex: SavedIndex;
  /** What the index was made from: nobody may have written since. */
  readonly header: WalIndexHeader;
  readonly counters: Counters;
  /** Frames from which the log is checkpointed, and from which an answer waits for that. */
  readonly soft: number;
  readonly hard: number;
  /** Written down before a transaction can become visible: it will be at `commit`. */
  willBeAt(commit: Commit): void;
  isAt(position: Position): void;
}

export class Applier implements Target {
  readonly index: PageIndex;
  readonly #options: ApplierOptions;
  readonly #handle: DatabaseHandle;
  readonly #env: Env;
  readonly #writer: WalWriter;
  readonly #pending = new PendingPages();
  readonly #hash = new Uint32Array(2);
  readonly #page1: Bytes;
  #writeLock: ShmLock | undefined;
  #header: WalIndexHeader;
  #checkpointing: Promise<void> | undefined;
  readonly #checkpoint: Overdue;
  #backOffUntil = 0;
  /** Checkpoints have failed since (monotonic), last so. */
  #failing: { since: number; what: string } | undefined;

  /** Takes WRITE. @throws {LiveError} "busy" if somebody writes. */
  constructor(options: ApplierOptions, env: Env) {
    this.#options = options;
    this.#handle = options.handle;
    this.index = options.index;
    this.#env = env;
    this.#checkpoint = new Overdue(env.clock, "a checkpoint of the replica's log");
    this.#writeLock = this.#handle.walIndex.lock(SLOT.write, 1, "exclusive");
    if (this.#writeLock === undefined) {
      throw new LiveError("busy", `Another process is writing to "${this.#handle.path}"`);
    }
    const { header } = options;
    if (!sameLogEnd(this.#handle.walIndex.header(), header)) {
      this.#writeLock[Symbol.dispose]();
      throw new LiveError("corrupt", `Another process has written to "${this.#handle.path}"`);
    }
    this.#header = header;
    this.#handle.walIndex.mendBackfill(header.mxFrame);
    const { pageSize } = this.index;
    this.#page1 = new Uint8Array(pageSize);
    this.#writer = new WalWriter(this.#handle.wal, this.#handle.walIndex, pageSize, header);
  }

  get mxFrame(): number {
    return this.#header.mxFrame;
  }

  async begin(_begin: Begin): Promise<void> {
    this.#pending.clear();
    if (this.#header.mxFrame >= this.#options.hard) {
      this.#maintain();
      await this.#checkpointing; // no new frames meanwhile, so it reaches the end
    }
    if (!sameLogEnd(this.#handle.walIndex.header(), this.#header)) {
      throw new LiveError("corrupt", `Somebody else wrote to "${this.#handle.path}"`);
    }
    this.#restartLog();
    await this.#writer.begin(this.#header, () => Math.floor(this.#env.random.fraction() * 2 ** 32));
  }

  pages(pages: Pages): void {
    for (let nth = 0; nth < pages.count; nth++) {
      const pgno = pages.pgno(nth);
      let page = pages.page(nth);
      const hash = pages.hash(nth);
      hashPage(page, pgno, this.#hash);
      if (
        pgno === 0 || pgno > MAX_PGNO || this.#hash[0] !== hash.high || this.#hash[1] !== hash.low
      ) {
        throw new LiveError("checksum", `Page ${pgno} arrived with another hash`, { pgno });
      }
      if (pgno === 1) page = this.#guarded(page);
      this.#pending.add(pgno, hash, this.#writer.add(pgno, page));
    }
  }

  // deno-lint-ignore require-await -- a Target may have to wait, this one must not (no torn state)
  async commit(commit: Commit): Promise<void> {
    if (!this.#pending.fills(this.index, commit.pageCount)) {
      throw new LiveError(
        "upstream",
        `Broken stream: ${commit.pageCount} pages, ${this.index.pageCount} were here, and not all came`,
      );
    }
    const hash = this.#pending.hashWith(this.index, commit.pageCount);
    if (!sameWords(hash, commit.hash)) {
      this.abort();
      throw new LiveError(
        "position_gone",
        `The upstream's hash is ${formatWords(commit.hash)}, this database's would be ` +
          formatWords(hash),
      );
    }
    const frames = this.#pending.count;
    if (frames === 0) return this.#nothing(commit);
    // Written down before the commit frame: whoever opens the file after a kill recovers that frame.
    this.#options.willBeAt(commit);
    this.#writer.finish(commit.pageCount);
    const { salt1, salt2 } = this.#header;
    this.#header = this.#writer.publish(commit.pageCount);
    this.#pending.commitTo(this.index, commit.pageCount, commit.txid);
    const { header } = this;
    const isFirst = header.salt1 !== salt1 || header.salt2 !== salt2; // there was no log
    if (isFirst) this.#options.savedIndex.restarted(header);
    this.#options.counters.walBytes += frames * (this.index.pageSize + 24);
    this.#options.isAt({ epoch: commit.epoch, txid: commit.txid });
    this.#maintain();
  }

  abort(): void {
    this.#pending.clear();
  }

  /** An answer without pages: the same content is at a later place of the history. */
  #nothing(commit: Commit): void {
    if (commit.pageCount !== this.index.pageCount) {
      throw new LiveError("upstream", "Broken stream: another size without a page");
    }
    this.#options.willBeAt(commit);
    this.#options.isAt({ epoch: commit.epoch, txid: commit.txid });
  }

  /**
   * Takes the write guard off, as a transaction of page 1 alone; the content stays what it is. On disk
   * when it returns, and still nobody writes before close().
   * @throws {LiveError} "disk", "corrupt", "busy": then the guard is still there.
   */
  async unguard(): Promise<WalIndexHeader> {
    this.#backOffUntil = Infinity;
    try {
      await this.#checkpointing;
      const { pageCount } = this.index;
      const guarded = { handle: this.#handle, index: this.index, header: this.#header };
      const { header, frame } = await writeGuard(guarded, false, this.#env);
      this.#header = header;
      this.#pending.clear();
      this.#pending.add(1, this.index.hashOf(1), frame);
      this.#pending.commitTo(this.index, pageCount, txid(this.index.txidOf(1)));
      return this.#header;
    } finally {
      this.#backOffUntil = 0;
    }
  }

  /** Until no checkpoint is under way. */
  async settled(): Promise<void> {
    await this.#checkpointing;
  }

  /** The end of the log as the index has it. */
  get header(): WalIndexHeader {
    return this.#header;
  }

  /** Starts a checkpoint if one is due; also called by the slow timer. */
  maintain(): void {
    this.#maintain();
  }

  /** Why the log grows, a sentence; undefined while all is well. */
  trouble(): string | undefined {
    if (this.#failing === undefined) return this.#checkpoint.trouble();
    const { since, what } = this.#failing;
    if (this.#env.clock.monotonic() - since < OVERDUE_MS) return undefined;
    return `no checkpoint of the replica's log succeeds, and it grows: ${what}`;
  }

  /** Waits for the checkpoint and lets others write again (they are still kept out by the guard). */
  async close(): Promise<void> {
    await this.#checkpointing;
    this.#writeLock?.[Symbol.dispose]();
    this.#writeLock = undefined;
  }

  /** Page 1 as it lies on this disk: no stock SQLite writes to a file with this write version. */
  #guarded(page: Bytes): Bytes {
    this.#page1.set(page);
    this.#page1[WRITE_VERSION_BYTE] = GUARD_VERSION;
    return this.#page1;
  }

  /** Begins the log anew if all of it is in the file and no reader uses it. */
  #restartLog(): void {
    const { walIndex } = this.#handle;
    if (this.#header.mxFrame === 0 || walIndex.backfilled !== this.#header.mxFrame) return;
    if (this.#handle.working) return;
    const readers = walIndex.lock(SLOT.read0 + 1, 4, "exclusive");
    if (readers === undefined) return; // long readers only delay it
    const salt2 = Math.floor(this.#env.random.fraction() * 2 ** 32);
    this.#header = walIndex.restart(this.#header, salt2);
    readers[Symbol.dispose]();
    this.#options.savedIndex.restarted(this.#header);
    this.index.clearFrames();
    this.#options.counters.logRestarts++;
  }

  #maintain(): void {
    const { mxFrame } = this.#header;
    if (this.#checkpointing !== undefined || mxFrame < this.#options.soft) return;
    if (this.#handle.walIndex.backfilled >= mxFrame) return;
    if (this.#env.clock.monotonic() < this.#backOffUntil) return;
    this.#checkpointing = this.#checkpoint.watch(() => this.#pass(mxFrame)).finally(() => {
      this.#checkpointing = undefined;
    });
  }

  async #pass(target: number): Promise<void> {
    const { counters } = this.#options;
    const started = this.#env.clock.monotonic();
    const result = await this.#handle.checkpoint("passive");
    counters.checkpoints++;
    counters.checkpointSeconds += (this.#env.clock.monotonic() - started) / 1000;
    const rc = result?.rc ?? 0;
    if (rc === 0) this.#failing = undefined;
    else {
      counters.checkpointErrors++;
      this.#failed(rc);
    }
    if (rc === 0 && this.#handle.walIndex.backfilled >= target) return;
    const now = this.#env.clock.monotonic();
    // Busy: it met us in the middle of a commit. Else, or if that lasts, a reader's mark is in the way.
    const isMeeting = (rc & 0xff) === RC.busy && now - this.#failing!.since < BACK_OFF_MS;
    this.#backOffUntil = now + (isMeeting ? MEETING_MS : BACK_OFF_MS);
  }

  #failed(rc: number): void {
    const what = `SQLite code ${rc}`;
    const isNews = this.#failing?.what !== what && (rc & 0xff) !== RC.busy;
    if (isNews) this.#env.log.warn("checkpoint failed", { why: what });
    this.#failing = { since: this.#failing?.since ?? this.#env.clock.monotonic(), what };
  }
}

/** Nothing was committed between the two, and no log restarted. */
function sameLogEnd(now: WalIndexHeader | undefined, then: WalIndexHeader): boolean {
  return now !== undefined && now.mxFrame === then.mxFrame && now.salt1 === then.salt1 &&
    now.salt2 === then.salt2 && now.sum.s1 === then.sum.s1 && now.sum.s2 === then.sum.s2;
}
