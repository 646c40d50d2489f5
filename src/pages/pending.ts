/**
 * The pages of an answer that is not committed yet: page number, hash and frame of each copy, in the
 * order they came. No I/O. May import: base/, pages/.
 * @module
 */
import type { Words } from "../base/bytes.ts";
import type { Txid } from "../base/types.ts";
import type { PageIndex } from "./page_index.ts";
import { PageSet } from "./page_set.ts";

const WORDS = 4;
const INITIAL = 256;

export class PendingPages {
  #words = new Uint32Array(WORDS * INITIAL);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(pgno: number, hash: Words, frame: number): void {
    const at = WORDS * this.#count++;
    if (at === this.#words.length) {
      const grown = new Uint32Array(2 * this.#words.length);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[at] = pgno;
    this.#words[at + 1] = hash.high;
    this.#words[at + 2] = hash.low;
    this.#words[at + 3] = frame;
  }

  clear(): void {
    this.#count = 0;
    if (this.#words.length > WORDS * 65536) this.#words = new Uint32Array(WORDS * INITIAL);
  }

  /** Forgets all but the first `count`. */
  truncate(count: number): void {
    if (count === 0) this.clear();
    else this.#count = Math.min(this.#count, count);
  }

  pgno(nth: number): number {
    return this.#words[WORDS * nth]!;
  }

  /** True if every page by which `index` would grow to `pageCount` is here. */
  fills(index: PageIndex, pageCount: number): boolean {
    const first = index.pageCount + 1;
    if (pageCount < first) return true;
    const grows = pageCount - index.pageCount;
    const lock = index.lockPage >= first && index.lockPage <= pageCount ? 1 : 0; // never sent
    if (grows - lock > this.#count) return false;
    const here = new PageSet(this.#count, pageCount);
    let found = 0;
    for (let nth = 0; nth < this.#count; nth++) {
      const pgno = this.pgno(nth);
      const isNew = pgno >= first && pgno <= pageCount && pgno !== index.lockPage;
      if (isNew && here.add(pgno)) found++;
    }
    return found === grows - lock;
  }

  /** The hash that `index` would have with these pages and `pageCount` pages in all. */
  hashWith(index: PageIndex, pageCount: number): Words {
    let { high, low } = index.hash;
    const toggle = (hash: Words): void => {
      high ^= hash.high;
      low ^= hash.low;
    };
    const later = new PageSet(this.#count, pageCount);
    for (let nth = this.#count - 1; nth >= 0; nth--) {
      const pgno = this.pgno(nth);
      if (pgno > pageCount || pgno === index.lockPage) continue;
      if (!later.add(pgno)) continue; // the last copy of a page counts
      toggle(index.hashOf(pgno));
      toggle({ high: this.#words[WORDS * nth + 1]!, low: this.#words[WORDS * nth + 2]! });
    }
    for (let pgno = pageCount + 1; pgno <= index.pageCount; pgno++) toggle(index.hashOf(pgno));
    return { high: high >>> 0, low: low >>> 0 };
  }

  /** Enters them into `index` as of `txid`. */
  commitTo(index: PageIndex, pageCount: number, txid: Txid): void {
    index.resize(pageCount);
    for (let nth = 0; nth < this.#count; nth++) {
      const at = WORDS * nth;
      const pgno = this.#words[at]!;
      if (pgno > pageCount) continue;
      const frame = this.#words[at + 3]!;
      index.record(pgno, this.#words[at + 1]!, this.#words[at + 2]!, txid, frame);
    }
    this.clear();
  }
}
