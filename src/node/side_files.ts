/**
 * What a node keeps beside a database, in `<db>-live/`: a lock against a second node, and the state
 * that a restart starts from. Never the database itself. May import: base/.
 *
 *     lock    flock, held as long as the node runs
 *     state   one line of JSON; a torn line is no state
 *     copy    a first copy under way (node/copier.ts)
 *     index   page hashes (node/saved_index.ts)
 * @module
 */
import { LiveError, messageOf } from "../base/errors.ts";
import type { DatabaseId, Epoch, Txid } from "../base/types.ts";

/** Content that a replica had: its file is at this position if its hash is this. */
export interface KnownContent {
  readonly epoch: Epoch;
  readonly txid: Txid;
  /** 16 hex digits. */
  readonly hash: string;
}

/** Where a primary was in its log: the history is unbroken if all of it still holds. */
export interface LogPlace {
  readonly boot: string;
  readonly device: number;
  readonly inode: number;
  /** When the file was made, ms: the inode of a deleted file is soon another's. 0 if not known. */
  readonly born: number;
  readonly salt1: number;
  readonly salt2: number;
  readonly frame: number;
  readonly sum1: number;
  readonly sum2: number;
}

export interface SavedState {
  readonly format: 1;
  readonly role: "primary" | "replica";
  readonly id: DatabaseId;
  readonly epoch: Epoch;
  readonly txid: Txid;
  /** Primary only. */
  readonly place?: LogPlace;
  /** Replica, or one that is being promoted: what is there now, or what is about to be. */
  readonly contents?: readonly KnownContent[];
}

/** The end of the log of an open database, as it is written down. */
export function logPlace(
  { device, inode, born }: Pick<LogPlace, "device" | "inode" | "born">,
  { salt1, salt2, mxFrame: frame, sum }: LogEnd,
): LogPlace {
  const { s1: sum1, s2: sum2 } = sum;
  return { boot: bootId(), device, inode, born, salt1, salt2, frame, sum1, sum2 };
}

interface LogEnd {
  readonly salt1: number;
  readonly salt2: number;
  readonly mxFrame: number;
  readonly sum: { readonly s1: number; readonly s2: number };
}

/** What a disk writes as a whole. */
const SECTOR_BYTES = 512;

export class SideFiles {
  readonly #path: string;
  #folder: string;
  #lock: Deno.FsFile | undefined;
  #state: Deno.FsFile | undefined;
  #written = 0;
  /** The id that outlives a power cut. */
  #durable: DatabaseId | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#folder = `${path}-live`;
  }

  get folder(): string {
    return this.#folder;
  }

  /** Makes the folder and takes the lock. @throws {LiveError} "guard" if another node has it. */
  claim(): void {
    if (this.#lock !== undefined && this.#isThere(this.#lock)) return;
    this.release(); // somebody moved the folder away
    this.#folder = `${realPath(this.#path)}-live`; // two names of one file are one database
    try {
      Deno.mkdirSync(this.folder, { recursive: false });
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw folderError(this.folder, error);
    }
    let file: Deno.FsFile;
    try {
      file = Deno.openSync(`${this.folder}/lock`, { create: true, write: true });
    } catch (error) {
      throw folderError(`${this.folder}/lock`, error);
    }
    if (!file.tryLockSync(true)) {
      file.close();
      throw new LiveError(
        "guard",
        `Another litestream-live works on this database: "${this.folder}"`,
      );
    }
    this.#lock = file;
  }

  #isThere(lock: Deno.FsFile): boolean {
    try {
      return Deno.statSync(`${this.#folder}/lock`).ino === lock.statSync().ino;
    } catch {
      return false;
    }
  }

  release(): void {
    this.#state?.close();
    this.#state = this.#durable = undefined;
    this.#written = 0;
    this.#lock?.close();
    this.#lock = undefined;
  }

  /**
   * The state of the last run; undefined if there is none or it is torn.
   * @throws {LiveError} "disk" if it cannot be read: without it a node may not know its own file.
   */
  load(): SavedState | undefined {
    const path = `${this.folder}/state`;
    let text: string;
    try {
      text = Deno.readTextFileSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      if (error instanceof Deno.errors.PermissionDenied) throw folderError(path, error);
      throw new LiveError("disk", `Cannot read "${path}": ${messageOf(error)}`);
    }
    try {
      const state: SavedState = JSON.parse(text.split("\n", 1)[0] ?? "");
      return state.format === 1 && typeof state.id === "string" ? state : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Replaces the state, without fsync: what is in it is checked against the database before it is
   * believed. Only a new id is fsynced: a replica that has lost it cannot tell its own file, once
   * enough pages have changed, from somebody else's. One write of one line in place, always of one
   * sector's size, so that a power cut leaves the old line or the new one.
   */
  save(state: SavedState): void {
    try {
      this.#state ??= Deno.openSync(`${this.folder}/state`, { create: true, write: true });
      const line = JSON.stringify(state);
      this.#written = Math.max(this.#written, line.length, SECTOR_BYTES - 1);
      const bytes = new TextEncoder().encode(`${line.padEnd(this.#written)}\n`);
      this.#state.seekSync(0, Deno.SeekMode.Start);
      for (let done = 0; done < bytes.length;) done += this.#state.writeSync(bytes.subarray(done));
      if (state.id !== this.#durable) this.#makeDurable(this.#state);
      this.#durable = state.id;
    } catch (error) {
      throw new LiveError("disk", `Cannot write "${this.folder}/state": ${messageOf(error)}`);
    }
  }

  #makeDurable(state: Deno.FsFile): void {
    state.syncSync();
    syncFolder(this.folder);
    syncFolder(this.folder.slice(0, this.folder.lastIndexOf("/")) || "/");
  }

  /** A primary begins a new epoch at its next start, of the same database; `epoch` is none yet. */
  breakHistory(epoch: Epoch): void {
    const state = this.load();
    if (state?.place === undefined) return;
    this.save({ ...state, epoch, place: { ...state.place, boot: "" } });
  }

  /** Forgets the state: the next start compares hashes. */
  forget(): void {
    this.#state?.close();
    this.#state = this.#durable = undefined;
    this.#written = 0;
    try {
      Deno.removeSync(`${this.folder}/state`);
    } catch { /* there was none */ }
  }
}

/** So that a new name in it outlives a power cut; a folder that we may not read must do without. */
export function syncFolder(path: string): void {
  let folder: Deno.FsFile;
  try {
    folder = Deno.openSync(path, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return;
    throw error;
  }
  using _closed = folder;
  folder.syncSync();
}

/** Links resolved, also of a file that is not there yet. */
export function realPath(path: string): string {
  const slash = path.lastIndexOf("/");
  for (const [known, rest] of [[path, ""], [path.slice(0, slash) || "/", path.slice(slash)]]) {
    try {
      return Deno.realPathSync(known!).replace(/\/$/, "") + rest!;
    } catch { /* not there, or closed to us: what follows says so */ }
  }
  return path;
}

function folderError(path: string, error: unknown): LiveError {
  if (error instanceof Deno.errors.NotFound) {
    return new LiveError("not_ready", `The directory of "${path}" does not exist yet`);
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return new LiveError("forbidden", `No permission to write "${path}"`);
  }
  return new LiveError("disk", `Cannot make "${path}": ${messageOf(error)}`);
}

/** Changes at every boot; "" where the system has none (then no history is ever unbroken). */
export function bootId(): string {
  try {
    return Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
  } catch {
    return "";
  }
}
