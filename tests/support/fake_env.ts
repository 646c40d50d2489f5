/**
 * Time, chance and log of a test: a clock that stands until it is told to go on, numbers from a seed,
 * lines that are kept. May import: src/base.
 * @module
 */
import { setImmediate } from "node:timers";
import type { Clock, Env, Log, LogFields, LogLevel, Random } from "../../src/base/env.ts";

interface Timer {
  readonly due: number;
  readonly order: number;
  readonly work: () => void;
}

export class FakeClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return 1_700_000_000_000 + this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const cancel = this.after(ms, () => {
        signal?.removeEventListener("abort", aborted);
        resolve();
      });
      const aborted = (): void => {
        cancel();
        resolve();
      };
      signal?.addEventListener("abort", aborted, { once: true });
    });
  }

  after(ms: number, work: () => void): () => void {
    const timer = { due: this.#now + ms, order: this.#order++, work };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that wait; a test that ends with some has forgotten to stop something. */
  get waiting(): number {
    return this.#timers.size;
  }

  /** Goes on by `ms`, timer by timer, and lets what they started run. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      const next = [...this.#timers].filter(({ due }) => due <= until)
        .sort((a, b) => a.due - b.due || a.order - b.order)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.due);
      next.work();
      await settle();
    }
    this.#now = until;
  }
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Numbers that a seed gives again (mulberry32). */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number in [0, below). */
  below(below: number): number {
    return Math.floor(this.fraction() * below);
  }

  u32(): number {
    return this.below(2 ** 32);
  }

  id(): string {
    const words = [this.u32() | 1, this.u32()];
    return words.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  bytes(length: number): Uint8Array<ArrayBuffer> {
    const words = new Uint32Array(Math.ceil(length / 4));
    for (let at = 0; at < words.length; at++) words[at] = this.u32();
    return new Uint8Array(words.buffer, 0, length);
  }
}

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

export interface FakeEnv extends Env {
  readonly clock: FakeClock;
  readonly random: SeededRandom;
  readonly lines: LogLine[];
}

export function fakeEnv(seed = 1): FakeEnv {
  const lines: LogLine[] = [];
  const logWith = (always: LogFields): Log => {
    const line = (level: LogLevel) => (message: string, fields: LogFields = {}): void => {
      lines.push({ level, message, fields: { ...always, ...fields } });
    };
    return {
      debug: line("debug"),
      info: line("info"),
      warn: line("warn"),
      error: line("error"),
      with: (fields) => logWith({ ...always, ...fields }),
    };
  };
  return { clock: new FakeClock(), random: new SeededRandom(seed), log: logWith({}), lines };
}
