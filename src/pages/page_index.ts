/**
 * THE CONCEPT: for every page, the txid in which it last changed, its hash, and the frame of the
 * current log that holds it (0: the database file does). No I/O. May import: base/, pages/hash.
 *
 *     txids   Float64Array   8 B a page
 *     hashes  Uint32Array    8 B a page: high word, low word; 0, 0 = not known yet
 *     frames  Uint32Array    4 B a page
 *
 * Invariants: `hash` is the XOR of all pages' hashes, the lock page left out; pages beyond the
 * database's size have txid, hash and frame 0; `newest[block]` >= every txid in the block; versions
 * <= `floor` are not known apart: such a page may have changed at any time up to it.
 * @module
 */
import { assert } from "../base/assert.ts";
import { giveBack, type Words } from "../base/bytes.ts";
import { LiveError } from "../base/errors.ts";
import { lockPage, type Txid, ZERO_TXID } from "../base/types.ts";

/** Pages a block: what a repair compares first, and what since() passes over at once. */
export const BLOCK_PAGES = 1024;

export class PageIndex {
  readonly pageSize: number;
  readonly lockPage: number;
  #count = 0;
  #txids = new Float64Array(0);
  #hashes = new Uint32Array(0);
  #frames = new Uint32Array(0);
  #newest = new Float64Array(0);
  #high = 0;
  #low = 0;
  /** Asked each second: the same again while it is. */
  #hash: Words = { high: 0, low: 0 };
  /** Pages whose frame is set, in order, so that a log restart costs what the log held. */
  #logged: number[] = [];
  floor: Txid = ZERO_TXID;

  constructor(pageSize: number) {
    this.pageSize = pageSize;
    this.lockPage = lockPage(pageSize);
  }

  /** Database size in pages. */
  get pageCount(): number {
    return this.#count;
  }

  /** XOR of all pages' hashes. */
  get hash(): Words {
    const high = this.#high >>> 0;
    const low = this.#low >>> 0;
    if (this.#hash.high !== high || this.#hash.low !== low) this.#hash = { high, low };
    return this.#hash;
  }

  frameOf(pgno: number): number {
    return pgno <= this.#count ? this.#frames[pgno - 1]! : 0;
  }

  txidOf(pgno: number): number {
    return pgno <= this.#count ? this.#txids[pgno - 1]! : 0;
  }

  /** True if the two words at `at` of `words` are the hash of page `pgno`. */
  hasHash(pgno: number, words: Uint32Array, at: number): boolean {
    const slot = 2 * (pgno - 1);
    return this.#hashes[slot] === words[at] && this.#hashes[slot + 1] === words[at + 1];
  }

  hashOf(pgno: number): Words {
    if (pgno > this.#count) return { high: 0, low: 0 };
    return { high: this.#hashes[2 * pgno - 2]!, low: this.#hashes[2 * pgno - 1]! };
  }

  /** The first page whose hash is not known; undefined if there is none. */
  firstUnknown(): number | undefined {
    for (let slot = 0; slot < this.#count; slot++) {
      const unknown = this.#hashes[2 * slot] === 0 && this.#hashes[2 * slot + 1] === 0;
      if (unknown && slot + 1 !== this.lockPage) return slot + 1;
    }
    return undefined;
  }

  /** The size after a commit. Pages beyond it are forgotten, new ones have no hash yet. */
  resize(pageCount: number): void {
    if (pageCount > this.#txids.length) this.#grow(pageCount);
    for (let pgno = pageCount + 1; pgno <= this.#count; pgno++) {
      const slot = 2 * (pgno - 1);
      this.#high ^= this.#hashes[slot]!;
      this.#low ^= this.#hashes[slot + 1]!;
      this.#hashes[slot] = 0;
      this.#hashes[slot + 1] = 0;
      this.#txids[pgno - 1] = 0;
      this.#frames[pgno - 1] = 0;
    }
    this.#count = pageCount;
  }

  /** Page `pgno` has this hash since `txid`, in frame `frame` of the log (0: in the file). */
  record(pgno: number, high: number, low: number, txid: number, frame: number): void {
    assert(pgno >= 1 && pgno <= this.#count, `page ${pgno} is within the database`);
    if (pgno === this.lockPage) return;
    const slot = 2 * (pgno - 1);
    this.#high ^= this.#hashes[slot]! ^ high;
    this.#low ^= this.#hashes[slot + 1]! ^ low;
    this.#hashes[slot] = high;
    this.#hashes[slot + 1] = low;
    this.#txids[pgno - 1] = txid;
    if (frame !== 0) {
      if (this.#frames[pgno - 1] === 0) this.#logged.push(pgno);
      this.#frames[pgno - 1] = frame;
    }
    const block = (pgno - 1) >>> 10;
    if (this.#newest[block]! < txid) this.#newest[block] = txid;
  }

  /** The log began anew: every page is in the file. */
  clearFrames(): void {
    for (const pgno of this.#logged) if (pgno <= this.#count) this.#frames[pgno - 1] = 0;
    this.#logged = [];
  }

  /** Pages that have a frame in the log, each once; some may be beyond the database's size by now. */
  get logged(): readonly number[] {
    return this.#logged.filter((pgno) => pgno <= this.#count && this.#frames[pgno - 1] !== 0);
  }

  /** Pages newer than `since`, ascending. O(blocks + pages of the blocks that have any). */
  since(since: number): number[] {
    const pages: number[] = [];
    for (let pgno = 0; (pgno = this.nextSince(since, pgno)) !== 0;) pages.push(pgno);
    return pages;
  }

  /** How many pages are newer than `since`. */
  countSince(since: number): number {
    let count = 0;
    for (let pgno = 0; (pgno = this.nextSince(since, pgno)) !== 0;) count++;
    return count;
  }

  /** The first page after `after` that is newer than `since`; 0 if there is none. */
  nextSince(since: number, after: number): number {
    for (let slot = after; slot < this.#count; slot++) {
      if (this.#newest[slot >>> 10]! <= since) slot |= BLOCK_PAGES - 1; // none among these
      else if (this.#txids[slot]! > since) return slot + 1;
    }
    return 0;
  }

  /** XOR of the page hashes of each block: 2 words a block. */
  blockHashes(): Uint32Array<ArrayBuffer> {
    const blocks = Math.ceil(this.#count / BLOCK_PAGES);
    const out = new Uint32Array(2 * blocks);
    for (let slot = 0; slot < this.#count; slot++) {
      const block = slot >>> 10;
      out[2 * block]! ^= this.#hashes[2 * slot]!;
      out[2 * block + 1]! ^= this.#hashes[2 * slot + 1]!;
    }
    return out;
  }

  /** The page hashes of one block, 2 words a page; the last block may be shorter. */
  pageHashes(block: number): Uint32Array<ArrayBuffer> {
    const start = block * BLOCK_PAGES;
    const end = Math.min(start + BLOCK_PAGES, this.#count);
    return this.hashesFrom(start + 1, Math.max(0, end - start));
  }

  /** The hashes of `count` pages from `first` on, 2 words a page: a copy; 0, 0 beyond the database. */
  hashesFrom(first: number, count: number): Uint32Array<ArrayBuffer> {
    return this.#hashes.slice(2 * (first - 1), 2 * (first - 1 + count));
  }

  /** Every page as if changed at `txid`, and not known apart before. */
  setFloor(txid: Txid): void {
    this.floor = txid;
    this.#txids.fill(txid, 0, this.#count);
    if (this.lockPage <= this.#count) this.#txids[this.lockPage - 1] = 0; // never sent
    this.#newest.fill(txid, 0, Math.ceil(this.#count / BLOCK_PAGES));
  }

  #grow(pageCount: number): void {
    try {
      this.#growTo(pageCount);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new LiveError("disk", `Not enough memory for an index of ${pageCount} pages`);
    }
  }

  #growTo(pageCount: number): void {
    const blocks = Math.ceil(Math.max(pageCount, this.#txids.length * 1.5) / BLOCK_PAGES);
    const capacity = Math.max(64, blocks * BLOCK_PAGES);
    const grown = <T extends Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>(
      into: T,
      from: T,
    ): T => {
      into.set(from);
      giveBack(from); // all that it outgrows is twice its size, until it is collected
      return into;
    };
    this.#txids = grown(new Float64Array(capacity), this.#txids);
    this.#hashes = grown(new Uint32Array(2 * capacity), this.#hashes);
    this.#frames = grown(new Uint32Array(capacity), this.#frames);
    this.#newest = grown(new Float64Array(Math.ceil(capacity / BLOCK_PAGES)), this.#newest);
  }
}
