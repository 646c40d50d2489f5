/**
 * Stock SQLite as a model: how a reader finds pages, how a log is recovered, how it is checkpointed.
 * Written from SQLITE.md and wal.c, apart from src/wal, so that a mistake there does not hide itself.
 * May import: src/wal (types), tests/support/fake_shm.
 *
 * It is a model: tests/integration and the soak run the real thing. Source: walIndexRecover,
 * walFindFrame, walTryBeginRead, walCheckpoint, walRestartHdr.
 * @module
 */
import type { Bytes } from "../../src/base/bytes.ts";
import { FakeShm, SHM_BYTE } from "./fake_shm.ts";
import type { WalIndexHeader } from "../../src/wal/wal_index.ts";

export const READ_MARKS = 5;
export const UNUSED = 0xffffffff;
const FIRST_REGION = 4062;
const REGION = 4096;
const SLOTS = 8192;

/** What recovery finds in a WAL: the header it would write, and the page of each valid frame. */
export interface Recovered {
  readonly header: WalIndexHeader;
  readonly pgnos: readonly number[];
}

export const EMPTY_HEADER: WalIndexHeader = {
  change: 0,
  bigEndian: false,
  pageSize: 0,
  mxFrame: 0,
  pageCount: 0,
  sum: { s1: 0, s2: 0 },
  salt1: 0,
  salt2: 0,
};

/** Adds `length` bytes (a multiple of 8) to a checksum; our logs are of little-endian machines. */
function addSum(sum: { s1: number; s2: number }, view: DataView, at: number, length: number): void {
  let { s1, s2 } = sum;
  for (const end = at + length; at < end; at += 8) {
    s1 = (s1 + view.getUint32(at, true) + s2) >>> 0;
    s2 = (s2 + view.getUint32(at + 4, true) + s1) >>> 0;
  }
  sum.s1 = s1;
  sum.s2 = s2;
}

export function recover(wal: Bytes): Recovered {
  const view = new DataView(wal.buffer, wal.byteOffset, wal.length);
  const pgnos: number[] = [];
  if (wal.length <= 32 || view.getUint32(0) !== 0x377f0682) return { header: EMPTY_HEADER, pgnos };
  const pageSize = view.getUint32(8);
  const sum = { s1: 0, s2: 0 };
  addSum(sum, view, 0, 24);
  if (sum.s1 !== view.getUint32(24) || sum.s2 !== view.getUint32(28)) {
    return { header: EMPTY_HEADER, pgnos };
  }
  const [salt1, salt2] = [view.getUint32(16), view.getUint32(20)];
  let header: WalIndexHeader = { ...EMPTY_HEADER, salt1, salt2 };
  const frameBytes = 24 + pageSize;
  for (let at = 32; at + frameBytes <= wal.length; at += frameBytes) {
    if (view.getUint32(at + 8) !== salt1 || view.getUint32(at + 12) !== salt2) break;
    addSum(sum, view, at, 8);
    addSum(sum, view, at + 24, pageSize);
    if (sum.s1 !== view.getUint32(at + 16) || sum.s2 !== view.getUint32(at + 20)) break;
    pgnos.push(view.getUint32(at));
    const pageCount = view.getUint32(at + 4);
    if (pageCount === 0) continue;
    header = { ...header, pageSize, pageCount, mxFrame: pgnos.length, sum: { ...sum } };
  }
  return { header, pgnos };
}

/** Makes `shm` what a recovery leaves; marks under a reader's lock stay. */
export function recoverInto(shm: FakeShm, wal: Bytes, locked: (mark: number) => boolean): void {
  const { header, pgnos } = recover(wal);
  for (const region of shm.regions) {
    new Uint8Array(region).fill(0, region === shm.regions[0] ? 136 : 0);
  }
  for (const [nth, pgno] of pgnos.entries()) enter(shm, nth + 1, pgno);
  shm.setHeader(header, 0);
  shm.setWord(SHM_BYTE.attempted, header.mxFrame);
  for (let mark = 0; mark < READ_MARKS; mark++) {
    if (mark > 0 && locked(mark)) continue;
    const value = mark === 0 ? 0 : mark === 1 && header.mxFrame > 0 ? header.mxFrame : UNUSED;
    shm.setWord(SHM_BYTE.marks + 4 * mark, value);
  }
}

/** As a reader takes it: both copies equal, initialised, right checksum; undefined if it is not. */
export function stockHeader(shm: FakeShm): { mxFrame: number; pageCount: number } | undefined {
  const words = new Uint32Array(shm.regions[0]!);
  for (let at = 0; at < 12; at++) if (words[at] !== words[at + 12]) return undefined;
  let s1 = 0, s2 = 0;
  for (let at = 0; at < 10; at += 2) {
    s1 = (s1 + words[at]! + s2) >>> 0;
    s2 = (s2 + words[at + 1]! + s1) >>> 0;
  }
  if (words[10] !== s1 || words[11] !== s2 || words[0] !== 3007000) return undefined;
  return { mxFrame: words[4]!, pageCount: words[5]! };
}

function place(frame: number): { region: number; zero: number } {
  const region = frame <= FIRST_REGION ? 0 : 1 + ((frame - FIRST_REGION - 1) >>> 12);
  return { region, zero: region === 0 ? 0 : FIRST_REGION + (region - 1) * REGION };
}

function tables(shm: FakeShm, region: number): { pgnos: Uint32Array; slots: Uint16Array } {
  const memory = shm.regions[region]!;
  const from = region === 0 ? SHM_BYTE.pgnos : 0;
  return {
    pgnos: new Uint32Array(memory, from, (SHM_BYTE.hash - from) / 4),
    slots: new Uint16Array(memory, SHM_BYTE.hash, SLOTS),
  };
}

function enter(shm: FakeShm, frame: number, pgno: number): void {
  const { region, zero } = place(frame);
  while (shm.regions.length <= region) shm.regions.push(new ArrayBuffer(32768));
  const { pgnos, slots } = tables(shm, region);
  let slot = (pgno * 383) & (SLOTS - 1);
  while (slots[slot] !== 0) slot = (slot + 1) & (SLOTS - 1);
  slots[slot] = frame - zero;
  pgnos[frame - zero - 1] = pgno;
}

/** walFindFrame: the newest frame of `pgno` from `min` to `max`, by the hash tables; 0: none. */
export function findFrame(shm: FakeShm, pgno: number, min: number, max: number): number {
  if (max === 0) return 0;
  for (let region = place(max).region; region >= 0; region--) {
    if (shm.regions[region] === undefined) continue;
    const { pgnos, slots } = tables(shm, region);
    const zero = region === 0 ? 0 : FIRST_REGION + (region - 1) * REGION;
    let found = 0;
    let slot = (pgno * 383) & (SLOTS - 1);
    for (let tries = 0; slots[slot] !== 0 && tries < SLOTS; tries++) {
      const frame = slots[slot]! + zero;
      if (frame <= max && frame >= min && pgnos[slots[slot]! - 1] === pgno) found = frame;
      slot = (slot + 1) & (SLOTS - 1);
    }
    if (found !== 0) return found;
  }
  return 0;
}

/** A database as a reader sees it from one moment on. */
export interface View {
  readonly pageCount: number;
  page(pgno: number): Bytes;
}

export interface Files {
  readonly pageSize: number;
  database(into: Bytes, offset: number): boolean;
  wal(into: Bytes, offset: number): boolean;
}

/** Pages by `frameOf`, or from the database file where that is 0. */
export function viewOf(files: Files, pageCount: number, frameOf: (pgno: number) => number): View {
  const { pageSize } = files;
  return {
    pageCount,
    page(pgno) {
      const page = new Uint8Array(pageSize);
      const frame = frameOf(pgno);
      if (frame === 0) files.database(page, (pgno - 1) * pageSize);
      else files.wal(page, 32 + (frame - 1) * (24 + pageSize) + 24);
      return page;
    },
  };
}

/** As a first opener sees it: the log is recovered. */
export function recoveredView(files: Files, wal: Bytes, databaseSize: number): View {
  const { header, pgnos } = recover(wal);
  const frames = new Map(pgnos.slice(0, header.mxFrame).map((pgno, nth) => [pgno, nth + 1]));
  const pageCount = header.mxFrame > 0 ? header.pageCount : databaseSize / files.pageSize;
  return viewOf(files, pageCount, (pgno) => frames.get(pgno) ?? 0);
}
