/**
 * A wal-index in memory with lock slots that several connections fight for, by SQLite's rules: many
 * shared or one exclusive a slot, no waiting. May import: src/base, src/wal.
 *
 * Faults it may inject: `onLock` and `onBarrier` run what another process does at that very moment.
 * @module
 */
import type { LockMode, ShmLock, WalIndexMemory } from "../../src/base/io.ts";
import { encodeHeader, type WalIndexHeader } from "../../src/wal/wal_index.ts";

export const REGION_BYTES = 32768;
const SLOTS = 8;

/** Bytes of the wal-index by SQLite's names (SQLITE.md section 1). */
export const SHM_BYTE = {
  copy1: 0,
  copy2: 48,
  backfill: 96,
  marks: 100,
  locks: 120,
  attempted: 128,
  pgnos: 136,
  hash: 16384,
} as const;

/** What all connections share. */
export class FakeShm {
  readonly regions: ArrayBuffer[] = [new ArrayBuffer(REGION_BYTES)];
  readonly #held: ShmLock[] = [];
  /** Runs before a lock is tried. */
  onLock: (slot: number, count: number, mode: LockMode) => void = () => {};
  onBarrier: () => void = () => {};
  /** What was locked and unlocked, in order: "lock 7 1 shared", "unlock 7". */
  readonly calls: string[] = [];

  connection(): WalIndexMemory {
    return {
      region: (index, extend) => this.#region(index, extend),
      barrier: () => {
        this.calls.push("barrier");
        this.onBarrier();
      },
      tryLock: (slot, count, mode) => {
        this.onLock(slot, count, mode);
        return this.#tryLock(slot, count, mode);
      },
    };
  }

  get held(): readonly ShmLock[] {
    return this.#held;
  }

  /** A word of region 0 by its byte. */
  word(byte: number): number {
    return new Uint32Array(this.regions[0]!)[byte / 4]!;
  }

  setWord(byte: number, value: number): void {
    new Uint32Array(this.regions[0]!)[byte / 4] = value;
  }

  /** Both copies of the header, and the marks of a log that was just made. */
  setHeader(header: WalIndexHeader, backfill = 0): void {
    const words = encodeHeader(header);
    new Uint32Array(this.regions[0]!).set(words, 0);
    new Uint32Array(this.regions[0]!).set(words, 12);
    this.setWord(SHM_BYTE.backfill, backfill);
  }

  setMarks(...marks: readonly number[]): void {
    for (const [slot, mark] of marks.entries()) this.setWord(SHM_BYTE.marks + 4 * slot, mark);
  }

  get marks(): number[] {
    return [0, 1, 2, 3, 4].map((slot) => this.word(SHM_BYTE.marks + 4 * slot));
  }

  #region(index: number, extend: boolean): ArrayBuffer | undefined {
    while (extend && this.regions.length <= index) this.regions.push(new ArrayBuffer(REGION_BYTES));
    return this.regions[index];
  }

  #tryLock(slot: number, count: number, mode: LockMode): ShmLock | undefined {
    if (slot < 0 || slot + count > SLOTS) throw new Error(`no such lock: ${slot}, ${count}`);
    const conflict = this.#held.some((other) =>
      other.slot < slot + count && slot < other.slot + other.count &&
      (mode === "exclusive" || other.mode === "exclusive")
    );
    if (conflict) return undefined;
    const lock: ShmLock = {
      slot,
      count,
      mode,
      [Symbol.dispose]: () => {
        const at = this.#held.indexOf(lock);
        if (at < 0) return;
        this.#held.splice(at, 1);
        this.calls.push(`unlock ${slot}`);
      },
    };
    this.#held.push(lock);
    this.calls.push(`lock ${slot} ${count} ${mode}`);
    return lock;
  }
}
