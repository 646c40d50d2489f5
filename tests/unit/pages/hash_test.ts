import xxhash from "xxhash-wasm";
import { formatWords } from "../../../src/base/bytes.ts";
import { hash64, hashPage, hashPages } from "../../../src/pages/hash.ts";
import { assertEquals, assertNotEquals, assertThrows } from "../../support/assert.ts";
import { SeededRandom } from "../../support/fake_env.ts";

const text = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value);

Deno.test("hash64() is xxh64 with its published values", () => {
  const zero = { high: 0, low: 0 };
  assertEquals(formatWords(hash64(new Uint8Array(0), zero)), "ef46db3751d8e999");
  assertEquals(formatWords(hash64(text("a"), zero)), "d24ec4f1a98c6e5b");
  assertEquals(formatWords(hash64(text("abc"), zero)), "44bc2cf5ad770999");
});

Deno.test("hash64() takes all 64 bits of the seed", () => {
  const seeds = [{ high: 0, low: 1 }, { high: 1, low: 0 }, { high: 0x80000000, low: 0 }, {
    high: 0,
    low: 0x80000000,
  }];
  assertEquals(new Set(seeds.map((seed) => formatWords(hash64(text("abc"), seed)))).size, 4);
});

Deno.test("hash64() is what another xxh64 says, of any length, seed and place in memory", async () => {
  const { h64Raw } = await xxhash();
  const random = new SeededRandom(3);
  const all = random.bytes(5000);
  const lengths = [...Array(200).keys(), 511, 512, 1024, 4095, 4096];
  for (const length of lengths) {
    const start = random.below(all.length - length);
    const bytes = all.subarray(start, start + length);
    const seed = { high: random.below(2 ** 32), low: random.below(2 ** 32) };
    const want = h64Raw(bytes, (BigInt(seed.high) << 32n) | BigInt(seed.low));
    assertEquals(formatWords(hash64(bytes, seed)), want.toString(16).padStart(16, "0"));
  }
});

Deno.test("hashPages() is hash64() of each page, seeded with its number", () => {
  for (const pageSize of [512, 4096, 65536]) {
    const pages = new SeededRandom(1).bytes(3 * pageSize + 8).subarray(8); // not aligned
    const into = new Uint32Array(7).fill(9);
    for (const first of [1, 2, 0x7fffffff, 0x80000000, 0xfffffffd]) {
      hashPages(pages, pageSize, first, into);
      const want = [0, 1, 2].flatMap((nth) => {
        const page = pages.subarray(nth * pageSize, (nth + 1) * pageSize);
        const { high, low } = hash64(page, { high: 0, low: first + nth });
        return [high, low];
      });
      assertEquals([...into], [...want, 9]);
    }
  }
});

Deno.test("hashPages() takes whole pages, and writes only where there is room", () => {
  const into = new Uint32Array(4);
  assertThrows(() => hashPages(new Uint8Array(1000), 512, 1, into), /whole pages/);
  assertThrows(() => hashPages(new Uint8Array(1536), 512, 1, into), /room/);
});

Deno.test("hashPage() differs for equal pages at two places", () => {
  const page = new Uint8Array(512);
  const [one, other] = [new Uint32Array(2), new Uint32Array(2)];
  hashPage(page, 2, one);
  hashPage(page, 3, other);
  assertNotEquals(one, other);
});
