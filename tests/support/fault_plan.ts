/**
 * Which call fails, and how. Every call of the code under test that changes a disk or shared memory
 * has a label ("wal:frame", "copy:link") and asks here first. May import: nothing.
 *
 * Faults it may inject: `full` (ENOSPC), `io` (EIO), `tear` (only some of the write's 512-byte sectors
 * land, then EIO), `kill` (kill -9 before, in the middle of or after the call), `cut` (power cut at that
 * moment). A call of no bytes (truncate, link, fsync) happens or does not.
 * @module
 */

export const FAULT_KINDS = ["full", "io", "tear", "kill", "cut"] as const;
export type FaultKind = typeof FAULT_KINDS[number];

/** What a process that was killed gets for whatever it still tries; the world outside never sees it. */
export class Killed extends Error {
  override readonly name = "Killed";
}

export interface Chance {
  /** In [0, 1). */
  fraction(): number;
  /** A whole number in [0, below). */
  below(below: number): number;
}

export interface Armed {
  /** Undefined: any label. */
  readonly label: string | undefined;
  readonly kind: FaultKind;
  /** Calls of that label that go well before. */
  skip: number;
}

export interface Verdict {
  /** Bytes of the write that land. Other calls happen if it is not 0. */
  readonly landed: number;
  /** Throws what the caller gets, after the part that lands has landed. */
  then(): void;
}

const SECTOR = 512;
const FINE = (): void => {};

export class FaultPlan {
  /** Every label met, with its count. */
  readonly met = new Map<string, number>();
  /** What struck, in order: "kill at wal:commit". */
  readonly struck: string[] = [];
  /** Something else than a kill has struck. */
  hurt = false;
  /** Labels in order, if somebody wants them. */
  record: string[] | undefined;
  /** Whatever needs room fails. */
  diskFull = false;
  /** Ends the process or the machine; called before `Killed` is thrown. */
  onEnd: (kind: "kill" | "cut", label: string) => void = () => {};
  /** Somebody else's calls: none of them fails. */
  asleep = false;
  readonly #armed: Armed[] = [];
  readonly #chance: Chance;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  arm(armed: Armed): void {
    this.#armed.push({ ...armed });
  }

  disarm(): void {
    this.#armed.length = 0;
    this.diskFull = false;
  }

  /** A call of `bytes` bytes (1 if it has none); `room`: it needs space. `fail` makes its error. */
  meet(label: string, bytes: number, room: boolean, fail: (kind: "full" | "io") => Error): Verdict {
    if (this.asleep) return { landed: bytes, then: FINE };
    this.met.set(label, (this.met.get(label) ?? 0) + 1);
    this.record?.push(label);
    const kind = this.#due(label) ?? (this.diskFull && room ? "full" : undefined);
    if (kind === undefined) return { landed: bytes, then: FINE };
    this.hurt ||= kind !== "kill";
    if (!this.diskFull) this.struck.push(`${kind} at ${label}`);
    if (kind === "kill" || kind === "cut") {
      return { landed: this.#part(bytes), then: () => this.#end(kind, label) };
    }
    const error = fail(kind === "full" && room ? "full" : "io");
    return {
      landed: kind === "tear" && bytes > 1 ? this.#part(bytes) : 0,
      then: () => {
        throw error;
      },
    };
  }

  #end(kind: "kill" | "cut", label: string): never {
    this.onEnd(kind, label);
    throw new Killed(`${kind} at ${label}`);
  }

  /** None, all, or a prefix of whole sectors. */
  #part(bytes: number): number {
    return Math.min(bytes, SECTOR * this.#chance.below(Math.ceil(bytes / SECTOR) + 1));
  }

  #due(label: string): FaultKind | undefined {
    for (const [nth, armed] of this.#armed.entries()) {
      if (armed.label !== undefined && armed.label !== label) continue;
      if (armed.skip-- > 0) continue;
      this.#armed.splice(nth, 1);
      return armed.kind;
    }
    return undefined;
  }
}
