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
    const waiter = new Waiter(this.#clock, signal, () => this.#all.delete(waiter));
    this.#all.add(waiter);
    return waiter;
  }

  /** Resolves when woken, at time `due` (monotonic) or when `signal` aborts. */
  async wait(signal: AbortSignal, due: number): Promise<void> {
    using waiter = this.join(signal);
    await waiter.wait(() => due);
  }
}

/** Waits once at a time. Its timer outlives a wait: who is woken for each commit sets none. */
export class Waiter implements Disposable {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #left: () => void;
  readonly #wake = (): void => this.wake();
  #resolve: (() => void) | undefined;
  #due: () => number = () => Infinity;
  /** When the timer fires, undefined without one. */
  #armed: number | undefined;
  #cancel: () => void = () => {};

  constructor(clock: Clock, signal: AbortSignal, left: () => void) {
    this.#clock = clock;
    this.#signal = signal;
    this.#left = left;
    signal.addEventListener("abort", this.#wake);
  }

  /**
   * Resolves when woken from now on, at time `due` (monotonic) or when the signal aborts. `due` is asked
   * again then: it may have become later.
   */
  wait(due: () => number): Promise<void> {
    if (this.#signal.aborted) return Promise.resolve();
    this.#due = due;
    const at = due();
    if (this.#armed === undefined || at < this.#armed) this.#arm(at);
    return new Promise((resolve) => this.#resolve = resolve);
  }

  wake(): void {
    this.#resolve?.();
    this.#resolve = undefined;
  }

  [Symbol.dispose](): void {
    this.#cancel();
    this.#signal.removeEventListener("abort", this.#wake);
    this.#left();
  }

  #arm(at: number): void {
    this.#cancel();
    this.#armed = at;
    this.#cancel = this.#clock.after(Math.max(0, at - this.#clock.monotonic()), () => {
      this.#armed = undefined;
      if (this.#resolve === undefined) return;
      const due = this.#due();
      if (due > this.#clock.monotonic()) this.#arm(due);
      else this.wake();
    });
  }
}
