import fc from "fast-check";
import { lockPage, txid } from "../../../src/base/types.ts";
import { PageIndex } from "../../../src/pages/page_index.ts";
import { PageSet } from "../../../src/pages/page_set.ts";
import { PendingPages } from "../../../src/pages/pending.ts";
import { assertEquals } from "../../support/assert.ts";

const word = fc.nat({ max: 0xffffffff });
const hash = fc.record({ high: word, low: word }, { noNullPrototype: true });
const copies = fc.array(
  fc.record({ pgno: fc.integer({ min: 1, max: 40 }), hash }, { noNullPrototype: true }),
  { maxLength: 60 },
);

Deno.test("PendingPages.hashWith() is the hash after commitTo(), shrunk, grown or repeated", () => {
  const size = fc.nat({ max: 45 });
  fc.assert(
    fc.property(size, copies, size, copies, (before, first, after, second) => {
      const index = new PageIndex(512);
      const pending = new PendingPages();
      for (const { pgno, hash } of first) pending.add(pgno, hash, 1);
      pending.commitTo(index, before, txid(1));
      for (const [nth, { pgno, hash }] of second.entries()) pending.add(pgno, hash, nth + 2);
      const was = index.hash;
      const want = pending.hashWith(index, after);
      assertEquals(index.hash, was, "hashWith() changes nothing");
      pending.commitTo(index, after, txid(2));
      assertEquals(index.hash, want);
      assertEquals([index.pageCount, pending.count], [after, 0]);
    }),
    { numRuns: 500 },
  );
});

Deno.test("PendingPages.hashWith() is the hash after commitTo() with thousands of pages, too", () => {
  const index = new PageIndex(512);
  const pending = new PendingPages();
  for (const [txids, pageCount] of [[1, 6000], [2, 5000], [3, 7001]] as const) {
    for (let nth = 0; nth < 9000; nth++) {
      const pgno = (nth * 7919 * txids) % 7100 + 1; // each page, many twice, some beyond the end
      pending.add(pgno, { high: nth, low: (pgno * txids) >>> 0 }, nth + 1);
    }
    assertEquals(pending.fills(index, pageCount), true);
    const want = pending.hashWith(index, pageCount);
    pending.commitTo(index, pageCount, txid(txids));
    assertEquals(index.hash, want);
  }
  for (let pgno = 7002; pgno <= 12_000; pgno++) {
    if (pgno !== 9999) pending.add(pgno, { high: 1, low: pgno }, 1);
  }
  pending.add(7002, { high: 2, low: 2 }, 2); // twice, in place of the one that is missing
  assertEquals(pending.fills(index, 12_000), false);
  pending.add(9999, { high: 2, low: 2 }, 2);
  assertEquals(pending.fills(index, 12_000), true);
});

Deno.test("PageSet says of each page once that it is new", () => {
  for (const most of [10, 5000]) {
    const set = new PageSet(most, 4096);
    const pages = [1, 31, 32, 33, 64, 4095, 4096, 1, 32, 4096];
    assertEquals(pages.map((pgno) => set.add(pgno)), pages.map((_, nth) => nth < 7), `${most}`);
  }
});

Deno.test("PendingPages.hashWith() leaves the lock page out, as the index does", () => {
  const index = new PageIndex(65536);
  const lock = lockPage(65536);
  index.resize(lock + 1);
  const pending = new PendingPages();
  pending.add(lock, { high: 1, low: 2 }, 1);
  pending.add(lock + 1, { high: 4, low: 8 }, 2);
  assertEquals(pending.hashWith(index, lock + 1), { high: 4, low: 8 });
  pending.commitTo(index, lock + 1, txid(1));
  assertEquals(index.hash, { high: 4, low: 8 });
});

Deno.test("PendingPages.commitTo() lets the last copy of a page win", () => {
  const index = new PageIndex(512);
  const pending = new PendingPages();
  pending.add(2, { high: 1, low: 1 }, 7);
  pending.add(1, { high: 2, low: 2 }, 8);
  pending.add(2, { high: 3, low: 3 }, 9);
  pending.commitTo(index, 2, txid(5));
  assertEquals(index.hashOf(2), { high: 3, low: 3 });
  assertEquals([index.frameOf(2), index.frameOf(1)], [9, 8]);
  assertEquals([index.txidOf(1), index.txidOf(2)], [5, 5]);
  assertEquals(index.hash, { high: 1, low: 1 });
});

Deno.test("PendingPages.commitTo() drops pages beyond the database's size", () => {
  const index = new PageIndex(512);
  const pending = new PendingPages();
  for (const pgno of [1, 2, 3, 4]) pending.add(pgno, { high: pgno, low: 0 }, pgno);
  pending.commitTo(index, 2, txid(1));
  assertEquals(index.since(0), [1, 2]);
  // They are not remembered when the database grows later.
  pending.add(4, { high: 9, low: 0 }, 5);
  pending.commitTo(index, 4, txid(2));
  assertEquals([index.txidOf(3), index.frameOf(3)], [0, 0]);
  assertEquals(index.hash, { high: 1 ^ 2 ^ 9, low: 0 });
});

Deno.test("PendingPages keeps more pages than it has room for at first", () => {
  const pending = new PendingPages();
  const index = new PageIndex(512);
  for (let pgno = 1; pgno <= 100_000; pgno++) pending.add(pgno, { high: 0, low: pgno }, pgno);
  assertEquals([pending.count, pending.pgno(0), pending.pgno(99_999)], [100_000, 1, 100_000]);
  pending.commitTo(index, 100_000, txid(1));
  for (const pgno of [1, 64, 65, 256, 257, 65_537, 100_000]) {
    assertEquals([index.hashOf(pgno).low, index.frameOf(pgno)], [pgno, pgno]);
  }
  pending.add(3, { high: 0, low: 1 }, 1);
  pending.clear();
  pending.commitTo(index, 100_000, txid(2));
  assertEquals(index.since(1), [], "what was cleared is gone");
});
