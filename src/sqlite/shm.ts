/**
 * The wal-index of one connection: its regions as ArrayBuffers over the mapped memory, and its lock
 * slots. May import: base/.
 *
 * Invariant: the views die with the connection. SQLite unmaps the memory when the last connection of
 * the process closes, and a load from it would then end the process: close() comes first, and all
 * that is asked later throws.
 * @module
 */
import { assert } from "../base/assert.ts";
import { LiveError } from "../base/errors.ts";
import type { LockMode, ShmLock, WalIndexMemory } from "../base/io.ts";
import type { Connection } from "./connection.ts";
import { RC, type Sqlite, sqlite, sqliteError } from "./library.ts";

const REGION_BYTES = 32768;
const FLAG = { unlock: 1, lock: 2, shared: 4, exclusive: 8 };

export class SqliteShm implements WalIndexMemory {
  readonly #sqlite: Sqlite = sqlite();
  readonly #file: Deno.PointerObject;
  readonly #path: string;
  readonly #regions: (ArrayBuffer | undefined)[] = [];
  readonly #held = new Set<ShmLock>();
  #closed = false;

  constructor(connection: Connection) {
    const file = this.#sqlite.live_file(connection.handle, 0);
    assert(file !== null, "a connection that has read has a file");
    this.#file = file;
    this.#path = `${connection.path}-shm`;
  }

  /** Gives up what is held; from now on every call throws "not_ready". */
  close(): void {
    for (const lock of [...this.#held]) lock[Symbol.dispose]();
    this.#closed = true;
    this.#regions.length = 0;
  }

  region(index: number, extend: boolean): ArrayBuffer | undefined {
    this.#open();
    const known = this.#regions[index];
    if (known !== undefined) return known;
    const out = new BigUint64Array(1);
    const buffer = new Uint8Array(out.buffer);
    const rc = this.#sqlite.live_shm_map(this.#file, index, extend ? 1 : 0, buffer);
    if (rc !== RC.ok) throw sqliteError(rc, `Cannot map "${this.#path}"`);
    const pointer = Deno.UnsafePointer.create(out[0]!);
    if (pointer === null) return undefined;
    return this.#regions[index] = Deno.UnsafePointerView.getArrayBuffer(pointer, REGION_BYTES);
  }

  barrier(): void {
    this.#open();
    this.#sqlite.live_shm_barrier(this.#file);
  }

  tryLock(slot: number, count: number, mode: LockMode): ShmLock | undefined {
    this.#open();
    for (const held of this.#held) {
      const apart = held.slot + held.count <= slot || slot + count <= held.slot;
      assert(apart, `lock slot ${slot} is already held by this connection`);
    }
    const kind = mode === "shared" ? FLAG.shared : FLAG.exclusive;
    const rc = this.#sqlite.live_shm_lock(this.#file, slot, count, FLAG.lock | kind);
    if (rc === RC.busy) return undefined;
    if (rc !== RC.ok) throw sqliteError(rc, `Cannot lock "${this.#path}"`);
    const lock: ShmLock = {
      slot,
      count,
      mode,
      [Symbol.dispose]: () => {
        if (!this.#held.delete(lock)) return;
        this.#sqlite.live_shm_lock(this.#file, slot, count, FLAG.unlock | kind);
      },
    };
    this.#held.add(lock);
    return lock;
  }

  /** PID of another process that holds `slot` exclusively; 0: none does, -1: one without a PID here. */
  owner(slot: number): number {
    this.#open();
    return this.#sqlite.live_shm_owner(this.#file, slot);
  }

  #open(): void {
    if (!this.#closed) return;
    throw new LiveError(
      "not_ready",
      `"${this.#path}" is closed: the database is being opened again`,
    );
  }
}
