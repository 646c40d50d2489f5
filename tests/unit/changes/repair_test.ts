import fc from "fast-check";
import type { Bytes } from "../../../src/base/bytes.ts";
import { codeOf, LiveError } from "../../../src/base/errors.ts";
import { type DatabaseId, type Epoch, lockPage, txid } from "../../../src/base/types.ts";
import {
  encodeBegin,
  encodeError,
  encodeHashes,
  encodeHello,
  type Hello,
} from "../../../src/changes/records.ts";
import { askHello, findDifference } from "../../../src/changes/repair.ts";
import type { ChangeSource, HashesRequest } from "../../../src/changes/source.ts";
import { LiveSource } from "../../../src/node/live_source.ts";
import { hash64 } from "../../../src/pages/hash.ts";
import { BLOCK_PAGES, PageIndex } from "../../../src/pages/page_index.ts";
import { assert, assertEquals, assertRejects } from "../../support/assert.ts";
import { FakeDatabase } from "../../support/fake_database.ts";
import { fakeEnv, SeededRandom } from "../../support/fake_env.ts";

const signal = new AbortController().signal;

function indexOf(versions: readonly number[], pageSize = 512): PageIndex {
  const index = new PageIndex(pageSize);
  index.resize(versions.length);
  for (const [slot, version] of versions.entries()) {
    const { high, low } = hash64(Uint8Array.of(version), { high: 0, low: slot + 1 });
    index.record(slot + 1, high, low, 1, 0);
  }
  return index;
}

/** A source that has this index; `asked` gets every request. */
function sourceOf(index: PageIndex, asked: HashesRequest[] = []): ChangeSource {
  const database = new FakeDatabase(index.pageSize, 1);
  const shown = Object.create(database, { index: { value: index } }) as FakeDatabase;
  Object.defineProperty(shown, "position", { value: { epoch: database.epoch, txid: txid(9) } });
  shown.refresh = () => true;
  const source = new LiveSource(shown, fakeEnv());
  return {
    changes: (request, until) => source.changes(request, until),
    hashes: (request, until) => {
      asked.push(request);
      return source.hashes(request, until);
    },
    report: () => Promise.resolve(undefined),
  };
}

const ignore = (): void => {};

Deno.test("findDifference() finds exactly the pages that differ, and page 1", async () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1000, max: 3500 }));
  await fc.assert(
    fc.asyncProperty(
      size,
      size,
      fc.integer(),
      fc.nat({ max: 20 }),
      async (our, their, seed, changed) => {
        const random = new SeededRandom(seed);
        const ours = Array.from({ length: our }, () => 1);
        const theirs = Array.from({ length: their }, () => 1);
        for (let nth = 0; nth < changed; nth++) ours[random.below(our)] = 2;
        const index = indexOf(ours);
        const difference = await findDifference(index, sourceOf(indexOf(theirs)), signal, ignore);
        const differ = theirs.flatMap((version, slot) => version === ours[slot] ? [] : [slot + 1]);
        const want = differ.length === 0 && our === their ? [] : [...new Set([1, ...differ])];
        assertEquals(difference.wanted, want);
        assertEquals(difference.equal, their - want.length);
        assertEquals(difference.since, { epoch: "00000000000000e1" as Epoch, txid: txid(9) });
      },
    ),
    { numRuns: 120 },
  );
});

Deno.test("findDifference() asks only for what it needs", async (t) => {
  const block = BLOCK_PAGES;
  const base = Array.from({ length: 3 * block + 10 }, () => 1);
  const changed = (...pgnos: number[]): number[] =>
    base.map((version, slot) => pgnos.includes(slot + 1) ? 2 : version);
  const cases: [
    name: string,
    ours: number[],
    theirs: number[],
    wanted: number[],
    blocks: number[] | undefined,
  ][] = [
    ["equal", base, base, [], undefined],
    ["one page", changed(2000), base, [1, 2000], [1]],
    ["page 1 alone", changed(1), base, [1], [0]],
    ["the last page of a block, the first of the next", changed(block, block + 1), base, [
      1,
      block,
      block + 1,
    ], [0, 1]],
    ["the last page", changed(base.length), base, [1, base.length], [3]],
    ["ours is longer by whole blocks", base, base.slice(0, 2 * block), [1], undefined],
    ["ours is longer within a block", base, base.slice(0, 2 * block + 5), [1], [2]],
    ["theirs is longer", base.slice(0, 3 * block), base, [
      1,
      ...Array.from({ length: 10 }, (_, nth) => 3 * block + nth + 1),
    ], [3]],
    ["we have nothing", [], base.slice(0, 3), [1, 2, 3], [0]],
  ];
  for (const [name, ours, theirs, wanted, blocks] of cases) {
    await t.step(name, async () => {
      const asked: HashesRequest[] = [];
      const source = sourceOf(indexOf(theirs), asked);
      const difference = await findDifference(indexOf(ours), source, signal, ignore);
      assertEquals(difference.wanted, wanted);
      assertEquals(asked, blocks === undefined ? [{}] : [{}, { blocks }]);
    });
  }
});

Deno.test("findDifference() asks for at most 1024 blocks at once", async () => {
  const blocks = 1030;
  const index = new PageIndex(512);
  index.resize(blocks * BLOCK_PAGES);
  for (let block = 0; block < blocks; block++) {
    index.record(block * BLOCK_PAGES + 7, 1, block, 1, 0);
  }
  const ours = new PageIndex(512);
  ours.resize(blocks * BLOCK_PAGES);
  const asked: HashesRequest[] = [];
  const { wanted } = await findDifference(ours, sourceOf(index, asked), signal, ignore);
  assertEquals(wanted.length, blocks + 1);
  assertEquals(wanted.slice(-1), [(blocks - 1) * BLOCK_PAGES + 7]);
  assertEquals(asked.map((request) => request.blocks?.length), [undefined, 1024, 6]);
});

Deno.test("findDifference() never wants the lock page", async () => {
  const lock = lockPage(65536);
  const [ours, theirs] = [new PageIndex(65536), new PageIndex(65536)];
  for (const index of [ours, theirs]) index.resize(lock + 2);
  theirs.record(lock + 1, 5, 5, 1, 0);
  const { wanted } = await findDifference(ours, sourceOf(theirs), signal, ignore);
  assertEquals(wanted, [1, lock + 1]);
});

Deno.test("findDifference() sees a size that differs by the lock page, which has no hash", async () => {
  const lock = lockPage(65536);
  const [ours, theirs] = [new PageIndex(65536), new PageIndex(65536)];
  ours.resize(lock - 1);
  theirs.resize(lock);
  assertEquals((await findDifference(ours, sourceOf(theirs), signal, ignore)).wanted, [1]);
});

Deno.test("findDifference() tells of each hello, and stops when that throws", async () => {
  const source = sourceOf(indexOf([1, 2, 3]));
  const hellos: Hello[] = [];
  await findDifference(indexOf([1, 9, 3]), source, signal, (hello) => hellos.push(hello));
  assertEquals(hellos.map(({ pageCount, pageSize }) => [pageCount, pageSize]), [[3, 512], [
    3,
    512,
  ]]);
  await assertRejects(
    () =>
      findDifference(indexOf([1]), source, signal, () => {
        throw new LiveError("guard", "another page size");
      }),
    /another page size/,
  );
  assertEquals((await askHello(source, signal)).txid as number, 9);
});

Deno.test("findDifference() says why when the upstream's answer is not one", async (t) => {
  const hello = (epoch = "00000000000000e1"): Bytes =>
    encodeHello({
      pageSize: 512,
      pageCount: 2,
      id: "00000000000000d1" as DatabaseId,
      epoch: epoch as Epoch,
      txid: txid(9),
      hash: { high: 1, low: 1 },
      ancestors: [],
    });
  const hashes = (level: "blocks" | "pages"): Bytes =>
    encodeHashes({
      level,
      first: 0,
      epoch: "00000000000000e1" as Epoch,
      txid: txid(9),
      pageCount: 2,
      words: new Uint32Array(level === "blocks" ? [1, 2] : [1, 2, 3, 4]),
    });
  const cases: [name: string, answers: Bytes[][], code: string, pattern: RegExp][] = [
    ["nothing", [[]], "upstream", /no hello/],
    ["no hashes", [[hello()]], "upstream", /hashes are missing/],
    [
      "an error",
      [[hello(), encodeError("not_ready", "it is opening")]],
      "upstream",
      /it is opening/,
    ],
    [
      "changes",
      [[
        hello(),
        encodeBegin({ from: txid(0), to: txid(1), pages: 0, pageCount: 0 }),
      ]],
      "upstream",
      /begin among hashes/,
    ],
    [
      "a new history in between",
      [
        [hello(), hashes("blocks")],
        [hello("00000000000000e2"), hashes("pages")],
      ],
      "position_gone",
      /new history/,
    ],
  ];
  for (const [name, answers, code, pattern] of cases) {
    await t.step(name, async () => {
      const left = [...answers];
      const source: ChangeSource = {
        async *hashes() {
          yield* await Promise.resolve(left.shift() ?? []);
        },
        changes: () => {
          throw new Error("not asked for");
        },
        report: () => Promise.resolve(undefined),
      };
      const error = await assertRejects(
        () => findDifference(indexOf([5, 6]), source, signal, ignore),
        pattern,
      );
      assertEquals(codeOf(error), code);
    });
  }
  await t.step("the right answers, to see that they are read", async () => {
    const left = [[hello(), hashes("blocks")], [hello(), hashes("pages")]];
    const source: ChangeSource = {
      async *hashes() {
        yield* await Promise.resolve(left.shift() ?? []);
      },
      changes: () => {
        throw new Error("not asked for");
      },
      report: () => Promise.resolve(undefined),
    };
    const { wanted } = await findDifference(indexOf([5, 6]), source, signal, ignore);
    assert(wanted.length === 2);
  });
});

Deno.test("findDifference() does not take hashes that are missing for equal pages", async (t) => {
  const count = BLOCK_PAGES + 10;
  const ours = indexOf(Array.from({ length: count }, () => 1));
  const theirs = sourceOf(indexOf(Array.from({ length: count }, () => 2)));
  const records = async (request: HashesRequest): Promise<Bytes[]> => {
    const all: Bytes[] = [];
    for await (const bytes of theirs.hashes(request, signal)) all.push(bytes);
    return all;
  };
  const [hello, page0, page1] = await records({ blocks: [0, 1] });
  const [, blocks] = await records({});
  const cases: [name: string, blocks: Bytes[], pages: Bytes[]][] = [
    ["all blocks", [hello!], []],
    ["the first pages", [hello!, blocks!], [hello!, page1!]],
    ["the last pages", [hello!, blocks!], [hello!, page0!]],
    ["pages twice", [hello!, blocks!], [hello!, page0!, page0!]],
    ["blocks for pages", [hello!, blocks!], [hello!, blocks!, page1!]],
    ["the hello", [blocks!], []],
    ["a hello too many", [hello!, hello!, blocks!], []],
  ];
  for (const [name, first, second] of cases) {
    await t.step(name, async () => {
      const source: ChangeSource = {
        changes: theirs.changes,
        async *hashes(request) {
          yield* await Promise.resolve(request.blocks === undefined ? first : second);
        },
        report: () => Promise.resolve(undefined),
      };
      const error = await assertRejects(
        () => findDifference(ours, source, signal, ignore),
        /Broken stream/,
      );
      assertEquals(codeOf(error), "upstream");
    });
  }
});
