/**
 * What the WAL rooms need from a file and from shared memory. src/sqlite gives the real ones (SQLite's
 * own handles, so that its POSIX locks stay), tests give fakes. Types only. May import: nothing.
 * @module
 */

/** Random access to one file. All calls are synchronous but `sync`. */
export interface ByteFile {
  /** Fills `into` from byte `offset`; false if the file ends before (the rest is zeros). */
  read(into: Uint8Array, offset: number): boolean;
  /** @throws {LiveError} "disk" when the disk is full or fails. */
  write(bytes: Uint8Array, offset: number): void;
  /** fsync, on another thread. */
  sync(): Promise<void>;
  /** Bytes. */
  size(): number;
}

export type LockMode = "shared" | "exclusive";

/** A held lock: it remembers its slot, count and mode, so an unlock can never drop another's. */
export interface ShmLock extends Disposable {
  readonly slot: number;
  readonly count: number;
  readonly mode: LockMode;
}

/** The wal-index: 32 KiB regions of shared memory, and the eight lock slots beside it. */
export interface WalIndexMemory {
  /** Undefined if the region does not exist and `extend` is false. The buffer is the memory itself. */
  region(index: number, extend: boolean): ArrayBuffer | undefined;
  barrier(): void;
  /** A try-lock: undefined if somebody else is in the way. */
  tryLock(slot: number, count: number, mode: LockMode): ShmLock | undefined;
}
