/**
 * All who wait for the same thing, woken together. May import: base/env.
 * @module
 */
import type { Clock } from "./env.ts";

export class Waiters {
  readonly #clock: Clock;
  readonly #all = new Set<Waiter>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Who has joined, waiting just now or not. */
  get size(): number {
    return this.#all.size;
  }

  wake(): void {
    for (const waiter of this.#all) waiter.wake();
  }

  /** For who waits again and again, until it is disposed of; `signal` ends every wait. */
  join(signal: AbortSignal): Waiter {
    const waiter = new Waiter(signal, () => this.#all.delete(waiter));
    this.#all.add(waiter);
    return waiter;
  }

  /** Resolves when woken, at time `due` (monotonic) or when `signal` aborts. */
  async wait(signal: AbortSignal, due: number): Promise<void> {
    using waiter = this.join(signal);
    const ms = Math.max(0, due - this.#clock.monotonic());
    const cancel = this.#clock.after(ms, () => waiter.wake());
    await waiter.wait();
    cancel();
  }
}

/** Waits once at a time. */
export class Waiter implements Disposable {
  readonly #signal: AbortSignal;
  readonly #left: () => void;
  readonly #wake = (): void => this.wake();
  #resolve: (() => void) | undefined;

  constructor(signal: AbortSignal, left: () => void) {
    this.#signal = signal;
    this.#left = left;
    signal.addEventListener("abort", this.#wake);
  }

  /** Resolves when woken from now on, or when the signal aborts. */
  wait(): Promise<void> {
    if (this.#signal.aborted) return Promise.resolve();
    return new Promise((resolve) => this.#resolve = resolve);
  }

  wake(): void {
    this.#resolve?.();
    this.#resolve = undefined;
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener("abort", this.#wake);
    this.#left();
  }
}
