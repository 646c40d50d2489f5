/**
 * A first copy: pages go into `<db>-live/copy`, which becomes the database by link() when it is whole
 * and has the upstream's hash. Until then there is no file at the replica's path. May import: base/,
 * pages/, changes/, node/.
 *
 * Invariants: never over an existing file (link fails if one has appeared), unless a person said so;
 * no SQLite opens the copy before its descriptor here is closed; nothing is written before it is durable
 * that no database is there; a -journal, -wal or -shm left at the target's name is removed before the
 * link, since SQLite would replay it into the new file.
 * @module
 */
import { type Bytes, formatWords, sameWords } from "../base/bytes.ts";
import type { Env } from "../base/env.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import { MAX_PGNO, ZERO_TXID } from "../base/types.ts";
import type { Begin, Commit, Pages } from "../changes/records.ts";
import { hashPages } from "../pages/hash.ts";
import { PageIndex } from "../pages/page_index.ts";
import {
  GUARD_VERSION,
  READ_VERSION_BYTE,
  WAL_VERSION,
  WRITE_VERSION_BYTE,
} from "../pages/page_reader.ts";
import { PlainFile } from "./plain_file.ts";
import { scanFile } from "./scan.ts";
import type { Target } from "./target.ts";

/** fsync now and then, so that the last one is short. */
const SYNC_BYTES = 64 * 1024 * 1024;
/** A database that shrinks and grows while it is copied leaves gaps, filled in a later round. */
const GAP_PAGES = 65_536;

export interface CopierOptions {
  /** Of the database that it becomes. */
  readonly path: string;
  /** Of the file until then, on the same file system. */
  readonly copyPath: string;
  /** Bytes. */
  readonly pageSize: number;
  /** A replica's file, which no SQLite writes to; else an ordinary database. */
  readonly guarded: boolean;
  /** A file at `path` is replaced. */
  readonly replace: boolean;
  /** Called just before it appears under its name. */
  willBeAt(commit: Commit): void;
}

export class Copier implements Target {
  index: PageIndex;
  readonly #path: string;
  readonly #copyPath: string;
  readonly #file: Deno.FsFile;
  #hashes = new Uint32Array(2);
  #unsynced = 0;
  #syncing: Promise<void> | undefined;
  #syncError: unknown;
  #done = false;

  /** Opens or makes the copy's file. @throws {LiveError} "disk"; "busy" if another copy fills it. */
  constructor(private readonly options: CopierOptions) {
    const { path, copyPath, pageSize } = options;
    this.#path = path;
    this.#copyPath = copyPath;
    this.index = new PageIndex(pageSize);
    dropLinked(path, copyPath);
    try {
      this.#file = Deno.openSync(copyPath, { create: true, read: true, write: true });
    } catch (error) {
      throw diskError("make", copyPath, error);
    }
    if (!this.#file.tryLockSync(true)) { // two would mix two states, each right by itself
      this.#file.close();
      throw new LiveError("busy", `Another process fills "${copyPath}"`);
    }
    // A database that somebody removed comes back in a power cut, and may be this file's other name.
    try {
      if (!options.replace) syncFolder(folderOf(path));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Hashes what an interrupted copy left; the bytes that are there already. */
  async resume(env: Env, progress: (done: number, total: number) => void): Promise<void> {
    const { index } = this;
    const database = new PlainFile(this.#file, this.#copyPath); // close() is ours
    index.resize(Math.floor(database.size() / index.pageSize));
    await scanFile({ database }, index, ZERO_TXID, env, progress);
  }

  /** No room is made for what is only claimed. */
  begin(_begin: Begin): Promise<void> {
    return Promise.resolve();
  }

  pages(pages: Pages): void {
    const { pageSize } = this.index;
    for (let nth = 0; nth < pages.count;) {
      const first = pages.pgno(nth);
      const start = nth++;
      while (nth < pages.count && pages.pgno(nth) === first + (nth - start)) nth++;
      const run = pages.run(start, nth);
      this.#check(pages, start, first, run);
      this.#write(run, (first - 1) * pageSize);
    }
  }

  async commit(commit: Commit): Promise<void> {
    if (commit.pageCount > this.index.pageCount) throw neverCame(commit.pageCount);
    this.index.resize(commit.pageCount);
    const missing = this.index.firstUnknown();
    if (missing !== undefined) throw neverCame(missing);
    if (!sameWords(this.index.hash, commit.hash)) {
      throw new LiveError(
        "position_gone",
        `The first copy has hash ${formatWords(this.index.hash)}, the upstream ` +
          formatWords(commit.hash),
      );
    }
    await this.#finish(commit.pageCount);
    this.close();
    this.options.willBeAt(commit);
    this.#appear();
  }

  /** What came stays in the file: the next attempt compares hashes and asks for the rest. */
  abort(): void {}

  close(): void {
    try {
      this.#file.close();
    } catch { /* closed already */ }
  }

  /** The database is there, under its name. */
  get done(): boolean {
    return this.#done;
  }

  /** Pages side by side, the first of them the record's `nth`, and page `first` of the database. */
  #check(pages: Pages, nth: number, first: number, run: Bytes): void {
    const { index } = this;
    const count = run.length / index.pageSize;
    if (this.#hashes.length < 2 * count) this.#hashes = new Uint32Array(2 * count);
    hashPages(run, index.pageSize, first, this.#hashes);
    for (let at = 0; at < count; at++) {
      const pgno = first + at;
      if (pgno === 0 || !pages.hasHash(nth + at, this.#hashes, 2 * at)) {
        throw new LiveError("checksum", `Page ${pgno} arrived with another hash`, { pgno });
      }
    }
    // Pages come in order, with few gaps: a stranger's page 4,000,000,000 takes no memory.
    const last = first + count - 1;
    if (last > Math.min(MAX_PGNO, 2 * index.pageCount + GAP_PAGES)) {
      throw new LiveError("upstream", `Broken stream: page ${last} after ${index.pageCount} pages`);
    }
    if (last > index.pageCount) index.resize(last);
    for (let at = 0; at < count; at++) {
      index.record(first + at, this.#hashes[2 * at]!, this.#hashes[2 * at + 1]!, 0, 0);
    }
  }

  /**
   * The size, the write guard, everything on disk. After an fsync that failed the next one may succeed
   * without the bytes that were lost: such a copy is thrown away.
   */
  async #finish(pageCount: number): Promise<void> {
    await this.#syncing;
    try {
      this.#file.truncateSync(pageCount * this.index.pageSize);
      if (this.options.guarded) this.#writeAll(guard(), WRITE_VERSION_BYTE);
    } catch (error) {
      throw diskError("write", this.#copyPath, error);
    }
    try {
      if (this.#syncError !== undefined) throw this.#syncError;
      await this.#file.sync();
    } catch (error) {
      removeIfThere(this.#copyPath);
      throw diskError("fsync", this.#copyPath, error);
    }
  }

  #writeAll(bytes: Bytes, offset: number): void {
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    for (let done = 0; done < bytes.length;) done += this.#file.writeSync(bytes.subarray(done));
  }

  #write(bytes: Bytes, offset: number): void {
    try {
      this.#writeAll(bytes, offset);
    } catch (error) {
      throw diskError("write", this.#copyPath, error);
    }
    this.#unsynced += bytes.length;
    if (this.#unsynced < SYNC_BYTES || this.#syncing !== undefined) return;
    this.#unsynced = 0;
    this.#syncing = this.#file.syncData()
      .catch((error) => this.#syncError = error)
      .finally(() => this.#syncing = undefined);
  }

  #appear(): void {
    for (const suffix of ["-journal", "-wal", "-shm"]) removeIfThere(`${this.#path}${suffix}`);
    syncFolder(folderOf(this.#path));
    try {
      if (this.options.replace) Deno.renameSync(this.#copyPath, this.#path);
      else Deno.linkSync(this.#copyPath, this.#path);
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) {
        throw new LiveError("busy", `"${this.#path}" has appeared during the first copy`);
      }
      throw diskError("make", this.#path, error);
    }
    this.#done = true; // whatever comes now, the database is there
    if (this.options.replace) syncFolder(folderOf(this.#path));
    else dropLinked(this.#path, this.#copyPath);
  }
}

function neverCame(pgno: number): LiveError {
  return new LiveError("upstream", `Broken stream: page ${pgno} never came`);
}

/**
 * Makes what is left of our own copy, which no SQLite can read any more, the beginning of a first copy.
 * No SQLite of this process may have it open. @throws {LiveError} "disk".
 */
export function beginFrom(path: string, folder: string): void {
  try {
    Deno.renameSync(path, `${folder}/copy`);
  } catch (error) {
    throw diskError("move", path, error);
  }
}

/** What a disk does is no bug: it is told, and tried again. */
function diskError(verb: string, path: string, error: unknown): LiveError {
  return new LiveError("disk", `Cannot ${verb} "${path}": ${messageOf(error)}`);
}

/** Bytes 18 and 19 of page 1: no stock SQLite writes to a file with this write version. */
function guard(): Bytes {
  const bytes = new Uint8Array(2);
  bytes[0] = GUARD_VERSION;
  bytes[READ_VERSION_BYTE - WRITE_VERSION_BYTE] = WAL_VERSION;
  return bytes;
}

/**
 * After link() the finished database has both names; the copy's goes when the other one would outlive
 * a power cut. Also called before each attempt, since a kill or a failing disk may come in between.
 */
export function dropLinked(path: string, copyPath: string): void {
  if (!sameFile(path, copyPath)) return;
  syncFolder(folderOf(path));
  removeIfThere(copyPath);
}

function sameFile(path: string, copyPath: string): boolean {
  try {
    const [database, copy] = [Deno.statSync(path), Deno.statSync(copyPath)];
    return database.ino === copy.ino && database.dev === copy.dev;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw diskError("look at", copyPath, error);
  }
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      throw diskError("remove", path, error);
    }
  }
}

/** A new name lasts once its folder is fsynced. */
function syncFolder(path: string): void {
  try {
    using folder = Deno.openSync(path, { read: true });
    folder.syncSync();
  } catch (error) {
    throw diskError("fsync", path, error);
  }
}
