/**
 * Reads committed frames into the page index: per commit txid + 1, frames beyond the commit's size
 * dropped, the last copy of a page wins. May import: base/, wal/, pages/.
 *
 * Invariant: the index is always as of a commit, never of half a transaction; frames of a commit that
 * was read in pieces wait in `#pending`, and those of one that has not come yet behind them.
 * @module
 */
import type { Clock } from "../base/env.ts";
import type { ByteFile } from "../base/io.ts";
import { type Txid, txid } from "../base/types.ts";
import { hashPage } from "../pages/hash.ts";
import type { PageIndex } from "../pages/page_index.ts";
import { unguard } from "../pages/page_reader.ts";
import { PendingPages } from "../pages/pending.ts";
import { type FrameSink, WalReader } from "../wal/reader.ts";
import type { WalIndexHeader } from "../wal/wal_index.ts";

const SLICE_FRAMES = 8192;

export class LogFollower {
  readonly reader: WalReader;
  readonly #index: PageIndex;
  readonly #pending = new PendingPages();
  readonly #hash = new Uint32Array(2);
  #txid: Txid;
  /** So many of the pending pages are committed; the others were read ahead. */
  #solid = 0;
  /** False while the log is only being read for its pages: its commits are counted already. */
  counting = true;

  constructor(wal: ByteFile, index: PageIndex, start: Txid) {
    this.reader = new WalReader(wal);
    this.#index = index;
    this.#txid = start;
  }

  get txid(): Txid {
    return this.#txid;
  }

  /** Goes to the start of the log of `header`; what was in an older log is in the file by now. */
  begin(header: WalIndexHeader): void {
    this.#index.clearFrames();
    this.reader.begin(header);
    if (!this.reader.isAhead) this.#pending.clear();
  }

  /** Goes to the end of the log of `header`, whose pages the index has already. */
  resume(header: WalIndexHeader): void {
    this.reader.resume(header);
  }

  /** Reads up to frame `upTo` (committed); returns the number of commits found. */
  read(upTo: number): number {
    let commits = 0;
    const forget = (): void => this.#pending.truncate(this.#solid);
    this.reader.read(upTo, (frame, header, buffer, at) => {
      this.#hold(frame, header, buffer, at);
      if (header.commit === 0) return;
      this.#commit(header.commit);
      commits++;
    }, forget);
    return commits;
  }

  /**
   * Reads up to `most` frames of a transaction that is being written, so that there is little to do
   * once it commits; returns how many. Nothing of them is seen before.
   */
  readAhead(most: number): number {
    if (!this.reader.isAhead) this.#solid = this.#pending.count;
    return this.reader.readAhead(most, this.#hold);
  }

  /** Like read(), giving up the event loop now and then: a log may have grown to any size. */
  async readAll(upTo: number, clock: Clock): Promise<void> {
    while (this.reader.last < upTo) {
      this.read(Math.min(upTo, this.reader.last + SLICE_FRAMES));
      await clock.sleep(0);
    }
  }

  readonly #hold: FrameSink = (frame, { pgno }, buffer, at) => {
    const page = buffer.subarray(at, at + this.#index.pageSize);
    if (pgno === 1) unguard(page); // a replica's own log
    hashPage(page, pgno, this.#hash);
    this.#pending.add(pgno, { high: this.#hash[0]!, low: this.#hash[1]! }, frame);
  };

  #commit(pageCount: number): void {
    if (this.counting) this.#txid = txid(this.#txid + 1);
    this.#pending.commitTo(this.#index, pageCount, this.#txid);
  }
}
