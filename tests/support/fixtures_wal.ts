/**
 * WALs made by hand, with the checksum written a second time, straight from SQLite's description, so
 * that a mistake in src/wal does not hide itself. May import: src/wal (types).
 * @module
 */
import type { WalIndexHeader } from "../../src/wal/wal_index.ts";

export interface FixtureFrame {
  readonly pgno: number;
  readonly page: Uint8Array;
  /** 0 unless it commits. */
  readonly commit: number;
}

export interface FixtureWal {
  readonly pageSize: number;
  readonly salt1: number;
  readonly salt2: number;
  readonly bigEndian: boolean;
  readonly frames: readonly FixtureFrame[];
}

interface Sum {
  s1: bigint;
  s2: bigint;
}

const MASK = 0xffffffffn;

/** walformat.html: s0 += x(i) + s1; s1 += x(i+1) + s0, modulo 2^32. */
export function referenceSum(from: Sum, bytes: Uint8Array, bigEndian: boolean): Sum {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let { s1, s2 } = from;
  for (let at = 0; at < bytes.length; at += 8) {
    s1 = (s1 + BigInt(view.getUint32(at, !bigEndian)) + s2) & MASK;
    s2 = (s2 + BigInt(view.getUint32(at + 4, !bigEndian)) + s1) & MASK;
  }
  return { s1, s2 };
}

/** The whole file. */
export function walBytes(wal: FixtureWal): Uint8Array<ArrayBuffer> {
  const frameBytes = 24 + wal.pageSize;
  const bytes = new Uint8Array(32 + wal.frames.length * frameBytes);
  const view = new DataView(bytes.buffer);
  const header = [
    0x377f0682 | (wal.bigEndian ? 1 : 0),
    3007000,
    wal.pageSize,
    7,
    wal.salt1,
    wal.salt2,
  ];
  for (const [nth, word] of header.entries()) view.setUint32(4 * nth, word);
  let sum = referenceSum({ s1: 0n, s2: 0n }, bytes.subarray(0, 24), wal.bigEndian);
  view.setUint32(24, Number(sum.s1));
  view.setUint32(28, Number(sum.s2));
  for (const [nth, { pgno, page, commit }] of wal.frames.entries()) {
    const at = 32 + nth * frameBytes;
    for (const [field, word] of [pgno, commit, wal.salt1, wal.salt2].entries()) {
      view.setUint32(at + 4 * field, word);
    }
    bytes.set(page, at + 24);
    sum = referenceSum(sum, bytes.subarray(at, at + 8), wal.bigEndian);
    sum = referenceSum(sum, bytes.subarray(at + 24, at + frameBytes), wal.bigEndian);
    view.setUint32(at + 16, Number(sum.s1));
    view.setUint32(at + 20, Number(sum.s2));
  }
  return bytes;
}

/** A wal-index header that calls the first `mxFrame` frames of `wal` committed. */
export function headerOf(wal: FixtureWal, mxFrame = wal.frames.length): WalIndexHeader {
  const bytes = walBytes(wal);
  const view = new DataView(bytes.buffer);
  const at = mxFrame === 0 ? 24 : 32 + (mxFrame - 1) * (24 + wal.pageSize) + 16;
  const { pageSize, salt1, salt2, bigEndian } = wal;
  return {
    change: 5,
    bigEndian,
    pageSize,
    mxFrame,
    pageCount: wal.frames[mxFrame - 1]?.commit ?? 0,
    sum: { s1: view.getUint32(at), s2: view.getUint32(at + 4) },
    salt1,
    salt2,
  };
}

/** A page that says which it is, so a mix-up shows. */
export function pageOf(pageSize: number, pgno: number, version: number): Uint8Array<ArrayBuffer> {
  const page = new Uint8Array(pageSize);
  const view = new DataView(page.buffer);
  for (let at = 0; at + 8 <= pageSize; at += Math.max(8, pageSize / 64)) {
    view.setUint32(at, pgno);
    view.setUint32(at + 4, version + at);
  }
  return page;
}
