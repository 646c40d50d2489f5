/**
 * Readers of the replica: what a stock reader sees now, and readers that stay. May import: tests/support.
 * @module
 */
import type { Bytes } from "../../src/base/bytes.ts";
import type { ShmLock } from "../../src/base/io.ts";
import { SHM_BYTE } from "./fake_shm.ts";
import type { DiskInode } from "./fault_disk.ts";
import type { Machine } from "./fault_machine.ts";
import {
  findFrame,
  READ_MARKS,
  recoveredView,
  recoverInto,
  stockHeader,
  type View,
  viewOf,
} from "./fault_stock.ts";

const READ0 = 3;

/** The files of one database as a reader opens them. */
export class ReaderFiles {
  constructor(
    readonly machine: Machine,
    readonly path: string,
    readonly pageSize: number,
  ) {}

  get there(): boolean {
    return this.#database !== undefined;
  }
  get #database(): DiskInode | undefined {
    return this.machine.disk.find(this.path);
  }
  get wal(): DiskInode | undefined {
    return this.machine.disk.find(`${this.path}-wal`);
  }

  /**
   * What a reader that begins now sees. `all`: by frames that are checkpointed, too, as one that began
   * earlier does. Undefined if the wal-index is broken, which only a recovery cures.
   */
  look(all: boolean): View | undefined {
    const { shm } = this.machine;
    const database = this.#database!;
    const wal = this.wal;
    const files = {
      pageSize: this.pageSize,
      database: (into: Bytes, offset: number) => database.read(into, offset),
      wal: (into: Bytes, offset: number) => wal?.read(into, offset) ?? false,
    };
    if (shm === undefined) {
      return recoveredView(files, wal?.content ?? new Uint8Array(0), database.size);
    }
    const header = stockHeader(shm);
    if (header === undefined) return undefined;
    const { mxFrame } = header;
    const backfilled = shm.word(SHM_BYTE.backfill);
    const min = all ? 1 : backfilled + 1; // at mxFrame == nBackfill: none, READ(0)
    const pageCount = header.pageCount || database.size / this.pageSize;
    return viewOf(files, pageCount, (pgno) => findFrame(shm, pgno, min, mxFrame));
  }

  /** Whoever meets a broken header recovers, if nobody has WRITE. */
  recover(): void {
    const { machine } = this;
    const owner = {};
    const locked = (mark: number): boolean => {
      const lock = machine.lock(owner, READ0 + mark, 1, "exclusive");
      lock?.[Symbol.dispose]();
      return lock === undefined;
    };
    recoverInto(machine.shm!, this.wal?.content ?? new Uint8Array(0), locked);
  }
}

/** A connection that stays open, inside a read transaction or not. */
export class Reader {
  readonly #files: ReaderFiles;
  #lock: ShmLock | undefined;
  #seen: readonly Bytes[] = [];
  #view: View | undefined;

  /** Opens: the first of all recovers the log. */
  constructor(files: ReaderFiles) {
    this.#files = files;
    const shm = files.machine.attach(this);
    if (stockHeader(shm) === undefined) files.recover();
  }

  get reading(): boolean {
    return this.#lock !== undefined;
  }

  /** Begins a read transaction as walTryBeginRead() does; false if no mark is free now. */
  begin(): boolean {
    const { machine } = this.#files;
    const shm = machine.shm!;
    const header = stockHeader(shm);
    if (header === undefined || this.reading) return false;
    const { mxFrame } = header;
    if (shm.word(SHM_BYTE.backfill) === mxFrame) {
      this.#lock = machine.lock(this, READ0, 1, "shared");
    }
    this.#lock ??= this.#lockMark(mxFrame);
    if (this.#lock === undefined) return false;
    this.#view = this.#files.look(false);
    this.#seen = this.#pages();
    return true;
  }

  /** True while it sees what it saw. */
  holds(): boolean {
    if (!this.reading) return true;
    return this.#pages().every((page, nth) => samePage(page, this.#seen[nth]!));
  }

  end(): void {
    this.#lock?.[Symbol.dispose]();
    this.#lock = undefined;
    this.#view = undefined;
  }

  close(): void {
    this.end();
    this.#files.machine.detach(this);
  }

  #pages(): Bytes[] {
    return Array.from({ length: this.#view!.pageCount }, (_, nth) => this.#view!.page(nth + 1));
  }

  #lockMark(mxFrame: number): ShmLock | undefined {
    const { machine } = this.#files;
    const shm = machine.shm!;
    const mark = (slot: number): number => shm.word(SHM_BYTE.marks + 4 * slot);
    let best = 0;
    for (let slot = 1; slot < READ_MARKS; slot++) {
      if (mark(slot) <= mxFrame && (best === 0 || mark(slot) > mark(best))) best = slot;
    }
    for (let slot = 1; slot < READ_MARKS && (best === 0 || mark(best) < mxFrame); slot++) {
      const lock = machine.lock(this, READ0 + slot, 1, "exclusive");
      if (lock === undefined) continue;
      shm.setWord(SHM_BYTE.marks + 4 * slot, mxFrame);
      lock[Symbol.dispose]();
      best = slot;
    }
    return best === 0 ? undefined : machine.lock(this, READ0 + best, 1, "shared");
  }
}

export function samePage(a: Bytes, b: Bytes): boolean {
  const [left, right] = [new Uint32Array(a.buffer), new Uint32Array(b.buffer)];
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}
