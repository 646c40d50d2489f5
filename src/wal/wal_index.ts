/**
 * The wal-index (`-shm`): which frames are committed, which are backfilled, what readers hold.
 * Works on a WalIndexMemory, so tests give it plain memory. May import: base/.
 *
 *     0   header copy 1, 48 B       96  nBackfill       120  lock bytes, never touched
 *     48  header copy 2, 48 B       100 read marks 0..4 136  aPgno, then at 16384 the hash slots
 *
 * Reading: copy 1, barrier, copy 2, equal, initialised, checksum; then only the private copy is used.
 * Publishing: copy 2, barrier, copy 1, from a header built privately. Only a replica publishes; on a
 * primary nothing but an unused read mark is ever stored.
 * Source: wal.c: walIndexTryHdr, walIndexWriteHdr, walIndexAppend, walRestartHdr
 * @module
 */
import { assert } from "../base/assert.ts";
import type { Bytes } from "../base/bytes.ts";
import { LiveError } from "../base/errors.ts";
import type { ShmLock, WalIndexMemory } from "../base/io.ts";
import { addToSum, decodePageSize, type WalSum } from "./format.ts";

/** Lock slots. READ(i) is slot 3 + i. */
export const SLOT = { write: 0, checkpoint: 1, recover: 2, read0: 3 } as const;
export const READ_MARKS = 5;
export const UNUSED_MARK = 0xffffffff;

const VERSION = 3007000;
/** Indexes of 32-bit words. */
const WORD = { version: 0, change: 2, flags: 3, mxFrame: 4, pages: 5, sum1: 6, sum2: 7, salt1: 8 };
const HEADER_WORDS = 12;
const BACKFILL_WORD = 24;
const MARK_WORD = 25;
const ATTEMPTED_WORD = 32;
const FIRST_REGION_FRAMES = 4062;
const REGION_FRAMES = 4096;
const HASH_BYTE = 16384;
const HASH_SLOTS = 8192;
const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** A private copy of the header. */
export interface WalIndexHeader {
  /** +1 per commit; 0 after a recovery. */
  readonly change: number;
  readonly bigEndian: boolean;
  /** Bytes; 0 after recovery of an empty WAL. */
  readonly pageSize: number;
  /** Last committed frame. */
  readonly mxFrame: number;
  /** Database size in pages; 0 after recovery of an empty WAL. */
  readonly pageCount: number;
  readonly sum: Readonly<WalSum>;
  readonly salt1: number;
  readonly salt2: number;
}

function swap(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
/** Salts lie in the wal-index as raw bytes of the WAL header, and count as big-endian. */
const saltOf = (word: number): number => LITTLE_ENDIAN ? swap(word) : word;

export class WalIndex {
  readonly #memory: WalIndexMemory;
  readonly #copy = new Uint32Array(2 * HEADER_WORDS);
  /** The last one, with both its copies: a quiet database is asked each second. */
  #known: { readonly words: Uint32Array; readonly header: WalIndexHeader } | undefined;
  /** The first region, as long as that is the same memory. */
  #view: Uint32Array<ArrayBuffer> | undefined;

  constructor(memory: WalIndexMemory) {
    this.#memory = memory;
  }

  /** Undefined while a writer is inside it (normal for microseconds) or after one died there. */
  header(): WalIndexHeader | undefined {
    const words = this.#words(0);
    const known = this.#known;
    if (known !== undefined && beginsWith(words, known.words)) return known.header;
    const copy = this.#copy;
    for (let at = 0; at < HEADER_WORDS; at++) copy[at] = Atomics.load(words, at);
    this.#memory.barrier();
    for (let at = HEADER_WORDS; at < 2 * HEADER_WORDS; at++) copy[at] = Atomics.load(words, at);
    for (let at = 0; at < HEADER_WORDS; at++) {
      if (copy[at] !== copy[at + HEADER_WORDS]) return undefined;
    }
    const header = decodeHeader(copy);
    if (header !== undefined) this.#known = { words: copy.slice(), header };
    return header;
  }

  get backfilled(): number {
    return Atomics.load(this.#words(0), BACKFILL_WORD);
  }

  mark(slot: number): number {
    return Atomics.load(this.#words(0), MARK_WORD + slot);
  }

  lock(slot: number, count: number, mode: "shared" | "exclusive"): ShmLock | undefined {
    return this.#memory.tryLock(slot, count, mode);
  }

  /**
   * Pins the log: while it is held nobody can restart or truncate the WAL, checkpoints still backfill.
   * A shared lock on a read slot whose mark is unused, looked at again after locking: a pin on a
   * number would cap every checkpoint there. Undefined if no slot is free; try again later.
   */
  pin(): ShmLock | undefined {
    for (const mark of [4, 3, 2]) { // never 1: the only mark of readers that cannot write here
      if (this.mark(mark) !== UNUSED_MARK) {
        const lock = this.lock(SLOT.read0 + mark, 1, "exclusive");
        if (lock === undefined) continue;
        Atomics.store(this.#words(0), MARK_WORD + mark, UNUSED_MARK);
        lock[Symbol.dispose]();
      }
      const lock = this.lock(SLOT.read0 + mark, 1, "shared");
      if (lock === undefined) continue;
      if (this.mark(mark) === UNUSED_MARK) return lock;
      lock[Symbol.dispose]();
    }
    return undefined;
  }

  // ---- From here on: replicas only, with WRITE held. ----

  /** Sees to it that some mark is usable by readers that cannot write the wal-index. */
  offerMark(mxFrame: number): void {
    const marks = [1, 2, 3, 4].map((slot) => ({ slot, mark: this.mark(slot) }));
    const best = marks.filter(({ mark }) => mark <= mxFrame).sort((a, b) => b.mark - a.mark)[0];
    if (best !== undefined && best.mark === mxFrame) return;
    for (const { slot } of marks) {
      const lock = this.lock(SLOT.read0 + slot, 1, "exclusive");
      if (lock === undefined) continue;
      Atomics.store(this.#words(0), MARK_WORD + slot, mxFrame);
      lock[Symbol.dispose]();
      return;
    }
  }

  /** Enters page `pgno` as frame `frame`. Without effect on readers until publish(). */
  append(frame: number, pgno: number): void {
    const index = frame <= FIRST_REGION_FRAMES ? 0 : 1 + ((frame - FIRST_REGION_FRAMES - 1) >>> 12);
    const zero = index === 0 ? 0 : FIRST_REGION_FRAMES + (index - 1) * REGION_FRAMES;
    const memory = this.#memory.region(index, true);
    assert(memory !== undefined, "an extended region exists");
    const pgnoByte = index === 0 ? (ATTEMPTED_WORD + 2) * 4 : 0;
    const pgnos = new Uint32Array(memory, pgnoByte, (HASH_BYTE - pgnoByte) / 4);
    const slots = new Uint16Array(memory, HASH_BYTE, HASH_SLOTS);
    const nth = frame - zero;
    if (nth === 1) {
      pgnos.fill(0);
      slots.fill(0);
    } else if (pgnos[nth - 1] !== 0) { // remnants of an append that never committed
      for (let at = 0; at < HASH_SLOTS; at++) if (slots[at]! >= nth) slots[at] = 0;
      pgnos.fill(0, nth - 1);
    }
    let slot = (pgno * 383) & (HASH_SLOTS - 1);
    for (let tries = 0; slots[slot] !== 0; tries++) { // at most the entries before, as in walIndexAppend
      if (tries >= nth) throw new LiveError("corrupt", "The wal-index's hash table is damaged");
      slot = (slot + 1) & (HASH_SLOTS - 1);
    }
    pgnos[nth - 1] = pgno;
    Atomics.store(slots, slot, nth);
  }

  /** Makes `header` the current one: copy 2, barrier, copy 1. */
  publish(header: WalIndexHeader): void {
    const built = encodeHeader(header);
    const words = this.#words(0);
    for (let at = 0; at < HEADER_WORDS; at++) Atomics.store(words, HEADER_WORDS + at, built[at]!);
    this.#memory.barrier();
    for (let at = 0; at < HEADER_WORDS; at++) Atomics.store(words, at, built[at]!);
  }

  /**
   * A kill inside a restart leaves frames counted as backfilled that are not there any more: whoever
   * appends then would hide the first of its frames from readers. With WRITE and CKPT held.
   */
  mendBackfill(mxFrame: number): void {
    if (this.backfilled <= mxFrame) return;
    const words = this.#words(0);
    Atomics.store(words, BACKFILL_WORD, 0);
    Atomics.store(words, ATTEMPTED_WORD, 0);
  }

  /**
   * Begins the log anew. The caller holds CKPT, WRITE and READ(1..4), and all frames are backfilled.
   * No await, no I/O inside: a process stopped here keeps readers out.
   */
  restart(header: WalIndexHeader, salt2: number): WalIndexHeader {
    assert(this.backfilled === header.mxFrame, "a log restarts only when all of it is backfilled");
    const next = { ...header, mxFrame: 0, salt1: (header.salt1 + 1) >>> 0, salt2 };
    this.publish(next);
    const words = this.#words(0);
    Atomics.store(words, BACKFILL_WORD, 0);
    Atomics.store(words, ATTEMPTED_WORD, 0);
    Atomics.store(words, MARK_WORD + 1, 0);
    for (let mark = 2; mark < READ_MARKS; mark++) {
      Atomics.store(words, MARK_WORD + mark, UNUSED_MARK);
    }
    return next;
  }

  #words(region: number): Uint32Array<ArrayBuffer> {
    const memory = this.#memory.region(region, false);
    assert(memory !== undefined, "the first region exists once a connection has read");
    if (region !== 0) return new Uint32Array(memory);
    if (this.#view?.buffer !== memory) this.#view = new Uint32Array(memory);
    return this.#view;
  }
}

function beginsWith(words: Uint32Array, begin: Uint32Array): boolean {
  for (let at = 0; at < begin.length; at++) if (words[at] !== begin[at]) return false;
  return true;
}

function decodeHeader(words: Uint32Array<ArrayBuffer>): WalIndexHeader | undefined {
  const bytes: Bytes = new Uint8Array(words.buffer, 0, HEADER_WORDS * 4);
  const initialised = bytes[12] !== 0;
  if (!initialised || words[WORD.version] !== VERSION) return undefined;
  const sum: WalSum = { s1: 0, s2: 0 };
  addToSum(sum, bytes, 0, 40, !LITTLE_ENDIAN);
  if (sum.s1 !== words[10] || sum.s2 !== words[11]) return undefined;
  return {
    change: words[WORD.change]!,
    bigEndian: bytes[13] !== 0,
    pageSize: decodePageSize(new Uint16Array(words.buffer, 14, 1)[0]!),
    mxFrame: words[WORD.mxFrame]!,
    pageCount: words[WORD.pages]!,
    sum: { s1: words[WORD.sum1]!, s2: words[WORD.sum2]! },
    salt1: saltOf(words[WORD.salt1]!),
    salt2: saltOf(words[WORD.salt1 + 1]!),
  };
}

/** 12 words, with the checksum over the first 10. Also what a test writes into fake memory. */
export function encodeHeader(header: WalIndexHeader): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(HEADER_WORDS);
  const bytes = new Uint8Array(words.buffer);
  words[WORD.version] = VERSION;
  words[WORD.change] = header.change;
  bytes[12] = 1; // initialised
  bytes[13] = header.bigEndian ? 1 : 0;
  new Uint16Array(words.buffer, 14, 1)[0] = header.pageSize === 65536 ? 1 : header.pageSize;
  words[WORD.mxFrame] = header.mxFrame;
  words[WORD.pages] = header.pageCount;
  words[WORD.sum1] = header.sum.s1;
  words[WORD.sum2] = header.sum.s2;
  words[WORD.salt1] = saltOf(header.salt1);
  words[WORD.salt1 + 1] = saltOf(header.salt2);
  const sum: WalSum = { s1: 0, s2: 0 };
  addToSum(sum, bytes, 0, 40, !LITTLE_ENDIAN);
  words[10] = sum.s1;
  words[11] = sum.s2;
  return words;
}
