/**
 * Appends one transaction to a WAL: frames first, published at the end. Replicas only, with WRITE and
 * CKPT held. May import: base/.
 *
 * Frames behind mxFrame do not exist for anybody until the wal-index's header is published, so they
 * are written as they come, and an abort has nothing to undo. The last page is held back, because the
 * last frame carries the commit.
 * @module
 */
import { assert } from "../base/assert.ts";
import type { Bytes } from "../base/bytes.ts";
import type { ByteFile } from "../base/io.ts";
import {
  encodeWalHeader,
  FRAME_HEADER_BYTES,
  type FrameChain,
  frameOffset,
  sealFrame,
} from "./format.ts";
import type { WalIndex, WalIndexHeader } from "./wal_index.ts";

/** SQLite's own largest write. */
const BUFFER_BYTES = 65536;

export class WalWriter {
  readonly #file: ByteFile;
  readonly #walIndex: WalIndex;
  readonly #frameBytes: number;
  readonly #capacity: number;
  /** Grows up to `#capacity` frames. */
  #buffer: Bytes;
  readonly #held: Bytes;
  #heldPgno = 0;
  #buffered: number[] = [];
  #chain: FrameChain | undefined;
  #header: WalIndexHeader;
  #frame = 0;

  constructor(file: ByteFile, walIndex: WalIndex, pageSize: number, header: WalIndexHeader) {
    this.#file = file;
    this.#walIndex = walIndex;
    this.#frameBytes = FRAME_HEADER_BYTES + pageSize;
    this.#capacity = Math.max(1, Math.floor(BUFFER_BYTES / this.#frameBytes));
    this.#buffer = new Uint8Array(this.#frameBytes);
    this.#held = new Uint8Array(pageSize);
    this.#header = header;
  }

  /**
   * Begins a transaction behind `header`'s last frame. A log without frames gets its WAL header
   * written and fsynced first: without that, a power cut would recover a prefix of the old log over a
   * newer database file.
   */
  async begin(header: WalIndexHeader, random32: () => number): Promise<void> {
    const pageSize = this.#held.length;
    this.#buffered = [];
    this.#heldPgno = 0;
    this.#frame = header.mxFrame;
    if (header.mxFrame > 0) {
      const { salt1, salt2, bigEndian } = header;
      this.#chain = { pageSize, salt1, salt2, bigEndian, sum: { ...header.sum } };
      this.#header = header;
      return;
    }
    const fresh = header.salt1 === 0 && header.salt2 === 0;
    const salt1 = fresh ? random32() : header.salt1;
    const salt2 = fresh ? random32() : header.salt2;
    const { bytes, sum, bigEndian } = encodeWalHeader({ pageSize, sequence: 1, salt1, salt2 });
    this.#file.write(bytes, 0);
    await this.#file.sync();
    this.#chain = { pageSize, salt1, salt2, bigEndian, sum };
    this.#header = { ...header, salt1, salt2, bigEndian };
  }

  /** Adds a page (copied); returns the frame it will be in. */
  add(pgno: number, page: Bytes): number {
    if (this.#heldPgno !== 0) this.#seal(0);
    this.#held.set(page);
    this.#heldPgno = pgno;
    return this.#frame + 1;
  }

  /** Writes the commit frame. Still nothing is visible. */
  finish(pageCount: number): void {
    assert(this.#heldPgno !== 0, "a transaction has at least one page");
    this.#seal(pageCount);
    this.#flush();
  }

  /** Makes the transaction visible; returns the new header. */
  publish(pageCount: number): WalIndexHeader {
    const chain = this.#chain;
    assert(chain !== undefined && this.#buffered.length === 0, "finish() comes before publish()");
    this.#walIndex.offerMark(this.#header.mxFrame);
    const next: WalIndexHeader = {
      change: (this.#header.change + 1) >>> 0,
      bigEndian: chain.bigEndian,
      pageSize: chain.pageSize,
      mxFrame: this.#frame,
      pageCount,
      sum: { ...chain.sum },
      salt1: chain.salt1,
      salt2: chain.salt2,
    };
    this.#walIndex.publish(next);
    this.#header = next;
    return next;
  }

  #seal(commit: number): void {
    const chain = this.#chain;
    assert(chain !== undefined, "begin() comes before pages");
    const at = this.#buffered.length * this.#frameBytes;
    if (at === this.#buffer.length) this.#grow();
    this.#buffer.set(this.#held, at + FRAME_HEADER_BYTES);
    sealFrame(chain, this.#buffer, at, { pgno: this.#heldPgno, commit });
    this.#buffered.push(this.#heldPgno);
    this.#heldPgno = 0;
    this.#frame++;
    if (this.#buffered.length === this.#capacity) this.#flush();
  }

  #grow(): void {
    const frames = Math.min(this.#capacity, 4 * this.#buffered.length);
    const grown = new Uint8Array(frames * this.#frameBytes);
    grown.set(this.#buffer);
    this.#buffer = grown;
  }

  #flush(): void {
    const count = this.#buffered.length;
    if (count === 0) return;
    const first = this.#frame - count + 1;
    const bytes = this.#buffer.subarray(0, count * this.#frameBytes);
    this.#file.write(bytes, frameOffset(first, this.#held.length));
    for (const [nth, pgno] of this.#buffered.entries()) this.#walIndex.append(first + nth, pgno);
    this.#buffered = [];
  }
}
