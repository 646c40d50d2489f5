/**
 * What node/handle.ts opens, over a Machine: two connections of SQLite as a model. May import: src/,
 * tests/support.
 *
 * The same promises as the real one: CKPT is held from open() to close(), WRITE and the marks are the
 * caller's. Opening recovers the log if nobody has the wal-index open or its header is broken.
 * @module
 */
import type { Clock } from "../../src/base/env.ts";
import { LiveError } from "../../src/base/errors.ts";
import type { DatabaseHandle, FileLook, OpenResult } from "../../src/node/handle.ts";
import type { CheckpointResult } from "../../src/sqlite/connection.ts";
import type { SqliteFile } from "../../src/sqlite/file.ts";
import { decodePageSize, FRAME_HEADER_BYTES, frameOffset } from "../../src/wal/format.ts";
import { SLOT, WalIndex, type WalIndexHeader } from "../../src/wal/wal_index.ts";
import { type CheckpointParts, DiskError, passive } from "./fault_checkpoint.ts";
import { type Life, never } from "./fault_clock.ts";
import { type DiskInode, type FaultDisk, folderOf } from "./fault_disk.ts";
import { type Machine, MachineFile, sqliteDisk } from "./fault_machine.ts";
import { recoverInto } from "./fault_stock.ts";

/** Everything of DatabaseHandle that is public. */
type Handle = Pick<DatabaseHandle, keyof DatabaseHandle>;

export interface HandleParts {
  readonly machine: Machine;
  readonly life: Life;
  syncMs(): number;
}

export function openHandle(path: string, parts: HandleParts): OpenResult {
  parts.life.must();
  const handle: Handle = new FaultHandle(path, parts);
  return { handle: handle as DatabaseHandle, switchedToWal: false };
}

/** DatabaseHandle.lookAt(). */
export function lookAt(path: string, disk: FaultDisk): FileLook | undefined {
  const inode = disk.find(path);
  if (inode === undefined) return undefined;
  return { device: 0xfa17, inode: inode.id, born: 0, changed: () => inode.changed };
}

class FaultHandle implements Handle {
  readonly database: SqliteFile;
  readonly wal: SqliteFile;
  readonly walIndex: WalIndex;
  readonly pageSize: number;
  readonly device = 0xfa17;
  readonly inode: number;
  readonly born = 0;
  readonly #parts: HandleParts;
  readonly #database: DiskInode;
  readonly #wal: DiskInode;
  readonly #syncsBackfill: () => () => void;
  #working: Promise<unknown> | undefined;
  #checkpointed: () => void = () => {};
  #closed = false;

  constructor(readonly path: string, parts: HandleParts) {
    this.#parts = parts;
    const { machine } = parts;
    const database = machine.disk.find(path);
    if (database === undefined) throw new LiveError("not_ready", `"${path}" does not exist yet`);
    if (database.size === 0) throw new LiveError("not_ready", `"${path}" is empty`);
    if (database.links > 1) throw new LiveError("guard", `"${path}" has a second hard link`);
    this.#database = database;
    this.inode = database.id;
    machine.attach(this);
    try {
      this.#wal = machine.disk.find(`${path}-wal`) ?? this.#makeWal();
      this.pageSize = readPageSize(database);
      this.walIndex = new WalIndex(machine.memory(this, parts.life, () => this.#closed));
      this.#syncsBackfill = this.#syncsLog("backfill:log-sync", () => new DiskError("disk"));
      if (this.walIndex.header() === undefined) this.#recover();
      if (this.walIndex.lock(SLOT.checkpoint, 1, "shared") === undefined) {
        throw new LiveError("busy", `Another process is checkpointing "${path}"`);
      }
      this.database = this.#file(database, () => "database:write", () => () => {});
      const label = (bytes: Uint8Array, at: number): string => walLabel(bytes, at, this.pageSize);
      this.wal = this.#file(this.#wal, label, this.#syncsLog("wal:sync", sqliteDisk));
    } catch (error) {
      machine.detach(this);
      throw error;
    }
  }

  // Nobody else checkpoints here: the lock is never lent.
  readonly isLent = false;
  lend(): void {}
  reclaim = (): boolean => true;
  isRestarting = (): boolean => false;
  isBeingWritten = (): boolean => true;

  pageCountOf(header: WalIndexHeader): number {
    if (header.pageCount > 0) return header.pageCount;
    return Math.floor(this.#database.size / this.pageSize);
  }

  // deno-lint-ignore require-await -- the real one may wait
  async stableHeader(_clock: Clock): Promise<WalIndexHeader> {
    const header = this.walIndex.header();
    if (header === undefined) throw new LiveError("busy", "The wal-index is being written");
    return header;
  }

  writeVersion(frame: number): number {
    const byte = new Uint8Array(1);
    if (frame === 0) this.database.read(byte, 18);
    else this.wal.read(byte, frameOffset(frame, this.pageSize) + FRAME_HEADER_BYTES + 18);
    return byte[0]!;
  }

  watch(): number {
    throw new Error("only primaries are watched, and replicas run here");
  }

  moved(): boolean {
    this.#parts.life.must();
    const { disk } = this.#parts.machine;
    return this.#closed || disk.find(this.path) !== this.#database ||
      disk.find(`${this.path}-wal`) !== this.#wal;
  }
  get wasMoved(): boolean {
    return this.moved();
  }

  changed(): bigint {
    return this.#database.changed;
  }

  afterCheckpoint(work: () => void): void {
    this.#checkpointed = work;
  }

  async checkpoint(_mode: "passive" | "truncate"): Promise<CheckpointResult | undefined> {
    if (!this.#parts.life.alive) return await never();
    if (this.#working !== undefined) return undefined;
    const work = this.#guarded(passive(this.#checkpointParts()));
    this.#working = work;
    const result = await work;
    this.#working = undefined;
    this.#checkpointed();
    return result;
  }

  recover(): Promise<boolean> {
    this.#recover();
    return Promise.resolve(true);
  }

  backfilled(): number {
    if (this.#closed) throw new LiveError("not_ready", "The database is being opened again");
    return this.walIndex.backfilled;
  }

  get closed(): boolean {
    return this.#closed;
  }
  get working(): boolean {
    return this.#working !== undefined;
  }

  /** The last one out checkpoints; the log stays (SQLITE_FCNTL_PERSIST_WAL). */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#working;
    const { machine, life } = this.#parts;
    if (!life.alive) return;
    if (machine.alone) await this.#guarded(passive(this.#checkpointParts()));
    machine.detach(this);
    this.#checkpointed();
  }

  /** A worker thread of a process that was killed does not go on. */
  async #guarded(work: Promise<CheckpointResult>): Promise<CheckpointResult> {
    try {
      const result = await work;
      return this.#parts.life.alive ? result : await never();
    } catch (error) {
      if (this.#parts.life.alive) throw error;
      return await never();
    }
  }

  #checkpointParts(): CheckpointParts {
    const { machine, life, syncMs } = this.#parts;
    return {
      machine,
      owner: this,
      database: this.#database,
      wal: this.#wal,
      pageSize: this.pageSize,
      syncLog: this.#syncsBackfill,
      pause: () => life.clock.sleep(syncMs()),
    };
  }

  #makeWal(): DiskInode {
    return this.#parts.machine.disk.make(`${this.path}-wal`, "wal:make", false, cannotOpen);
  }

  /** A connection's first fsync of a WAL makes its name last, too (UNIXFILE_DIRSYNC). */
  #syncsLog(label: string, fail: (kind: "full" | "io") => Error): () => () => void {
    const { disk } = this.#parts.machine;
    let named = false;
    return () => {
      const end = disk.sync(this.#wal, label, fail);
      if (!named) disk.syncFolder(folderOf(this.path), "wal:folder-sync", fail);
      named = true;
      return end;
    };
  }

  /** Nothing of ours looks at more of it than ByteFile has. */
  #file(
    inode: DiskInode,
    label: (bytes: Uint8Array, offset: number) => string,
    beginSync: () => () => void,
  ): SqliteFile {
    const { machine, life, syncMs } = this.#parts;
    const closed = (): boolean => this.#closed;
    const file: unknown = new MachineFile(machine, inode, life, label, beginSync, syncMs, closed);
    return file as SqliteFile;
  }

  #recover(): void {
    const { machine } = this.#parts;
    const locked = (mark: number): boolean => {
      const lock = machine.lock(this, SLOT.read0 + mark, 1, "exclusive");
      lock?.[Symbol.dispose]();
      return lock === undefined;
    };
    recoverInto(machine.shm!, this.#wal.content, locked);
  }
}

/** SQLITE_CANTOPEN, whatever the reason. */
function cannotOpen(): Error {
  return new LiveError("forbidden", "Cannot open the WAL: SQLite code 14");
}

function readPageSize(database: DiskInode): number {
  const field = new Uint8Array(2);
  database.read(field, 16);
  return decodePageSize((field[0]! << 8) | field[1]!);
}

/** The header, frames, or frames of which the last one commits. */
function walLabel(bytes: Uint8Array, offset: number, pageSize: number): string {
  if (offset === 0) return "wal:header";
  const last = bytes.length - (24 + pageSize);
  const commits = bytes.subarray(last + 4, last + 8).some((byte) => byte !== 0);
  return commits ? "wal:commit" : "wal:frame";
}
