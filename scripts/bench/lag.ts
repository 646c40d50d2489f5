/**
 * How long after its commit each order was seen in a copy: joins what the writer and a reader say,
 * in whichever order their messages come. Pure. May import: scripts/bench/numbers.
 * @module
 */
import { percentile } from "./numbers.ts";

interface Event {
  readonly id: number;
  /** CLOCK_MONOTONIC, which all processes of one machine share. */
  readonly ns: number;
}

/** A demo may run for days: percentiles are of this many orders, the maximum is of all. */
const KEPT = 50_000;

export class Lag {
  readonly #commits: Event[] = [];
  readonly #sightings: Event[] = [];
  readonly #ms: number[] = [];
  #next = 0;
  /** Orders seen that the writer has told of. */
  count = 0;
  /** Of the last order seen, ms; undefined before the first. */
  last: number | undefined;
  max: number | undefined;

  /** The writer's COMMIT of order `id` returned at `ns`. Ids ascend. */
  committed(id: number, ns: number): void {
    this.#commits.push({ id, ns });
    this.#join();
  }

  /** The reader saw, at `ns`, that the newest order is `id`. */
  seen(id: number, ns: number): void {
    this.#sightings.push({ id, ns });
    this.#join();
  }

  /** Committed, not seen yet. */
  get missing(): number {
    return this.#commits.length;
  }

  percentile(percent: number): number | undefined {
    return this.#ms.length === 0 ? undefined : percentile(this.#ms, percent);
  }

  #join(): void {
    for (;;) {
      const commit = this.#commits[0];
      const sighting = this.#sightings[0];
      if (commit === undefined || sighting === undefined) return;
      if (sighting.id < commit.id) {
        this.#sightings.shift();
        continue;
      }
      this.#commits.shift();
      this.#add((sighting.ns - commit.ns) / 1e6);
    }
  }

  #add(ms: number): void {
    this.#ms[this.#next] = ms;
    this.#next = (this.#next + 1) % KEPT;
    this.count++;
    this.last = ms;
    this.max = Math.max(this.max ?? ms, ms);
  }
}
