import { formatWords } from "../../../src/base/bytes.ts";
import { hash64, hashPage } from "../../../src/pages/hash.ts";
import { assertEquals, assertNotEquals } from "../../support/assert.ts";
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

Deno.test("hashPage() is hash64() seeded with the page number", () => {
  const page = new SeededRandom(1).bytes(4096);
  const into = new Uint32Array(4);
  for (const pgno of [1, 2, 0x7fffffff, 0x80000000, 0xfffffffe]) {
    hashPage(page, pgno, into, 1);
    assertEquals({ high: into[1]!, low: into[2]! }, hash64(page, { high: 0, low: pgno }));
  }
  assertEquals([into[0], into[3]], [0, 0]);
});

Deno.test("hashPage() differs for equal pages at two places", () => {
  const page = new Uint8Array(512);
  const into = new Uint32Array(4);
  hashPage(page, 2, into, 0);
  hashPage(page, 3, into, 2);
  assertNotEquals([into[0], into[1]], [into[2], into[3]]);
});
