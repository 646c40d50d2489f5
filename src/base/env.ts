/**
 * All that is not deterministic comes in by one `Env`: clock, randomness, log. So faults replay from a
 * seed, and no other module reads the time. May import: nothing.
 * @module
 */

export interface Clock {
  /** Milliseconds since the epoch, for people and files; never for differences. */
  now(): number;
  /** Milliseconds from an arbitrary start that never go back. */
  monotonic(): number;
  /** Resolves after `ms`, or early (never rejects) when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `work` after `ms`, unless the returned function was called before. */
  after(ms: number, work: () => void): () => void;
}

/**
 * Until this clock's next whole multiple of `ms`, or the one after it if that is all but there. What
 * many do now and then is done together so, in one wake-up of the processor.
 */
export function untilNext(clock: Clock, ms: number): number {
  const left = ms - clock.monotonic() % ms;
  return left < ms / 100 ? left + ms : left;
}

/** All that is done each second of one clock, with one timer. */
class Seconds {
  readonly #clock: Clock;
  readonly #works = new Set<(at: number) => void>();
  #cancel: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(work: (at: number) => void): void {
    this.#works.add(work);
    if (this.#works.size === 1) this.#arm();
  }

  remove(work: (at: number) => void): void {
    this.#works.delete(work);
    if (this.#works.size === 0) this.#cancel();
  }

  #arm(): void {
    const ms = untilNext(this.#clock, 1000);
    const at = this.#clock.monotonic() + ms;
    this.#cancel = this.#clock.after(ms, () => {
      this.#arm();
      this.#works.forEach((work) => work(at)); // unlike an iterator it makes nothing for each
    });
  }
}

const seconds = new WeakMap<Clock, Seconds>();

/**
 * Calls `work`, which throws nothing, at each whole second of the clock (`at`, monotonic; timers may fire
 * a little early), until it is disposed of. Hundreds cost one timer together.
 */
export function eachSecond(clock: Clock, work: (at: number) => void): Disposable {
  let all = seconds.get(clock);
  if (all === undefined) seconds.set(clock, all = new Seconds(clock));
  all.add(work);
  return { [Symbol.dispose]: () => all.remove(work) };
}

export interface Random {
  /** In [0, 1). */
  fraction(): number;
  /** 64 random bits as 16 hex digits, never all zero. */
  id(): string;
}

export type LogFields = Readonly<Record<string, unknown>>;
export type LogLevel = "debug" | "info" | "warn" | "error";

/** One line an event. `message` is a constant sentence, what varies goes into `fields`. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with these fields on every line. */
  with(fields: LogFields): Log;
}

export interface Env {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Shorter waits are for somebody who is in a hurry: exact, and alone. */
const SHARED_MS = 20;

/**
 * Timers that end within the same millisecond are one of the system's: hundreds of quiet databases
 * wait for the same second, and a timer of their own each is most of what they cost.
 */
class SharedTimers {
  readonly #timers = new Map<number, { readonly id: number; readonly works: Set<() => void> }>();

  after(ms: number, work: () => void): () => void {
    const now = performance.now();
    const due = Math.ceil(now + ms);
    const timer = this.#timers.get(due) ?? this.#start(due, due - now);
    const entry = (): void => work(); // the same work may wait twice
    timer.works.add(entry);
    return () => {
      if (!timer.works.delete(entry) || timer.works.size > 0) return;
      clearTimeout(timer.id);
      if (this.#timers.get(due) === timer) this.#timers.delete(due);
    };
  }

  #start(due: number, ms: number): { readonly id: number; readonly works: Set<() => void> } {
    const works = new Set<() => void>();
    const id = setTimeout(() => {
      this.#timers.delete(due);
      for (const work of works) {
        works.delete(work);
        work();
      }
    }, ms);
    const timer = { id, works };
    this.#timers.set(due, timer);
    return timer;
  }
}

const shared = new SharedTimers();

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep(ms, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = (): void => {
        cancel();
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const cancel = systemClock.after(ms, done);
      signal?.addEventListener("abort", done, { once: true });
    });
  },
  after(ms, work) {
    if (ms >= SHARED_MS) return shared.after(ms, work);
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

export const systemRandom: Random = {
  fraction: () => Math.random(),
  id() {
    const words = crypto.getRandomValues(new Uint32Array(2));
    words[0] = words[0]! | 1; // never all zero
    return Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("");
  },
};

export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLog,
};

/** Aborts with `outer`, when it is told to, or after `ms`; its listener and timer end with it. */
export class Stop implements Disposable {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #forward = (): void => this.abort();
  readonly #cancel: (() => void) | undefined;
  #aborted = false;

  constructor(outer: AbortSignal, after?: { readonly clock: Clock; readonly ms: number }) {
    this.#outer = outer;
    this.#cancel = after?.clock.after(after.ms, this.#forward);
    outer.addEventListener("abort", this.#forward, { once: true });
    if (outer.aborted) this.abort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** As the signal says, for who asks often. */
  get aborted(): boolean {
    return this.#aborted;
  }

  abort(reason?: unknown): void {
    this.#aborted = true;
    this.#controller.abort(reason);
  }

  [Symbol.dispose](): void {
    this.#cancel?.();
    this.#outer.removeEventListener("abort", this.#forward);
  }
}
