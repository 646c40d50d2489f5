/**
 * What a node keeps beside a database, in `<db>-live/`: a lock against a second node, and the state
 * that a restart starts from. Never the database itself. May import: base/.
 *
 *     lock    flock, held as long as the node runs
 *     state   one line of JSON; a torn line is no state
 *     copy    a first copy under way (node/copier.ts)
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
  /** Replica only: what is there now, or what is about to be. */
  readonly contents?: readonly KnownContent[];
}

export class SideFiles {
  readonly #path: string;
  #folder: string;
  #lock: Deno.FsFile | undefined;
  #state: Deno.FsFile | undefined;
  #written = 0;

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
    this.#state = undefined;
    this.#written = 0;
    this.#lock?.close();
    this.#lock = undefined;
  }

  /** The state of the last run; undefined if there is none or it is torn. */
  load(): SavedState | undefined {
    try {
      const line = Deno.readTextFileSync(`${this.folder}/state`).split("\n", 1)[0] ?? "";
      const state: SavedState = JSON.parse(line);
      return state.format === 1 && typeof state.id === "string" ? state : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Replaces the state, without fsync: what is in it is checked against the database before it is
   * believed. One write of one line in place; a shorter line is filled with spaces.
   */
  save(state: SavedState): void {
    try {
      this.#state ??= Deno.openSync(`${this.folder}/state`, { create: true, write: true });
      const line = JSON.stringify(state);
      const bytes = new TextEncoder().encode(`${line.padEnd(this.#written)}\n`);
      this.#written = Math.max(line.length, this.#written);
      this.#state.seekSync(0, Deno.SeekMode.Start);
      for (let done = 0; done < bytes.length;) done += this.#state.writeSync(bytes.subarray(done));
    } catch (error) {
      throw new LiveError("disk", `Cannot write "${this.folder}/state": ${messageOf(error)}`);
    }
  }

  /** Forgets the state: the next start compares hashes. */
  forget(): void {
    this.#state?.close();
    this.#state = undefined;
    this.#written = 0;
    try {
      Deno.removeSync(`${this.folder}/state`);
    } catch { /* there was none */ }
  }
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
