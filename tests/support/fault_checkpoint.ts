/**
 * SQLite's checkpoint as a model: step by step, so that commits come in between and each step can
 * fail. May import: tests/support.
 *
 * Source: walCheckpoint and sqlite3WalCheckpoint of SQLite 3.54.1, synchronous=NORMAL.
 * @module
 */
import type { CheckpointResult } from "../../src/sqlite/connection.ts";
import { SHM_BYTE } from "./fake_shm.ts";
import type { DiskInode } from "./fault_disk.ts";
import type { Machine } from "./fault_machine.ts";
import { findFrame, READ_MARKS, UNUSED } from "./fault_stock.ts";

const READ0 = 3;
const IOERR = 10;

export interface CheckpointParts {
  readonly machine: Machine;
  /** Whose locks they are. */
  readonly owner: object;
  readonly database: DiskInode;
  readonly wal: DiskInode;
  readonly pageSize: number;
  /** Begins an fsync of the log, of this connection. */
  syncLog(): () => void;
  /** Between two steps, and while an fsync runs. */
  pause(): Promise<void>;
}

const word = (byte: number): number => byte / 4;

/** Of any of its steps. */
export class DiskError extends Error {}
const disk = (): Error => new DiskError("disk");

/** PASSIVE. Answers as sqlite3_wal_checkpoint_v2 does; `rc` 10 for any failure of the disk. */
export async function passive(parts: CheckpointParts): Promise<CheckpointResult> {
  const words = new Uint32Array(parts.machine.shm!.regions[0]!);
  const mxFrame = words[4]!;
  try {
    await backfill(parts, words, mxFrame, words[5]!);
    return { rc: 0, log: mxFrame, done: words[word(SHM_BYTE.backfill)]! };
  } catch (error) {
    if (error instanceof DiskError) return { rc: IOERR, log: -1, done: -1 };
    throw error;
  }
}

async function backfill(
  parts: CheckpointParts,
  words: Uint32Array,
  mxFrame: number,
  pageCount: number,
): Promise<void> {
  const { machine, owner, database, wal, pageSize } = parts;
  const safe = safeFrame(parts, words, mxFrame);
  const from = words[word(SHM_BYTE.backfill)]!;
  if (from >= safe) return;
  const lock = machine.lock(owner, READ0, 1, "exclusive");
  if (lock === undefined) return;
  try {
    words[word(SHM_BYTE.attempted)] = safe;
    const synced = parts.syncLog();
    await parts.pause();
    synced();
    const page = new Uint8Array(pageSize);
    for (let pgno = 1; pgno <= pageCount; pgno++) {
      const frame = findFrame(machine.shm!, pgno, from + 1, safe);
      if (frame === 0) continue;
      wal.read(page, 32 + (frame - 1) * (24 + pageSize) + 24);
      machine.disk.write(database, page, (pgno - 1) * pageSize, "backfill:page", disk);
      if (machine.chance.below(8) === 0) await parts.pause();
    }
    if (safe === words[4]) {
      machine.disk.truncate(database, pageCount * pageSize, "backfill:truncate", disk);
      const ended = machine.disk.sync(database, "backfill:sync", disk);
      await parts.pause();
      ended();
    }
    machine.plan.meet("backfill:mark", 1, false, disk).then();
    words[word(SHM_BYTE.backfill)] = safe;
  } finally {
    lock[Symbol.dispose]();
  }
}

/** As far as no reader's mark is in the way. */
function safeFrame(
  { machine, owner }: CheckpointParts,
  words: Uint32Array,
  mxFrame: number,
): number {
  let safe = mxFrame;
  for (let mark = 1; mark < READ_MARKS; mark++) {
    const at = word(SHM_BYTE.marks) + mark;
    if (safe <= words[at]!) continue;
    const lock = machine.lock(owner, READ0 + mark, 1, "exclusive");
    if (lock === undefined) safe = words[at]!;
    else {
      words[at] = mark === 1 ? safe : UNUSED;
      lock[Symbol.dispose]();
    }
  }
  return safe;
}

/** TRUNCATE by somebody else while CKPT is free: all of it, then an empty log with new salts. */
export async function truncate(parts: CheckpointParts): Promise<void> {
  const { machine, owner } = parts;
  const words = new Uint32Array(machine.shm!.regions[0]!);
  await passive(parts);
  const mxFrame = words[4]!;
  if (words[word(SHM_BYTE.backfill)] !== mxFrame || mxFrame === 0) return;
  const readers = machine.lock(owner, READ0 + 1, 4, "exclusive");
  if (readers === undefined) return;
  const salts = new DataView(words.buffer);
  salts.setUint32(32, (salts.getUint32(32) + 1) >>> 0);
  words[9] = Math.floor(machine.chance.fraction() * 2 ** 32);
  words[4] = 0;
  seal(words);
  words[word(SHM_BYTE.backfill)] = words[word(SHM_BYTE.attempted)] = 0;
  words[word(SHM_BYTE.marks) + 1] = 0;
  for (let mark = 2; mark < READ_MARKS; mark++) words[word(SHM_BYTE.marks) + mark] = UNUSED;
  parts.wal.truncate(0);
  readers[Symbol.dispose]();
}

/** The checksum of header copy 1, and copy 2 of it. */
function seal(words: Uint32Array): void {
  let s1 = 0, s2 = 0;
  for (let at = 0; at < 10; at += 2) {
    s1 = (s1 + words[at]! + s2) >>> 0;
    s2 = (s2 + words[at + 1]! + s1) >>> 0;
  }
  words[10] = s1;
  words[11] = s2;
  words.copyWithin(12, 0, 12);
}
