/**
 * One clock for a world of processes, and what one process sees of it. A process that is killed never
 * goes on: its timers are gone, its sleeps do not end. May import: src/base, tests/support.
 * @module
 */
import { setImmediate } from "node:timers";
import type { Clock } from "../../src/base/env.ts";
import { Killed } from "./fault_plan.ts";

interface Timer {
  readonly due: number;
  readonly order: number;
  readonly work: () => void;
}

/** Lets everything run that waits for nothing but its turn: promises only, so one turn is enough. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => resolve()));
}

/** A promise that never settles: what a dead process waits for. */
export function never(): Promise<never> {
  return new Promise(() => {});
}

export class WorldClock {
  #now = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();

  get now(): number {
    return this.#now;
  }

  after(ms: number, work: () => void): () => void {
    const timer = { due: this.#now + Math.max(0, ms), order: this.#order++, work };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Goes on by `ms`, timer by timer; ends early once `done` says so. */
  async advance(ms: number, done: () => boolean = () => false): Promise<void> {
    const until = this.#now + ms;
    await turn();
    while (!done()) {
      let next: Timer | undefined;
      for (const timer of this.#timers) {
        if (timer.due > until) continue;
        if (
          next === undefined || timer.due < next.due ||
          (timer.due === next.due && timer.order < next.order)
        ) next = timer;
      }
      if (next === undefined) {
        this.#now = until;
        return;
      }
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.due);
      next.work();
      await turn();
    }
  }
}

/** One process, from start to kill. */
export class Life {
  #alive = true;
  readonly clock: Clock;
  readonly #cancels = new Set<() => void>();

  /** `bug` is told of what a timer throws. */
  constructor(world: WorldClock, bug: (error: unknown) => void) {
    this.clock = {
      now: () => 1_700_000_000_000 + world.now,
      monotonic: () => world.now,
      sleep: (ms, signal) => this.#sleep(ms, signal),
      after: (ms, work) => this.#after(world, ms, work, bug),
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** @throws {Killed} in a dead process. */
  must(): void {
    if (!this.#alive) throw new Killed("the process is dead");
  }

  end(): void {
    this.#alive = false;
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }

  #after(world: WorldClock, ms: number, work: () => void, bug: (error: unknown) => void) {
    if (!this.#alive) return () => {};
    const undo = world.after(ms, () => {
      this.#cancels.delete(undo);
      try {
        work();
      } catch (error) {
        if (!(error instanceof Killed)) bug(error);
      }
    });
    this.#cancels.add(undo);
    return () => {
      this.#cancels.delete(undo);
      undo();
    };
  }

  #sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (!this.#alive) return never();
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const finish = (): void => {
        cancel();
        signal?.removeEventListener("abort", finish);
        if (this.#alive) resolve();
      };
      const cancel = this.clock.after(ms, finish);
      signal?.addEventListener("abort", finish, { once: true });
    });
  }
}
