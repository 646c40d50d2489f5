/**
 * All who wait for the same thing, woken together. May import: base/env.
 * @module
 */
import type { Clock } from "./env.ts";

export class Waiters {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wake(): void {
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Resolves when woken, at time `due` (monotonic) or when `signal` aborts. */
  wait(signal: AbortSignal, due: number): Promise<void> {
    const ms = Math.max(0, due - this.#clock.monotonic());
    return new Promise((resolve) => {
      const finish = (): void => {
        cancel();
        signal.removeEventListener("abort", finish);
        this.#waiting.delete(finish);
        resolve();
      };
      const cancel = this.#clock.after(ms, finish);
      signal.addEventListener("abort", finish, { once: true });
      this.#waiting.add(finish);
    });
  }
}
