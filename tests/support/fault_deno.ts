/**
 * The seam: Deno's own file calls and DatabaseHandle.open() on paths below /fault/ go to a FaultDisk,
 * everything else passes. So node/database.ts and all that it uses run as they are, with no interface
 * made for tests, as under a shim with LD_PRELOAD. May import: src/node, tests/support.
 * @module
 */
import type { Bytes } from "../../src/base/bytes.ts";
import { DatabaseHandle, type OpenResult } from "../../src/node/handle.ts";
import { LIMITS } from "../../src/node/saved_index.ts";
import { type Life, never } from "./fault_clock.ts";
import { type DiskInode, type FaultDisk, folderOf } from "./fault_disk.ts";
import { lookAt as lookAtFault } from "./fault_handle.ts";

export const ROOT = "/fault";
const BOOT_ID = "/proc/sys/kernel/random/boot_id";

/** What the calls act on: the one process that runs, and its disk. */
export interface Seat {
  readonly disk: FaultDisk;
  readonly life: Life;
  /** How long an fsync takes, ms. */
  syncMs(): number;
  open(path: string): OpenResult;
}

/** Puts the seam in until it is disposed of. `seat` is asked at each call. */
export function installSeam(seat: () => Seat): Disposable {
  const calls = new Seam(seat);
  const real: Record<string, unknown> = {};
  const target = Deno as unknown as Record<string, unknown>;
  for (const name of SEAM_CALLS) {
    const original = target[name] as (...args: unknown[]) => unknown;
    const replaced = calls[name] as (...args: unknown[]) => unknown;
    real[name] = original;
    target[name] = (...args: unknown[]): unknown =>
      isOurs(String(args[0])) ? replaced.apply(calls, args) : original(...args);
  }
  const { open, lookAt } = DatabaseHandle;
  DatabaseHandle.open = (path) => seat().open(path);
  DatabaseHandle.lookAt = (path) => lookAtFault(path, seat().disk);
  const limits = { ...LIMITS };
  Object.assign(LIMITS, { worth: 0, changes: 64 }); // as if these databases were large
  return {
    [Symbol.dispose]: () => {
      Object.assign(target, real);
      Object.assign(DatabaseHandle, { open, lookAt });
      Object.assign(LIMITS, limits);
    },
  };
}

function isOurs(path: string): boolean {
  return path.startsWith(ROOT) || path === BOOT_ID;
}

const SEAM_CALLS = [
  "openSync",
  "statSync",
  "removeSync",
  "linkSync",
  "renameSync",
  "mkdirSync",
  "realPathSync",
  "readTextFileSync",
] as const;

type SeamCalls = { readonly [Name in typeof SEAM_CALLS[number]]: (path: string) => unknown };

class Seam implements SeamCalls {
  readonly #seat: () => Seat;

  constructor(seat: () => Seat) {
    this.#seat = seat;
  }

  openSync(path: string, options: Deno.OpenOptions = {}): Deno.FsFile {
    const seat = this.#alive();
    let inode = seat.disk.find(path);
    if (inode === undefined) {
      if (options.create !== true) throw notFound(path);
      this.#find(folderOf(path));
      inode = seat.disk.make(path, `${roleOf(path)}:make`);
    } else if (options.truncate === true) {
      seat.disk.truncate(inode, 0, `${roleOf(path)}:truncate`);
    }
    return new SeamFile(seat, inode, path) as unknown as Deno.FsFile;
  }

  statSync(path: string): Deno.FileInfo {
    return info(this.#find(path));
  }

  removeSync(path: string): void {
    this.#find(path);
    this.#seat().disk.remove(path, `${roleOf(path)}:unlink`);
  }

  linkSync(from: string, to?: string): void {
    this.#find(from);
    if (this.#seat().disk.find(to!) !== undefined) throw new Deno.errors.AlreadyExists(to);
    this.#seat().disk.link(from, to!, `${roleOf(from)}:link`);
  }

  renameSync(from: string, to?: string): void {
    this.#find(from);
    const role = roleOf(from);
    this.#seat().disk.rename(from, to!, `${role === "index" ? role : "aside"}:rename`);
  }

  mkdirSync(path: string): void {
    const { disk } = this.#alive();
    if (disk.find(path) !== undefined) throw new Deno.errors.AlreadyExists(path);
    this.#find(folderOf(path));
    disk.make(path, "folder:make", true);
  }

  realPathSync(path: string): string {
    this.#find(path);
    return path;
  }

  readTextFileSync(path: string): string {
    if (path === BOOT_ID) return this.#alive().disk.bootId;
    return new TextDecoder().decode(this.#find(path).content);
  }

  #alive(): Seat {
    const seat = this.#seat();
    seat.life.must();
    return seat;
  }

  #find(path: string): DiskInode {
    const inode = this.#alive().disk.find(path);
    if (inode === undefined) throw notFound(path);
    return inode;
  }
}

/** An open descriptor: what of Deno.FsFile is used in src. */
class SeamFile implements Disposable {
  readonly #seat: Seat;
  readonly #inode: DiskInode;
  readonly #path: string;
  #at = 0;

  constructor(seat: Seat, inode: DiskInode, path: string) {
    this.#seat = seat;
    this.#inode = inode;
    this.#path = path;
  }

  seekSync(offset: number): number {
    this.#seat.life.must();
    return this.#at = offset;
  }

  readSync(into: Bytes): number | null {
    this.#seat.life.must();
    const count = Math.min(into.length, this.#inode.size - this.#at);
    if (count <= 0) return null;
    this.#inode.read(into.subarray(0, count), this.#at);
    this.#at += count;
    return count;
  }

  writeSync(bytes: Bytes): number {
    this.#seat.life.must();
    const role = roleOf(this.#path);
    const guard = role === "copy" && bytes.length === 2;
    const label = guard ? "copy:guard" : `${role}:write`;
    this.#seat.disk.write(this.#inode, bytes, this.#at, label);
    this.#at += bytes.length;
    return bytes.length;
  }

  truncateSync(size: number): void {
    this.#seat.life.must();
    this.#seat.disk.truncate(this.#inode, size, `${roleOf(this.#path)}:truncate`);
  }

  statSync(): Deno.FileInfo {
    this.#seat.life.must();
    return info(this.#inode);
  }

  syncSync(): void {
    this.#seat.life.must();
    const label = `${roleOf(this.#path)}:sync`;
    if (this.#inode.folder) this.#seat.disk.syncFolder(this.#path, label);
    else this.#seat.disk.sync(this.#inode, label)();
  }

  async sync(): Promise<void> {
    if (!this.#seat.life.alive) return await never();
    const end = this.#seat.disk.sync(this.#inode, `${roleOf(this.#path)}:sync`);
    await this.#seat.life.clock.sleep(this.#seat.syncMs());
    end();
  }

  syncData(): Promise<void> {
    return this.sync();
  }

  tryLockSync(): boolean {
    this.#seat.life.must();
    return true; // one process runs at a time
  }

  close(): void {}
  [Symbol.dispose](): void {}
}

/** Labels begin with what a file is for. */
function roleOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (path === ROOT || path.endsWith("-live")) return "folder";
  if (name.startsWith("index")) return "index";
  return ["copy", "state", "lock"].includes(name) ? name : "target";
}

function notFound(path: string): Error {
  return new Deno.errors.NotFound(`No such file or directory: ${path}`);
}

function info(inode: DiskInode): Deno.FileInfo {
  const { id: ino, size, links: nlink, folder: isDirectory } = inode;
  const mtime = new Date(0);
  const told = { ino, size, nlink, isDirectory, isFile: !isDirectory, dev: 0xfa17, mtime };
  return { ...told, birthtime: mtime } as unknown as Deno.FileInfo;
}
