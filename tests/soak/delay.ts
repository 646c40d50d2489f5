/**
 * How late this machine runs what is due: a judgement by the clock must allow for it, and for no more.
 * No I/O. May import: nothing.
 * @module
 */

/** What was late for so little says nothing. */
const USUAL_MS = 50;
/** Each of several processes in a row may be as late as the worst that was seen here. */
const STAGES = 10;

interface Seen {
  readonly at: number;
  readonly lateMs: number;
}

export class Delays {
  readonly #windowMs: number;
  readonly #seen: Seen[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** Something that was due `lateMs` ago is done at `at`. */
  seen(at: number, lateMs: number): void {
    while (this.#seen.length > 0 && this.#seen[0]!.at < at - this.#windowMs) this.#seen.shift();
    // Smaller ones before it are never the worst again.
    while (this.#seen.length > 0 && this.#seen.at(-1)!.lateMs <= lateMs) this.#seen.pop();
    this.#seen.push({ at, lateMs });
  }

  /** The worst of the last while, ms. */
  worst(at: number): number {
    return this.#seen.find((one) => one.at >= at - this.#windowMs)?.lateMs ?? 0;
  }

  /** What to add to a limit, ms: 0 on a machine that has time. */
  allowance(at: number): number {
    const worst = this.worst(at);
    return worst <= USUAL_MS ? 0 : STAGES * worst;
  }
}
