/**
 * A database as it lies there, looked at from outside: for a process in which no node runs, because it
 * opens the files and closes them again. Locks nothing, changes nothing. May import: base/, wal/,
 * pages/, node/{plain_file,proc_locks,side_files}.
 * @module
 */
import { LiveError } from "../base/errors.ts";
import type { WalIndexMemory } from "../base/io.ts";
import { WRITE_VERSION_BYTE } from "../pages/page_reader.ts";
import { READ_MARKS, UNUSED_MARK, WalIndex } from "../wal/wal_index.ts";
import { type DatabaseHeader, databaseHeader, PlainFile } from "./plain_file.ts";
import { lockHolders, usersOf } from "./proc_locks.ts";
import { realPath } from "./side_files.ts";

/** Lock byte of READ(0) in the -shm. */
const READ0_BYTE = 123;
const HEADER_REGION_BYTES = 32768;

export interface LogState {
  readonly bytes: number;
  readonly frames: number;
  readonly backfilled: number;
}

export interface OldReader {
  readonly pids: readonly number[];
  /** Last frame of the snapshot that they read; 0: none, the file alone. */
  readonly frame: number;
}

export interface Inspection {
  /** Links resolved. */
  readonly path: string;
  /** Absent: no file there. */
  readonly bytes?: number;
  /** Absent: no SQLite database, an encrypted one, or none that may be read. */
  readonly header?: DatabaseHeader;
  /** Byte 18 of page 1 in the file. */
  readonly writeVersion?: number;
  /** Why it cannot be read, a sentence. */
  readonly unreadable?: string;
  /** Absent: no -wal or no -shm. */
  readonly log?: LogState;
  /** Whoever has the file open or locked, of those that this user may look at. */
  readonly pids: readonly number[];
  /** A reader whose snapshot is older than the log's end. */
  readonly oldest?: OldReader;
}

/** @throws {LiveError} never for what the files are like; only for bugs. */
export function inspect(configured: string): Inspection {
  const path = realPath(configured);
  const bytes = sizeOf(path);
  if (bytes === undefined) return { path, pids: [] };
  const pids = usersOf(path);
  let page1: Pick<Inspection, "header" | "writeVersion" | "unreadable">;
  try {
    page1 = readPage1(path);
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    return { path, bytes, pids, unreadable: error.message };
  }
  return { path, bytes, pids, ...page1, ...readLog(path) };
}

function readPage1(path: string): Pick<Inspection, "header" | "writeVersion"> {
  using file = PlainFile.open(path);
  const header = databaseHeader(file);
  if (header === undefined) return {};
  const byte = new Uint8Array(1);
  file.read(byte, WRITE_VERSION_BYTE);
  return { header, writeVersion: byte[0]! };
}

function readLog(path: string): Pick<Inspection, "log" | "oldest"> {
  const bytes = sizeOf(`${path}-wal`);
  if (bytes === undefined) return {};
  const empty = { log: { bytes, frames: 0, backfilled: 0 } };
  try {
    using file = PlainFile.open(`${path}-shm`);
    const region = new Uint8Array(HEADER_REGION_BYTES);
    file.read(region, 0);
    const index = new WalIndex(snapshot(region.buffer));
    const header = index.header();
    if (header === undefined) return empty;
    const { mxFrame: frames } = header;
    const oldest = oldestReader(index, `${path}-shm`, frames);
    return { log: { bytes, frames, backfilled: index.backfilled }, ...(oldest && { oldest }) };
  } catch (error) {
    if (error instanceof LiveError) return empty;
    throw error;
  }
}

function oldestReader(index: WalIndex, shm: string, frames: number): OldReader | undefined {
  let oldest: OldReader | undefined;
  for (let slot = 0; slot < READ_MARKS; slot++) {
    // READ(0) reads the file alone, and nothing may be written into that meanwhile.
    const frame = slot === 0 ? 0 : index.mark(slot);
    if (frame === UNUSED_MARK || frame >= frames) continue;
    if (oldest !== undefined && oldest.frame <= frame) continue;
    const byte = READ0_BYTE + slot;
    const pids = lockHolders(shm, { first: byte, last: byte });
    if (pids.length > 0) oldest = { pids, frame };
  }
  return oldest;
}

/** A copy of the first region: no locks, and nobody else sees it. */
function snapshot(region: ArrayBuffer): WalIndexMemory {
  return {
    region: (index) => index === 0 ? region : undefined,
    barrier: () => {},
    tryLock: () => undefined,
  };
}

function sizeOf(path: string): number | undefined {
  try {
    return Deno.statSync(path).size;
  } catch {
    return undefined;
  }
}
