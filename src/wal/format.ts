/**
 * The SQLite WAL format. Bytes in, values out: no I/O, no state. May import: base/.
 *
 *     header 32 B | frame: header 24 B, page | frame | ...
 *
 * A frame counts only if its salts equal the header's and its checksum continues the chain; a
 * transaction only once a frame carries a commit size (database pages, never 0). All fields are
 * big-endian; only the checksum's arithmetic follows the magic's lowest bit.
 * Source: sqlite.org/walformat.html
 * @module
 */
import { LiveError } from "../base/errors.ts";
import { type Bytes, viewOf } from "../base/bytes.ts";

export const WAL_HEADER_BYTES = 32;
export const FRAME_HEADER_BYTES = 24;
const WAL_MAGIC = 0x377f0682;
const WAL_VERSION = 3007000;
const HEADER = { magic: 0, version: 4, pageSize: 8, sequence: 12, salt1: 16, salt2: 20, sum: 24 };
const FRAME = { pgno: 0, commit: 4, salt1: 8, salt2: 12, sum: 16, bytes: 24 };

/** The words of this machine's typed arrays are little-endian; x64 and arm64 both are. */
const NATIVE_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** SQLite's running checksum: two 32-bit sums (unsigned). */
export interface WalSum {
  s1: number;
  s2: number;
}

export interface WalHeader {
  readonly pageSize: number;
  readonly sequence: number;
  readonly salt1: number;
  readonly salt2: number;
  readonly sum: WalSum;
  /** Checksums are over big-endian words; a WAL can come from another machine. */
  readonly bigEndian: boolean;
}

/** Offset of frame `frame` (from 1) in the WAL, bytes. */
export function frameOffset(frame: number, pageSize: number): number {
  return WAL_HEADER_BYTES + (frame - 1) * (FRAME_HEADER_BYTES + pageSize);
}

/** The page size that a 16-bit field means: 1 stands for 65536. */
export function decodePageSize(field: number): number {
  return field === 1 ? 65536 : field;
}

export function isPageSize(value: number): boolean {
  return value >= 512 && value <= 65536 && (value & (value - 1)) === 0;
}

/**
 * Continues `sum` over `length` bytes (a multiple of 8) from `start`, in place.
 * Hot: a page of 4 KiB takes under a microsecond, so aligned native words go the fast way.
 */
export function addToSum(
  sum: WalSum,
  bytes: Uint8Array,
  start: number,
  length: number,
  bigEndian: boolean,
): void {
  const offset = bytes.byteOffset + start;
  if (bigEndian !== NATIVE_LITTLE_ENDIAN && offset % 4 === 0) {
    addWords(sum, new Uint32Array(bytes.buffer, offset, length / 4));
    return;
  }
  const view = new DataView(bytes.buffer, offset, length);
  let { s1, s2 } = sum;
  for (let at = 0; at < length; at += 8) {
    s1 = (s1 + view.getUint32(at, !bigEndian) + s2) | 0;
    s2 = (s2 + view.getUint32(at + 4, !bigEndian) + s1) | 0;
  }
  sum.s1 = s1 >>> 0;
  sum.s2 = s2 >>> 0;
}

function addWords(sum: WalSum, words: Uint32Array): void {
  let { s1, s2 } = sum;
  s1 |= 0;
  s2 |= 0;
  for (let at = 0; at < words.length; at += 2) {
    s1 = (s1 + words[at]! + s2) | 0;
    s2 = (s2 + words[at + 1]! + s1) | 0;
  }
  sum.s1 = s1 >>> 0;
  sum.s2 = s2 >>> 0;
}

/** Undefined for a torn or absent header, normal after a restart. Throws "corrupt" for another version. */
export function parseWalHeader(bytes: Bytes): WalHeader | undefined {
  if (bytes.length < WAL_HEADER_BYTES) return undefined;
  const view = viewOf(bytes);
  const magic = view.getUint32(HEADER.magic);
  if (magic >>> 1 !== WAL_MAGIC >>> 1) return undefined;
  const bigEndian = (magic & 1) === 1;
  const sum: WalSum = { s1: 0, s2: 0 };
  addToSum(sum, bytes, 0, HEADER.sum, bigEndian);
  if (sum.s1 !== view.getUint32(HEADER.sum) || sum.s2 !== view.getUint32(HEADER.sum + 4)) {
    return undefined;
  }
  const version = view.getUint32(HEADER.version);
  if (version !== WAL_VERSION) {
    throw new LiveError("corrupt", `Cannot read WAL version ${version}`, { version });
  }
  const pageSize = view.getUint32(HEADER.pageSize);
  const sequence = view.getUint32(HEADER.sequence);
  const salt1 = view.getUint32(HEADER.salt1);
  const salt2 = view.getUint32(HEADER.salt2);
  return { pageSize, sequence, salt1, salt2, sum, bigEndian };
}

/** A WAL header in this machine's byte order, and the sum its frames continue. */
export function encodeWalHeader(
  fields: { pageSize: number; sequence: number; salt1: number; salt2: number },
): { bytes: Bytes; sum: WalSum; bigEndian: boolean } {
  const bytes = new Uint8Array(WAL_HEADER_BYTES);
  const view = viewOf(bytes);
  const bigEndian = !NATIVE_LITTLE_ENDIAN;
  view.setUint32(HEADER.magic, WAL_MAGIC | (bigEndian ? 1 : 0));
  view.setUint32(HEADER.version, WAL_VERSION);
  view.setUint32(HEADER.pageSize, fields.pageSize);
  view.setUint32(HEADER.sequence, fields.sequence);
  view.setUint32(HEADER.salt1, fields.salt1);
  view.setUint32(HEADER.salt2, fields.salt2);
  const sum: WalSum = { s1: 0, s2: 0 };
  addToSum(sum, bytes, 0, HEADER.sum, bigEndian);
  view.setUint32(HEADER.sum, sum.s1);
  view.setUint32(HEADER.sum + 4, sum.s2);
  return { bytes, sum, bigEndian };
}

/** What a chain of frames is checked against or written with; `sum` is that of the last frame. */
export interface FrameChain {
  readonly pageSize: number;
  readonly salt1: number;
  readonly salt2: number;
  readonly bigEndian: boolean;
  readonly sum: WalSum;
}

export interface FrameHeader {
  readonly pgno: number;
  /** Database size in pages after this commit; 0 if this frame does not commit. */
  readonly commit: number;
}

/** What every frame of a log repeats from its header. */
export interface Salts {
  readonly salt1: number;
  readonly salt2: number;
}

export function hasSalts(log: Salts, { salt1, salt2 }: Salts): boolean {
  return log.salt1 === salt1 && log.salt2 === salt2;
}

/** The header of the frame at `at` as it stands there, unchecked. */
export function parseFrame(
  bytes: Bytes,
  at: number,
): FrameHeader & { readonly salts: Salts; readonly sum: WalSum } {
  const view = viewOf(bytes);
  return {
    pgno: view.getUint32(at + FRAME.pgno),
    commit: view.getUint32(at + FRAME.commit),
    salts: { salt1: view.getUint32(at + FRAME.salt1), salt2: view.getUint32(at + FRAME.salt2) },
    sum: { s1: view.getUint32(at + FRAME.sum), s2: view.getUint32(at + FRAME.sum + 4) },
  };
}

/**
 * Checks the frame at `at` and moves the chain on. Undefined (chain unchanged) if the salts or the
 * checksum do not continue the chain: the end of the log.
 */
export function checkFrame(chain: FrameChain, bytes: Bytes, at: number): FrameHeader | undefined {
  const view = viewOf(bytes);
  if (view.getUint32(at + FRAME.salt1) !== chain.salt1) return undefined;
  if (view.getUint32(at + FRAME.salt2) !== chain.salt2) return undefined;
  const sum: WalSum = { s1: chain.sum.s1, s2: chain.sum.s2 };
  addToSum(sum, bytes, at, 8, chain.bigEndian);
  addToSum(sum, bytes, at + FRAME.bytes, chain.pageSize, chain.bigEndian);
  if (sum.s1 !== view.getUint32(at + FRAME.sum)) return undefined;
  if (sum.s2 !== view.getUint32(at + FRAME.sum + 4)) return undefined;
  const pgno = view.getUint32(at + FRAME.pgno);
  if (pgno === 0) return undefined;
  chain.sum.s1 = sum.s1;
  chain.sum.s2 = sum.s2;
  return { pgno, commit: view.getUint32(at + FRAME.commit) };
}

/** Writes the header of a frame whose page stands at `at + 24` already, and moves the chain on. */
export function sealFrame(chain: FrameChain, bytes: Bytes, at: number, header: FrameHeader): void {
  const view = viewOf(bytes);
  view.setUint32(at + FRAME.pgno, header.pgno);
  view.setUint32(at + FRAME.commit, header.commit);
  view.setUint32(at + FRAME.salt1, chain.salt1);
  view.setUint32(at + FRAME.salt2, chain.salt2);
  addToSum(chain.sum, bytes, at, 8, chain.bigEndian);
  addToSum(chain.sum, bytes, at + FRAME.bytes, chain.pageSize, chain.bigEndian);
  view.setUint32(at + FRAME.sum, chain.sum.s1);
  view.setUint32(at + FRAME.sum + 4, chain.sum.s2);
}
