/**
 * One machine: its disk, the shared memory of the database's processes, and what ends them. May import:
 * src/base, src/wal, tests/support.
 *
 * Shared memory lives as long as a process has it open. Faults it may inject: those of FaultPlan at
 * "shm:append" and "shm:publish"; a kill inside publish leaves any part of the two header copies.
 * @module
 */
import { LiveError } from "../../src/base/errors.ts";
import type { ByteFile, ShmLock, WalIndexMemory } from "../../src/base/io.ts";
import { type Life, never } from "./fault_clock.ts";
import { type DiskInode, FaultDisk } from "./fault_disk.ts";
import { type Chance, type FaultPlan, Killed } from "./fault_plan.ts";
import { FakeShm } from "./fake_shm.ts";

const HEADER_WORDS = 12;

/** As src/sqlite/library.ts words it. */
export function sqliteDisk(kind: "full" | "io"): Error {
  const rc = kind === "full" ? 13 : 10;
  return new LiveError("disk", `Cannot do it: SQLite code ${rc}`, { rc });
}

export class Machine {
  readonly disk: FaultDisk;
  #shm: FakeShm | undefined;
  readonly #openers = new Set<object>();
  /** Locks by whoever took them, so that a kill drops its own. */
  readonly #locks = new Map<object, Set<ShmLock>>();

  constructor(root: string, readonly plan: FaultPlan, readonly chance: Chance) {
    this.disk = new FaultDisk(root, plan, chance);
  }

  /** The wal-index, while some process has it open. */
  get shm(): FakeShm | undefined {
    return this.#shm;
  }

  get alone(): boolean {
    return this.#openers.size <= 1;
  }

  /** The first opener finds it empty. */
  attach(owner: object): FakeShm {
    this.#openers.add(owner);
    return this.#shm ??= new FakeShm();
  }

  detach(owner: object): void {
    for (const lock of [...this.#locks.get(owner) ?? []]) lock[Symbol.dispose]();
    this.#locks.delete(owner);
    this.#openers.delete(owner);
    if (this.#openers.size === 0) this.#shm = undefined;
  }

  cutPower(): void {
    for (const owner of [...this.#openers]) this.detach(owner);
    this.disk.cutPower();
  }

  lock(
    owner: object,
    slot: number,
    count: number,
    mode: "shared" | "exclusive",
  ): ShmLock | undefined {
    const inner = this.#shm!.connection().tryLock(slot, count, mode);
    if (inner === undefined) return undefined;
    const held = this.#locks.get(owner) ?? new Set();
    this.#locks.set(owner, held);
    const lock: ShmLock = {
      slot,
      count,
      mode,
      [Symbol.dispose]: () => {
        if (held.delete(lock)) inner[Symbol.dispose]();
      },
    };
    held.add(lock);
    return lock;
  }

  /** The wal-index as the code under test maps it. */
  memory(owner: object, life: Life, closed: () => boolean): WalIndexMemory {
    const open = (): void => {
      life.must();
      if (closed()) throw new LiveError("not_ready", "closed: the database is being opened again");
    };
    const inner = this.#shm!.connection();
    return {
      region: (index, extend) => {
        open();
        if (!extend) return inner.region(index, false);
        const verdict = this.plan.meet("shm:append", 1, true, sqliteDisk);
        const region = inner.region(index, true);
        verdict.then();
        return region;
      },
      barrier: () => {
        open();
        this.#barrier();
      },
      tryLock: (slot, count, mode) => {
        open();
        return this.lock(owner, slot, count, mode);
      },
    };
  }

  /** In publish() copy 2 is new here, copy 1 still old. */
  #barrier(): void {
    const words = new Uint32Array(this.#shm!.regions[0]!);
    const before = words.slice(0, HEADER_WORDS);
    const after = words.slice(HEADER_WORDS, 2 * HEADER_WORDS);
    if (before.every((word, at) => word === after[at])) return;
    try {
      this.plan.meet("shm:publish", 1, false, sqliteDisk).then();
    } catch (error) {
      if (!(error instanceof Killed)) return; // stores cannot fail
      // Often all of it: a restart still has nBackfill to reset then.
      const whole = this.chance.below(4) === 0;
      const stored = whole ? 2 * HEADER_WORDS : this.chance.below(2 * HEADER_WORDS + 1);
      for (let at = 0; at < HEADER_WORDS; at++) {
        words[HEADER_WORDS + at] = stored > at ? after[at]! : before[at]!;
        words[at] = stored > HEADER_WORDS + at ? after[at]! : before[at]!;
      }
      throw error;
    }
  }
}

/** A file of SQLite's, as src/sqlite/file.ts gives it. */
export class MachineFile implements ByteFile {
  constructor(
    private readonly machine: Machine,
    private readonly inode: DiskInode,
    private readonly life: Life,
    private readonly label: (bytes: Uint8Array, offset: number) => string,
    private readonly beginSync: () => () => void,
    private readonly syncMs: () => number,
    private readonly closed: () => boolean,
  ) {}

  read(into: Uint8Array, offset: number): boolean {
    this.#open();
    return this.inode.read(into, offset);
  }

  write(bytes: Uint8Array, offset: number): void {
    this.#open();
    const label = this.label(bytes, offset);
    this.machine.disk.write(this.inode, bytes, offset, label, sqliteDisk);
  }

  async sync(): Promise<void> {
    if (!this.life.alive) return await never();
    this.#open();
    const end = this.beginSync();
    await this.life.clock.sleep(this.syncMs());
    end();
  }

  size(): number {
    this.#open();
    return this.inode.size;
  }

  #open(): void {
    this.life.must();
    if (this.closed()) throw new LiveError("not_ready", "The database is being opened again");
  }
}
