/**
 * The hash of a page: xxh64 seeded with the page number, so that equal pages at two places do not
 * cancel in the XOR that is the database's hash. The one module that hashes. May import: base/,
 * sqlite/library.
 * @module
 */
import { assert } from "../base/assert.ts";
import type { Bytes, Words } from "../base/bytes.ts";
import { sqlite } from "../sqlite/library.ts";

const out = new Uint32Array(2);

/** xxh64 of `bytes`, with the seed given as two words. */
export function hash64(bytes: Bytes, seed: Words): Words {
  sqlite().live_hash(bytes, bytes.length, seed.high, seed.low, out);
  return { high: out[0]!, low: out[1]! };
}

/**
 * Hashes pages that stand side by side, the first of them page `first`: two words of each, high and low,
 * into the beginning of `into`. No allocation.
 */
export function hashPages(pages: Bytes, pageSize: number, first: number, into: Uint32Array): void {
  const count = pages.length / pageSize;
  assert(
    Number.isInteger(count) && 2 * count <= into.length,
    "whole pages, and room for the hashes",
  );
  sqlite().live_hash_pages(pages, pageSize, count, first, into as Uint32Array<ArrayBuffer>);
}

/** Writes the hash of page `pgno` into `into[0]` (high) and `into[1]` (low). No allocation. */
export function hashPage(page: Bytes, pgno: number, into: Uint32Array): void {
  hashPages(page, page.length, pgno, into);
}
