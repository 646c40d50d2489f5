/**
 * Which pages have come by: a Set of numbers takes some 40 bytes each, so many of them are bits, one for
 * every page of the database. May import: base/.
 * @module
 */

/** From so many on, bits. */
const MANY = 4096;

export class PageSet {
  readonly #few = new Set<number>();
  readonly #bits: Uint32Array | undefined;

  /** For up to `most` adds of pages 1 .. `pageCount`. */
  constructor(most: number, pageCount: number) {
    if (most >= MANY) this.#bits = new Uint32Array(Math.ceil((pageCount + 1) / 32));
  }

  /** True if it was not there. */
  add(pgno: number): boolean {
    if (this.#bits === undefined) {
      const { size } = this.#few;
      return this.#few.add(pgno).size > size;
    }
    const bit = 1 << (pgno & 31);
    const word = this.#bits[pgno >>> 5]!;
    this.#bits[pgno >>> 5] = word | bit;
    return (word & bit) === 0;
  }
}
