/**
 * The hash of a page: xxh64 seeded with the page number, so that equal pages at two places do not
 * cancel in the XOR that is the database's hash. The one module that imports xxhash-wasm.
 * May import: base/.
 * @module
 */
import xxhash from "xxhash-wasm";
import type { Bytes, Words } from "../base/bytes.ts";

const { h64Raw } = await xxhash();
const out64 = new BigUint64Array(1);
const out32 = new Uint32Array(out64.buffer);
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1;

/** xxh64 of `bytes`, with the seed given as two words. */
export function hash64(bytes: Bytes, seed: Words): Words {
  out32[LOW] = seed.low;
  out32[1 - LOW] = seed.high;
  out64[0] = h64Raw(bytes, out64[0]!);
  return { high: out32[1 - LOW]!, low: out32[LOW]! };
}

/** Writes the hash of page `pgno` into `into[at]` (high) and `into[at + 1]` (low). No allocation. */
export function hashPage(page: Bytes, pgno: number, into: Uint32Array, at: number): void {
  out64[0] = h64Raw(page, BigInt(pgno));
  into[at] = out32[1 - LOW]!;
  into[at + 1] = out32[LOW]!;
}
