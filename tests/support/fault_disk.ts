/**
 * A disk: files and folders as a process sees them, and what of it a power cut would leave. May import:
 * src/base, tests/support.
 *
 *     file    content now | content as of the last fsync | writes since then
 *     folder  names now   | names as of the last fsync   | changes since then
 *
 * A kill leaves the content now. A power cut leaves of every file, sector by sector (512 bytes), what
 * the sector was at some moment since the last fsync; of its sizes, which are journaled, those up to
 * some other moment; of the folders any part of the changes. A failed fsync leaves all as it was. Faults it may inject: those of FaultPlan, at
 * the calls that name a label.
 * @module
 */
import type { Bytes } from "../../src/base/bytes.ts";
import type { Chance, FaultPlan } from "./fault_plan.ts";

const SECTOR = 512;

interface Write {
  readonly at: number;
  readonly bytes: Bytes;
  /** Of the file afterwards. */
  readonly size: number;
  /** It only changes the size; `bytes` are the zeros of what it cuts off. */
  readonly cut?: true;
}

/** The content of a file, whatever its names. */
export class DiskInode {
  /** ctime: how often it was changed, its links too. */
  changed = 0n;
  #links = 0;
  #now: Bytes = new Uint8Array(0);
  #size = 0;
  #durable: Bytes = new Uint8Array(0);
  #durableSize = 0;
  #writes: Write[] = [];

  constructor(readonly id: number, readonly folder: boolean) {}

  get links(): number {
    return this.#links;
  }
  set links(links: number) {
    this.#links = links;
    this.changed++;
  }
  get size(): number {
    return this.#size;
  }
  get content(): Bytes {
    return this.#now.slice(0, this.#size);
  }

  read(into: Uint8Array, offset: number): boolean {
    const end = Math.min(offset + into.length, this.#size);
    if (offset < end) into.set(this.#now.subarray(offset, end));
    into.fill(0, Math.max(0, end - offset));
    return end === offset + into.length;
  }

  write(bytes: Uint8Array, at: number): void {
    if (bytes.length === 0) return;
    this.changed++;
    this.#now = roomFor(this.#now, at + bytes.length);
    this.#now.set(bytes, at);
    this.#size = Math.max(this.#size, at + bytes.length);
    this.#writes.push({ at, bytes: Uint8Array.from(bytes), size: this.#size });
  }

  truncate(size: number): void {
    if (size === this.#size) return;
    this.changed++;
    this.#now = roomFor(this.#now, size);
    const cut = new Uint8Array(Math.max(0, this.#size - size));
    this.#now.set(cut, size);
    this.#size = size;
    this.#writes.push({ at: size, bytes: cut, size, cut: true });
  }

  /** Begins an fsync: what is called later makes durable all that was written until now. */
  sync(): () => void {
    const last = this.#writes.at(-1);
    return () => {
      const at = last === undefined ? -1 : this.#writes.indexOf(last);
      for (const write of this.#writes.splice(0, at + 1)) this.#keep(write);
    };
  }

  cutPower(chance: Chance): void {
    const writes = this.#writes;
    if (writes.length === 0) return;
    const all = chance.below(4); // 0: nothing landed, 1: all of it, else some
    const touched = new Map<number, number>();
    for (const write of writes) {
      if (write.cut) continue;
      for (const sector of sectorsOf(write)) touched.set(sector, (touched.get(sector) ?? 0) + 1);
    }
    for (const [sector, count] of touched) {
      touched.set(sector, all === 0 ? 0 : all === 1 ? count : chance.below(count + 1));
    }
    // Sizes are journaled: those up to some moment, and none after it.
    const sizes = all === 0 ? 0 : all === 1 ? writes.length : chance.below(writes.length + 1);
    const size = sizes === 0 ? this.#durableSize : writes[sizes - 1]!.size;
    for (const [nth, write] of writes.entries()) {
      if (write.cut) {
        if (nth < sizes) this.#durable.fill(0, write.at);
        continue;
      }
      for (const sector of sectorsOf(write)) {
        const left = touched.get(sector)!;
        if (left === 0) continue;
        touched.set(sector, left - 1);
        const from = Math.max(write.at, sector * SECTOR);
        const to = Math.min(write.at + write.bytes.length, (sector + 1) * SECTOR);
        this.#durable = roomFor(this.#durable, to);
        this.#durable.set(write.bytes.subarray(from - write.at, to - write.at), from);
      }
    }
    this.#durable = roomFor(this.#durable, size);
    this.#durable.fill(0, size);
    this.#durableSize = this.#size = size;
    this.#now = this.#durable.slice();
    this.#writes = [];
  }

  #keep({ at, bytes, size }: Write): void {
    this.#durable = roomFor(this.#durable, Math.max(size, at + bytes.length));
    this.#durable.set(bytes, at);
    this.#durableSize = size;
  }
}

function roomFor(bytes: Bytes, size: number): Bytes {
  if (bytes.length >= size) return bytes;
  const grown = new Uint8Array(Math.max(size, 2 * bytes.length));
  grown.set(bytes);
  return grown;
}

function* sectorsOf({ at, bytes }: Write): Generator<number> {
  if (bytes.length === 0) return;
  const last = Math.floor((at + bytes.length - 1) / SECTOR);
  for (let sector = Math.floor(at / SECTOR); sector <= last; sector++) yield sector;
}

interface NameChange {
  readonly path: string;
  /** Undefined: removed. */
  readonly inode: DiskInode | undefined;
}

export class FaultDisk {
  readonly #plan: FaultPlan;
  readonly #chance: Chance;
  #names = new Map<string, DiskInode>();
  #durableNames = new Map<string, DiskInode>();
  #changes: NameChange[] = [];
  readonly #inodes = new Set<DiskInode>();
  #nextId = 1000;
  #boots = 1;

  constructor(root: string, plan: FaultPlan, chance: Chance) {
    this.#plan = plan;
    this.#chance = chance;
    const folder = new DiskInode(this.#nextId++, true);
    this.#names.set(root, folder);
    this.#durableNames.set(root, folder);
  }

  /** Changes with each power cut. */
  get bootId(): string {
    return `boot-${this.#boots}`;
  }

  find(path: string): DiskInode | undefined {
    return this.#names.get(path);
  }

  make(path: string, label: string, folder = false, fail = osError): DiskInode {
    const verdict = this.#plan.meet(label, 1, true, fail);
    const inode = new DiskInode(this.#nextId++, folder);
    if (verdict.landed > 0) {
      this.#inodes.add(inode);
      this.#name(path, inode);
    }
    verdict.then();
    return inode;
  }

  link(from: string, to: string, label: string): void {
    const verdict = this.#plan.meet(label, 1, true, osError);
    if (verdict.landed > 0) this.#name(to, this.#names.get(from)!);
    verdict.then();
  }

  remove(path: string, label: string): void {
    const verdict = this.#plan.meet(label, 1, false, osError);
    if (verdict.landed > 0) this.#name(path, undefined);
    verdict.then();
  }

  write(inode: DiskInode, bytes: Uint8Array, at: number, label: string, fail = osError): void {
    const verdict = this.#plan.meet(label, bytes.length, true, fail);
    inode.write(bytes.subarray(0, verdict.landed), at);
    verdict.then();
  }

  truncate(inode: DiskInode, size: number, label: string, fail = osError): void {
    const verdict = this.#plan.meet(label, 1, false, fail);
    if (verdict.landed > 0) inode.truncate(size);
    verdict.then();
  }

  /** Begins an fsync, ended by what it returns. */
  sync(inode: DiskInode, label: string, fail = osError): () => void {
    const verdict = this.#plan.meet(label, 1, false, fail);
    const end = inode.sync();
    if (verdict.landed > 0) return verdict.then(), end;
    verdict.then();
    return () => {};
  }

  rename(from: string, to: string, label: string): void {
    const verdict = this.#plan.meet(label, 1, false, osError);
    if (verdict.landed > 0) {
      this.#name(to, this.#names.get(from)!);
      this.#name(from, undefined);
    }
    verdict.then();
  }

  syncFolder(path: string, label: string, fail = osError): void {
    const verdict = this.#plan.meet(label, 1, false, fail);
    if (verdict.landed > 0) {
      const left: NameChange[] = [];
      for (const change of this.#changes) {
        if (folderOf(change.path) === path) this.#keep(change);
        else left.push(change);
      }
      this.#changes = left;
    }
    verdict.then();
  }

  cutPower(): void {
    this.#boots++;
    const all = this.#chance.below(4);
    for (const change of this.#changes) {
      if (all === 1 || (all > 1 && this.#chance.below(2) === 0)) this.#keep(change);
    }
    this.#changes = [];
    for (const path of [...this.#durableNames.keys()]) { // a folder that is lost takes all with it
      const folder = folderOf(path);
      if (folder !== "" && !this.#durableNames.has(folder)) this.#durableNames.delete(path);
    }
    this.#names = new Map(this.#durableNames);
    for (const inode of this.#inodes) {
      inode.links = 0;
      inode.cutPower(this.#chance);
    }
    for (const inode of this.#names.values()) inode.links++;
  }

  #name(path: string, inode: DiskInode | undefined): void {
    const before = this.#names.get(path);
    if (before !== undefined) before.links--;
    if (inode === undefined) this.#names.delete(path);
    else {
      this.#names.set(path, inode);
      inode.links++;
    }
    this.#changes.push({ path, inode });
  }

  #keep({ path, inode }: NameChange): void {
    if (inode === undefined) this.#durableNames.delete(path);
    else this.#durableNames.set(path, inode);
  }
}

export function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

/** As Deno's calls fail. */
export function osError(kind: "full" | "io"): Error {
  return new Error(
    kind === "full" ? "No space left on device (os error 28)" : "Input/output error (os error 5)",
  );
}
