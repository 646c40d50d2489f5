/**
 * A node that other programs leave no processor: it then makes no checkpoint, sends and applies late,
 * and looks as if the disk or the network hung. Said once, with how much it waited, and once when that
 * is over. May import: base/.
 *
 * A container's limit of processor time is found, too: the system counts it as waiting.
 * @module
 */
import type { Env } from "../base/env.ts";

/** The share is that of the time since so many looks ago. */
const LOOKS = 5;
/** Measured: up to 0.31 beside four busy programs on two cores, 0.7 to 1 where nothing gets done. */
const STARVED = 0.7;

export class Starved {
  readonly #env: Env;
  readonly #ask: () => number | undefined;
  /** The newest last: when, and how much had been waited by then, ms. */
  #looks: (readonly [at: number, waited: number])[] = [];
  #since: number | undefined;

  /** `ask`: how long a processor was waited for, in all; undefined where the system does not count it. */
  constructor(env: Env, ask: () => number | undefined) {
    this.#env = env;
    this.#ask = ask;
    this.look();
  }

  /** As of the last look, ms; undefined where the system does not count it. */
  get waitedMs(): number | undefined {
    return this.#looks.at(-1)?.[1];
  }

  /** Once a second. */
  look(): void {
    const waited = this.#ask();
    if (waited === undefined) return;
    const now = this.#env.clock.monotonic();
    this.#looks = [...this.#looks.slice(-LOOKS), [now, waited]];
    if (this.#looks.length <= LOOKS) return;
    const [at, before] = this.#looks[0]!;
    const share = (waited - before) / Math.max(1, now - at);
    if (share >= STARVED === (this.#since !== undefined)) return;
    if (this.#since === undefined) {
      const waits = `${Math.min(100, Math.round(100 * share))} %`;
      this.#env.log.warn("other programs leave this one hardly any processor", { waits });
      this.#since = at;
    } else {
      this.#env.log.info("there is processor again", { after_ms: Math.round(now - this.#since) });
      this.#since = undefined;
    }
  }
}
