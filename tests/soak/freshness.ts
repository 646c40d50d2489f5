/**
 * Whether a replica that calls itself healthy has what the primary had some seconds ago. No I/O.
 * May import: nothing.
 * @module
 */

export interface Place {
  readonly epoch: string;
  readonly txid: number;
}

interface Seen extends Place {
  readonly at: number;
}

export class Freshness {
  readonly #limitMs: number;
  readonly #primary: Seen[] = [];

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  primaryWas(at: number, place: Place): void {
    this.#primary.push({ at, epoch: place.epoch, txid: place.txid });
    while (this.#primary.length > 1 && this.#primary[1]!.at < at - 4 * this.#limitMs) {
      this.#primary.shift();
    }
  }

  /** How many transactions of longer ago than the limit are missing; 0 also if nobody can know. */
  missing(at: number, place: Place): number {
    const old = this.#primary.findLast((seen) => seen.at <= at - this.#limitMs);
    if (old === undefined || old.epoch !== place.epoch) return 0;
    return Math.max(0, old.txid - place.txid);
  }
}
