/**
 * The one slow timer of a node: for what no commit starts, such as checkpoints that are due, and for
 * commits that nobody told of. May import: base/.
 *
 * Each wake-up costs a sleeping processor more than what is done then, so a node where nothing happens
 * is woken once a second, and one where something does four times.
 * @module
 */
import { type Clock, untilNext } from "../base/env.ts";

const TICK_MS = 250;
const CHECK_MS = 1000;
/** Timers may fire a little early. */
const EARLY_MS = 2;

export class Pulse {
  readonly #clock: Clock;
  readonly #tick: () => boolean;
  readonly #check: () => void;
  #checkAt = 0;
  #slow = false;
  #stopped = false;
  #cancel: () => void = () => {};

  /** `tick` returns whether it wants to be called again soon; `check` is called once a second. */
  constructor(clock: Clock, tick: () => boolean, check: () => void) {
    this.#clock = clock;
    this.#tick = tick;
    this.#check = check;
  }

  start(): void {
    this.#checkAt = this.#clock.monotonic() + untilNext(this.#clock, CHECK_MS);
    this.#beat();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /**
   * Something happens: ticks come four times a second from now on, as long as they want to. True if
   * nothing did until now.
   */
  hurry(): boolean {
    if (!this.#slow || this.#stopped) return false;
    this.#arm(false);
    return true;
  }

  #beat(): void {
    const soon = this.#tick();
    if (this.#clock.monotonic() >= this.#checkAt - EARLY_MS) {
      this.#check();
      this.#checkAt = this.#clock.monotonic() + untilNext(this.#clock, CHECK_MS);
    }
    this.#arm(!soon);
  }

  #arm(slow: boolean): void {
    this.#slow = slow;
    this.#cancel();
    const ms = untilNext(this.#clock, slow ? CHECK_MS : TICK_MS);
    this.#cancel = this.#clock.after(ms, () => this.#beat());
  }
}
