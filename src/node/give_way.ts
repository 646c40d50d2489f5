/**
 * Applications come first: while a node takes much of a processor, it does so at a lower priority than
 * theirs, as long as it gets what it needs all the same. May import: base/, sqlite/process (types).
 *
 * A commit with synchronous=full sleeps for the disk and wants a processor the moment it wakes; beside
 * a node of the same priority it waits for the end of what the node has begun. But among programs that
 * never sleep a lower priority means no processor at all. So it is given up at once, by a thread of the
 * native half which is not affected, when it got less than a seventh of what it wanted for a third of a
 * second; and then not tried for a while. A quiet node gains nothing by it and stays at its priority, so
 * that the few commits it has are sent at once.
 * @module
 */
import type { Env } from "../base/env.ts";
import type { ProcessorTime } from "../sqlite/process.ts";

/** What the system offers for it: sqlite/process. */
export interface Way {
  /** False: there is no way, or this process was given a priority of its own. Asked once. */
  open(): boolean;
  give(giving: boolean): void;
  /** Whether it is given; not any more once the process got no processor. */
  given(): boolean;
}

/** Shorter times say little: ticks may follow each other closely. */
const LEAST_MS = 200;
/** Shares of the time since the last look. */
const MUCH = 0.2;
const LITTLE = 0.1;
/** Where it waits so many times longer than it runs at the others' priority, it would starve below it. */
const SCARCE = 1.25;
/** How long little must be used until it ends: what comes in bursts stays low. */
const QUIET_MS = 2000;
const LEAST_HOLD_MS = 10_000;
const MOST_HOLD_MS = 600_000;

export class GiveWay {
  readonly #env: Env;
  readonly #way: Way;
  readonly #ask: () => ProcessorTime | undefined;
  readonly #possible: boolean;
  #last: ProcessorTime & { readonly at: number };
  /** Since when. */
  #giving: number | undefined;
  #busyAt = -Infinity;
  #holdMs = 0;
  #heldUntil = 0;

  constructor(env: Env, way: Way, ask: () => ProcessorTime | undefined) {
    this.#env = env;
    this.#way = way;
    this.#ask = ask;
    const time = ask();
    this.#possible = time !== undefined && way.open();
    this.#last = { at: env.clock.monotonic(), ...(time ?? { ran: 0, waited: 0 }) };
    if (!this.#possible) {
      env.log.debug("the priority stays as it is: it was given, or could not be raised again");
    }
  }

  /** Whether the priority is lower now; undefined where it never is. */
  get giving(): boolean | undefined {
    return this.#possible ? this.#giving !== undefined : undefined;
  }

  /**
   * Each time that the node does what is due: once a second, or four times, which it wants while the node
   * is busy. Returns whether it does.
   */
  look(): boolean {
    const now = this.#env.clock.monotonic();
    const { at, ran, waited } = this.#last;
    const span = now - at;
    const isBusy = (): boolean => now - this.#busyAt < QUIET_MS;
    if (!this.#possible || span < LEAST_MS) return isBusy();
    const time = this.#ask();
    if (time === undefined) return false;
    this.#last = { at: now, ...time };
    const share = (time.ran - ran) / span;
    if (share >= LITTLE) this.#busyAt = now;
    if (this.#giving === undefined) {
      const isScarce = time.waited - waited >= SCARCE * (time.ran - ran);
      if (share >= MUCH && !isScarce && now >= this.#heldUntil) this.#give(now);
    } else if (!this.#way.given()) {
      this.#starved(now, now - this.#giving);
    } else if (!isBusy()) {
      this.stop();
      this.#env.log.debug("gives way no more: there is little to do");
    }
    return isBusy();
  }

  stop(): void {
    if (this.#giving === undefined) return;
    this.#giving = undefined;
    this.#way.give(false);
  }

  #give(now: number): void {
    this.#giving = now;
    this.#way.give(true);
    this.#env.log.debug("gives way to other programs");
  }

  /** The sooner it happens again, the longer it is not tried. */
  #starved(now: number, gaveMs: number): void {
    this.#giving = undefined;
    const again = gaveMs < LEAST_HOLD_MS ? 2 * this.#holdMs : 0;
    this.#holdMs = Math.min(MOST_HOLD_MS, Math.max(LEAST_HOLD_MS, again));
    this.#heldUntil = now + this.#holdMs;
    this.#env.log.debug("gives way no more: it got no processor", { again_in_ms: this.#holdMs });
  }
}
