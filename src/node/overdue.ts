/**
 * Work that is waited for and may never end, as on a disk that hangs: after a while it is trouble that
 * people are told of. May import: base/.
 * @module
 */
import type { Clock } from "../base/env.ts";

/**
 * How long anything may stand still until people are told. Short enough that /health tells within 5 s; a
 * slow disk's fsync is shorter.
 */
export const OVERDUE_MS = 3000;

export class Overdue {
  readonly #clock: Clock;
  readonly #what: string;
  #since: number | undefined;

  /** @param what is done, a noun phrase: "an fsync of the log". */
  constructor(clock: Clock, what: string) {
    this.#clock = clock;
    this.#what = what;
  }

  get busy(): boolean {
    return this.#since !== undefined;
  }

  /** Waits for `work`, which is the only one of its kind at the time. */
  async watch<T>(work: () => Promise<T>): Promise<T> {
    this.#since = this.#clock.monotonic();
    try {
      return await work();
    } finally {
      this.#since = undefined;
    }
  }

  /** A sentence; undefined while all is well. */
  trouble(): string | undefined {
    if (this.#since === undefined) return undefined;
    const ms = this.#clock.monotonic() - this.#since;
    return ms <= OVERDUE_MS ? undefined : notEnded(this.#what, ms);
  }
}

/** Both look the same from here; node/starved tells of the second. */
export function notEnded(what: string, ms: number): string {
  const seconds = Math.round(ms / 1000);
  return `${what} has not ended for ${seconds} s: does the disk hang, or is there no processor for us?`;
}
