/**
 * One open database: its two connections, its wal-index, its files, and the checkpoint lock that is
 * held for as long as it is open. The one module that opens a database. May import: base/, sqlite/,
 * wal/.
 *
 * Invariants: CKPT is held shared from open() to close() and never free in between, but while it is lent
 * (node/lending), so nobody else checkpoints (live.c upgrades it in place for our worker, which does
 * nothing while it is lent); control runs no SQL after open(); the database file has no second
 * descriptor in this process.
 * @module
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/env.ts";
import { codeOf, LiveError } from "../base/errors.ts";
import type { ShmLock } from "../base/io.ts";
import { type CheckpointResult, Connection } from "../sqlite/connection.ts";
import { unsafeFilesystem } from "../sqlite/filesystem.ts";
import { SqliteFile } from "../sqlite/file.ts";
import { cString, sqlite } from "../sqlite/library.ts";
import type { Place } from "../sqlite/places.ts";
import { SqliteShm } from "../sqlite/shm.ts";
import type { CommitWatch } from "../sqlite/watch.ts";
import { decodePageSize, FRAME_HEADER_BYTES, frameOffset, isPageSize } from "../wal/format.ts";
import { SLOT, WalIndex, type WalIndexHeader } from "../wal/wal_index.ts";

/** Of page 1: which format a writer must know. Source: sqlite.org/fileformat2.html */
const WRITE_VERSION_BYTE = 18;
/** A writer is inside the header for microseconds. */
const HEADER_TRIES = 100;
const READ_SOMETHING = "SELECT count(*) FROM sqlite_schema";

export interface OpenResult {
  readonly handle: DatabaseHandle;
  /** The database was in rollback mode and has been set to WAL. */
  readonly switchedToWal: boolean;
}

/** Which file it is, and when it was changed. */
export type FileLook = Pick<DatabaseHandle, "device" | "inode" | "born" | "changed">;

export class DatabaseHandle {
  readonly database: SqliteFile;
  readonly wal: SqliteFile;
  readonly walIndex: WalIndex;
  readonly pageSize: number;
  /** Identity of the file, for the proof of an unbroken history. */
  readonly device: number;
  readonly inode: number;
  readonly born: number;
  readonly #control: Connection;
  readonly #worker: Connection;
  readonly #shm: SqliteShm;
  readonly #databasePath: Uint8Array<ArrayBuffer>;
  readonly #walPath: Uint8Array<ArrayBuffer>;
  readonly #walInode: bigint;
  readonly #place: Place;
  /** Undefined while it is lent. */
  #checkpointLock: ShmLock | undefined;
  #working: Promise<unknown> | undefined;
  #checkpointed: () => void = () => {};
  #closed = false;

  private constructor(readonly path: string, control: Connection) {
    this.#control = control;
    this.database = new SqliteFile(control, "database");
    this.wal = new SqliteFile(control, "wal");
    this.#shm = new SqliteShm(control);
    this.walIndex = new WalIndex(this.#shm);
    const checkpointLock = this.walIndex.lock(SLOT.checkpoint, 1, "shared");
    if (checkpointLock === undefined) {
      throw new LiveError("busy", `Another process is checkpointing "${path}"`);
    }
    this.#checkpointLock = checkpointLock;
    let worker: Connection | undefined;
    try {
      worker = openWorker(path);
      this.pageSize = this.#readPageSize();
      const { device, inode, born } = identity(path);
      this.device = device;
      this.inode = inode;
      this.born = born;
      this.#databasePath = cString(path);
      this.#walPath = cString(`${path}-wal`);
      this.#walInode = sqlite().live_inode(this.#walPath);
      this.#place = this.database.place(this.wal, this.#walPath, this.#walInode);
      this.#worker = worker;
    } catch (error) {
      worker?.close();
      checkpointLock[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Opens the database at `path` (links resolved: SQLite names -wal and -shm by the real path).
   * @throws {LiveError} "not_ready" if it is absent or empty, "busy" if somebody is in the way for
   * now, "guard" if it cannot be followed, "forbidden", "corrupt".
   */
  static open(path: string, allowNetworkFilesystem: boolean): OpenResult {
    const real = realPath(path);
    if (!allowNetworkFilesystem) refuseNetwork(real);
    const control = new Connection(real);
    try {
      control.value(READ_SOMETHING);
      const switchedToWal = control.value("PRAGMA journal_mode") !== "wal";
      if (switchedToWal) switchToWal(control);
      control.refuseReadOnly();
      return { handle: new DatabaseHandle(real, control), switchedToWal };
    } catch (error) {
      control.close();
      throw error;
    }
  }

  /** Of a file that is not open, links resolved; undefined if it is not there. */
  static lookAt(path: string): FileLook | undefined {
    try {
      const name = cString(path);
      return { ...identity(path), changed: () => sqlite().live_changed(name) };
    } catch {
      return undefined;
    }
  }

  /** Database size in pages as of `header`. */
  pageCountOf(header: WalIndexHeader): number {
    return header.pageCount > 0
      ? header.pageCount
      : Math.floor(this.database.size() / this.pageSize);
  }

  /** The header, also while a writer is at work. @throws {LiveError} "busy" if it stays unreadable. */
  async stableHeader(clock: Clock): Promise<WalIndexHeader> {
    for (let tries = 0; tries < HEADER_TRIES; tries++) {
      const header = this.walIndex.header();
      if (header !== undefined) return header;
      await clock.sleep(1);
    }
    throw new LiveError("busy", `The wal-index of "${this.path}" is being written`);
  }

  /** Byte 18 of the newest page 1, which lies in frame `frame` of the log (0: in the file). */
  writeVersion(frame: number): number {
    const byte = new Uint8Array(1);
    if (frame === 0) this.database.read(byte, WRITE_VERSION_BYTE);
    else {
      const page = frameOffset(frame, this.pageSize) + FRAME_HEADER_BYTES;
      this.wal.read(byte, page + WRITE_VERSION_BYTE);
    }
    return byte[0]!;
  }

  /** Has its log watched, by the number that is returned. Ends before close(): see sqlite/watch. */
  watch(by: CommitWatch): number {
    return by.add(this.#control);
  }

  /** True if the path or its -wal now names another file than the one that is open. */
  moved(): boolean {
    return this.#closed || this.database.moved(this.#walPath, this.#walInode);
  }

  /** The same at the last lookForMoves(), which node/node calls each second. */
  get wasMoved(): boolean {
    return this.#closed || this.#place.moved;
  }

  /** When the database file was last changed in any way (ctime), ns since 1970. */
  changed(): bigint {
    return sqlite().live_changed(this.#databasePath);
  }

  /** One checkpoint on the worker's thread; undefined if the worker is at work already. */
  async checkpoint(mode: "passive" | "truncate"): Promise<CheckpointResult | undefined> {
    if (this.#working !== undefined || this.isLent) return undefined;
    const work = this.#worker.checkpoint(mode);
    this.#working = work;
    try {
      return await work;
    } finally {
      this.#working = undefined;
      this.#checkpointed();
    }
  }

  /** `work` follows each checkpoint that may have written to the database file. */
  afterCheckpoint(work: () => void): void {
    this.#checkpointed = work;
  }

  /** A read by the worker, which recovers the wal-index if it is broken. False if it cannot now. */
  async recover(): Promise<boolean> {
    if (this.#working !== undefined || this.isLent) return false;
    const work = this.#worker.touch(READ_SOMETHING);
    this.#working = work;
    try {
      await work;
      return true;
    } catch (error) {
      if (codeOf(error) === "busy") return false;
      throw error;
    } finally {
      this.#working = undefined;
    }
  }

  /** Gives CKPT to others until reclaim(). The worker must be at rest. See node/lending. */
  lend(): void {
    assert(!this.working, "the worker needs CKPT");
    this.#checkpointLock?.[Symbol.dispose]();
    this.#checkpointLock = undefined;
  }

  /** False if somebody checkpoints just now. @throws {LiveError} "not_ready" once closed. */
  reclaim(): boolean {
    this.#checkpointLock ??= this.walIndex.lock(SLOT.checkpoint, 1, "shared");
    if (!this.isLent) this.#checkpointed(); // by others
    return !this.isLent;
  }

  get isLent(): boolean {
    return this.#checkpointLock === undefined;
  }

  /** Another process has the write lock, or it cannot be asked. */
  isBeingWritten(): boolean {
    return this.#shm.owner(SLOT.write) !== 0;
  }

  /**
   * Another process restarts the log: it has CKPT and WRITE, as in wal_checkpoint(RESTART) and
   * (TRUNCATE), and waits for readers. Nobody else appends frames then.
   */
  isRestarting(): boolean {
    const owner = this.#shm.owner(SLOT.checkpoint);
    return owner !== 0 && owner === this.#shm.owner(SLOT.write);
  }

  /** nBackfill. @throws {LiveError} "not_ready" once closed: its memory is unmapped then. */
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

  /** Gives the file up (it moved or must be opened anew). Waits for the worker; drops all locks. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled([this.#working]);
    this.#place.leave();
    await Promise.all([this.database.close(), this.wal.close()]);
    this.#worker.close(); // while CKPT is held: its own unlock would only downgrade ours
    this.#shm.close();
    this.#control.close(); // the last connection of all checkpoints
    this.#checkpointed();
  }

  #readPageSize(): number {
    const fromIndex = this.walIndex.header()?.pageSize ?? 0;
    if (isPageSize(fromIndex)) return fromIndex;
    const header = new Uint8Array(100);
    this.database.read(header, 0);
    const pageSize = decodePageSize((header[16]! << 8) | header[17]!);
    if (isPageSize(pageSize)) return pageSize;
    throw new LiveError("corrupt", `"${this.path}" has no valid page size in its header`);
  }
}

function identity(path: string): Pick<DatabaseHandle, "device" | "inode" | "born"> {
  const info = Deno.statSync(path);
  return { device: info.dev, inode: info.ino ?? 0, born: info.birthtime?.getTime() ?? 0 };
}

/**
 * Makes an empty WAL database of a file with 0 bytes, in place: a process may have it open, and a
 * rename over it would leave that one with another file. @throws {LiveError} if it is not empty.
 */
export function initialiseEmpty(path: string, pageSize: number): void {
  const connection = new Connection(path);
  try {
    if (Deno.statSync(path).size !== 0) throw new LiveError("busy", `"${path}" is not empty`);
    connection.query(`PRAGMA page_size=${pageSize}`);
    connection.query("PRAGMA journal_mode=wal");
  } finally {
    connection.close();
  }
}

function refuseNetwork(path: string): void {
  const name = unsafeFilesystem(path);
  if (name === undefined) return;
  throw new LiveError(
    "guard",
    `"${path}" is on ${name}, where SQLite's locks and shared memory may not work: move it to a local ` +
      "disk, or set allow-network-filesystem: true if only this machine uses it",
  );
}

function openWorker(path: string): Connection {
  const worker = new Connection(path);
  try {
    worker.value(READ_SOMETHING);
    worker.refuseReadOnly();
    worker.becomeWorker();
    worker.query("PRAGMA synchronous=NORMAL");
    worker.query("PRAGMA wal_autocheckpoint=0");
    return worker;
  } catch (error) {
    worker.close();
    throw error;
  }
}

function switchToWal(control: Connection): void {
  const mode = control.value("PRAGMA journal_mode=wal");
  if (mode !== "wal") {
    throw new LiveError(
      "busy",
      `"${control.path}" is in ${mode} mode and cannot be set to WAL now`,
    );
  }
  control.value(READ_SOMETHING);
}

function realPath(path: string): string {
  let real: string;
  let info: Deno.FileInfo;
  try {
    real = Deno.realPathSync(path);
    info = Deno.statSync(real);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new LiveError("not_ready", `"${path}" does not exist yet`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new LiveError("forbidden", `No permission to look at "${path}"`);
    }
    throw error;
  }
  if (!info.isFile) throw new LiveError("guard", `"${path}" is not a file`);
  if (info.size === 0) throw new LiveError("not_ready", `"${path}" is empty`);
  if ((info.nlink ?? 1) > 1) {
    throw new LiveError(
      "guard",
      `"${path}" has a second hard link: two names mean two -wal files; remove one of them`,
    );
  }
  return real;
}
