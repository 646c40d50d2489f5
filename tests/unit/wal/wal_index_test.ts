import fc from "fast-check";
import { codeOf } from "../../../src/base/errors.ts";
import type { LockMode, ShmLock } from "../../../src/base/io.ts";
import {
  encodeHeader,
  SLOT,
  UNUSED_MARK,
  WalIndex,
  type WalIndexHeader,
} from "../../../src/wal/wal_index.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { SeededRandom } from "../../support/fake_env.ts";
import { FakeShm, SHM_BYTE } from "../../support/fake_shm.ts";

const HEADER: WalIndexHeader = {
  change: 77,
  bigEndian: false,
  pageSize: 4096,
  mxFrame: 9,
  pageCount: 12,
  sum: { s1: 0xdeadbeef, s2: 0xcafebabe },
  salt1: 0x01020304,
  salt2: 0xfffefdfc,
};
const U = UNUSED_MARK;

function index(header: WalIndexHeader = HEADER): { shm: FakeShm; walIndex: WalIndex } {
  const shm = new FakeShm();
  shm.setHeader(header);
  shm.setMarks(0, 0, U, U, U);
  return { shm, walIndex: new WalIndex(shm.connection()) };
}

Deno.test("header() gives back what was published", () => {
  const u32 = fc.nat({ max: 0xffffffff });
  const headers = fc.record({
    change: u32,
    bigEndian: fc.boolean(),
    pageSize: fc.constantFrom(0, 512, 4096, 32768, 65536),
    mxFrame: u32,
    pageCount: u32,
    sum: fc.record({ s1: u32, s2: u32 }, { noNullPrototype: true }),
    salt1: u32,
    salt2: u32,
  }, { noNullPrototype: true });
  fc.assert(fc.property(headers, (header) => {
    const { walIndex } = index();
    walIndex.publish(header);
    assertEquals(walIndex.header(), header);
  }));
});

Deno.test("header() reads the fields at SQLite's bytes", () => {
  const { shm, walIndex } = index();
  const view = new DataView(shm.regions[0]!);
  assertEquals(view.getUint32(0, true), 3007000);
  assertEquals(view.getUint32(8, true), HEADER.change);
  assertEquals([view.getUint8(12), view.getUint8(13)], [1, 0]);
  assertEquals(view.getUint16(14, true), 4096);
  assertEquals(view.getUint32(16, true), HEADER.mxFrame);
  assertEquals(view.getUint32(20, true), HEADER.pageCount);
  assertEquals(view.getUint32(24, true), HEADER.sum.s1);
  // The salts lie there as in the WAL: big-endian whatever the machine.
  assertEquals([view.getUint32(32), view.getUint32(36)], [HEADER.salt1, HEADER.salt2]);
  assertEquals(walIndex.header(), HEADER);
});

Deno.test("header() is undefined when any bit of either copy is flipped", () => {
  const { shm, walIndex } = index();
  const bytes = new Uint8Array(shm.regions[0]!);
  for (const known of [false, true]) {
    for (let bit = 0; bit < 96 * 8; bit++) {
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
      assertEquals(
        walIndex.header(),
        undefined,
        `bit ${bit}, ${known ? "after" : "before"} it was read`,
      );
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
    }
    assertEquals(walIndex.header(), HEADER);
  }
});

Deno.test("header() is read anew only when it has changed, and then at once", () => {
  const { shm, walIndex } = index();
  const first = walIndex.header();
  const { length } = shm.calls;
  assertEquals([walIndex.header() === first, shm.calls.length], [true, length], "nothing is done");
  for (const change of [78, 77]) {
    walIndex.publish({ ...HEADER, change });
    assertEquals(walIndex.header(), { ...HEADER, change });
  }
});

Deno.test("header() is undefined when both copies are equal and wrong", async (t) => {
  const cases: [name: string, damage: (words: Uint32Array) => void][] = [
    ["a field without its checksum", (words) => words[4]!++],
    ["a wrong checksum", (words) => words[10]!++],
    ["the checksum's second word", (words) => words[11]!++],
    ["zeros, as before the first recovery", (words) => words.fill(0)],
  ];
  for (const [name, damage] of cases) {
    await t.step(name, () => {
      const { shm, walIndex } = index();
      const words = encodeHeader(HEADER);
      damage(words);
      new Uint32Array(shm.regions[0]!).set(words, 0);
      new Uint32Array(shm.regions[0]!).set(words, 12);
      assertEquals(walIndex.header(), undefined);
    });
  }
});

Deno.test("header() sees a commit that happens between the reads of the copies", () => {
  const { shm, walIndex } = index();
  shm.onBarrier = () => shm.setHeader({ ...HEADER, mxFrame: 10 });
  assertEquals(walIndex.header(), undefined, "copy 1 is the old one, copy 2 the new one");
  shm.onBarrier = () => {};
  assertEquals(walIndex.header()?.mxFrame, 10);
});

Deno.test("header() stays as it was read when the memory changes later", () => {
  const { shm, walIndex } = index();
  const header = walIndex.header();
  shm.setHeader({ ...HEADER, mxFrame: 99, salt1: 5 });
  assertEquals(header, HEADER);
});

Deno.test("publish() writes copy 2, then the barrier, then copy 1", () => {
  const { shm, walIndex } = index();
  const next = { ...HEADER, mxFrame: 11 };
  let between: [number, number] | undefined;
  shm.onBarrier = () => between = [shm.word(16), shm.word(48 + 16)];
  walIndex.publish(next);
  assertEquals(between, [9, 11]);
  assertEquals([shm.word(16), shm.word(48 + 16)], [11, 11]);
  assertEquals(shm.marks, [0, 0, U, U, U], "and nothing else");
  assertEquals(shm.word(SHM_BYTE.backfill), 0);
});

// ---- pin() ----

/** Somebody else's locks and stores at a given try-lock. */
type Meanwhile = (slot: number, mode: LockMode, shm: FakeShm) => void;

Deno.test("pin() holds a slot whose mark is unused", async (t) => {
  const cases: [
    name: string,
    marks: number[],
    heldByOthers: [slot: number, mode: LockMode][],
    wantSlot: number | undefined,
    wantMarks: number[],
  ][] = [
    ["a fresh log", [0, 0, U, U, U], [], 7, [0, 0, U, U, U]],
    ["an old number nobody holds is set to unused", [0, 0, 5, 6, 7], [], 7, [0, 0, 5, 6, U]],
    ["a number that a reader holds", [0, 0, U, U, 7], [[7, "shared"]], 6, [0, 0, U, U, 7]],
    ["an unused mark that others hold shared", [0, 0, U, U, U], [[7, "shared"]], 7, [
      0,
      0,
      U,
      U,
      U,
    ]],
    ["an unused mark that is being set", [0, 0, U, U, U], [[7, "exclusive"]], 6, [0, 0, U, U, U]],
    ["three readers", [0, 1, 5, 6, 7], [[5, "shared"], [6, "shared"], [7, "shared"]], undefined, [
      0,
      1,
      5,
      6,
      7,
    ]],
    [
      "mark 1 is never touched",
      [0, U, 5, 6, 7],
      [[5, "shared"], [6, "shared"], [7, "shared"]], //
      undefined,
      [0, U, 5, 6, 7],
    ],
    [
      "a log restart",
      [0, 0, U, U, U],
      [[4, "exclusive"], [5, "exclusive"], [6, "exclusive"], [
        7,
        "exclusive",
      ]],
      undefined,
      [0, 0, U, U, U],
    ],
  ];
  for (const [name, marks, others, wantSlot, wantMarks] of cases) {
    await t.step(name, () => {
      const { shm, walIndex } = index();
      shm.setMarks(...marks);
      const foreign = shm.connection();
      for (const [slot, mode] of others) assert(foreign.tryLock(slot, 1, mode) !== undefined);
      const pin = walIndex.pin();
      assertEquals(pin?.slot, wantSlot);
      assertEquals(pin?.mode, wantSlot === undefined ? undefined : "shared");
      assertEquals(shm.marks, wantMarks);
      pin?.[Symbol.dispose]();
      assertEquals(shm.held.length, others.length, "no lock is left behind");
    });
  }
});

Deno.test("pin() looks at the mark again after locking", async (t) => {
  const setBetween: Meanwhile = (slot, mode, shm) => {
    if (slot === 7 && mode === "shared") shm.setWord(SHM_BYTE.marks + 4 * 4, 9);
  };
  const cases: [name: string, marks: number[], meanwhile: Meanwhile][] = [
    ["a reader sets the mark before our lock", [0, 0, U, U, U], setBetween],
    ["a reader sets it after we made it unused", [0, 0, U, U, 3], setBetween],
  ];
  for (const [name, marks, meanwhile] of cases) {
    await t.step(name, () => {
      const { shm, walIndex } = index();
      shm.setMarks(...marks);
      shm.onLock = (slot, _count, mode) => meanwhile(slot, mode, shm);
      const pin = walIndex.pin();
      assertEquals(pin?.slot, 6, "a pin on a number would cap every checkpoint there");
      assertEquals(shm.marks, [0, 0, U, U, 9]);
      assertEquals(shm.held.map(({ slot }) => slot), [6]);
    });
  }
  await t.step("on all three slots", () => {
    const { shm, walIndex } = index();
    shm.onLock = (slot, _count, mode) => {
      if (mode === "shared") shm.setWord(SHM_BYTE.marks + 4 * (slot - SLOT.read0), 9);
    };
    assertEquals(walIndex.pin(), undefined);
    assertEquals(shm.held, []);
  });
});

Deno.test("pin() stores a mark only while it holds it exclusively", () => {
  const { shm, walIndex } = index();
  shm.setMarks(0, 1, 2, 3, 4);
  let held: ShmLock[] = [];
  let marks: number[] = [];
  shm.onLock = () => {
    held = [...shm.held];
    marks = shm.marks;
  };
  const pin = walIndex.pin();
  assertEquals(pin?.slot, 7);
  // At the shared lock: the exclusive one is gone, the mark was stored before that.
  assertEquals([held, marks], [[], [0, 1, 2, 3, U]]);
  assertEquals(shm.calls, ["lock 7 1 exclusive", "unlock 7", "lock 7 1 shared"]);
});

// ---- Replicas ----

Deno.test("offerMark() gives readers a mark, as a stock writer does", async (t) => {
  const cases: [
    name: string,
    mxFrame: number,
    marks: number[],
    readers: number[],
    want: number[],
  ][] = [
    ["no usable mark", 5, [0, U, U, U, U], [], [0, 5, U, U, U]],
    ["the best mark is old", 5, [0, 3, U, U, U], [], [0, 5, U, U, U]],
    ["the best mark is right", 5, [0, 0, 5, U, U], [4], [0, 0, 5, U, U]],
    ["an old mark is in use", 5, [0, 3, U, U, U], [4], [0, 3, 5, U, U]],
    ["marks beyond do not count", 5, [0, 9, U, U, U], [], [0, 5, U, U, U]],
    ["a log that begins", 0, [0, 0, U, U, U], [4], [0, 0, U, U, U]],
    ["all are in use", 5, [0, 1, 2, 3, 4], [4, 5, 6, 7], [0, 1, 2, 3, 4]],
  ];
  for (const [name, mxFrame, marks, readers, want] of cases) {
    await t.step(name, () => {
      const { shm, walIndex } = index();
      shm.setMarks(...marks);
      const foreign = shm.connection();
      for (const slot of readers) foreign.tryLock(slot, 1, "shared");
      walIndex.offerMark(mxFrame);
      assertEquals(shm.marks, want);
      assertEquals(shm.held.length, readers.length);
    });
  }
});

/** The memory after appending `pgnos` as frames 1, 2, .. */
function appended(pgnos: readonly number[]): FakeShm {
  const { shm, walIndex } = index();
  for (const [nth, pgno] of pgnos.entries()) walIndex.append(nth + 1, pgno);
  return shm;
}

/** SQLite's walIndexFind: the last frame <= `mxFrame` that holds `pgno`, 0 if none does. */
function lookUp(shm: FakeShm, pgno: number, mxFrame: number): number {
  for (let region = shm.regions.length - 1; region >= 0; region--) {
    const zero = region === 0 ? 0 : 4062 + (region - 1) * 4096;
    const pgnos = new Uint32Array(shm.regions[region]!, region === 0 ? SHM_BYTE.pgnos : 0);
    const slots = new Uint16Array(shm.regions[region]!, SHM_BYTE.hash);
    let found = 0;
    for (let slot = (pgno * 383) & 8191; slots[slot] !== 0; slot = (slot + 1) & 8191) {
      const frame = zero + slots[slot]!;
      if (frame <= mxFrame && pgnos[slots[slot]! - 1] === pgno) found = frame;
    }
    if (found !== 0) return found;
  }
  return 0;
}

const FRAMES = 4062 + 4096 + 500;
const manyPages = (seed: number, frames: number): number[] => {
  const random = new SeededRandom(seed);
  return Array.from({ length: frames }, () => 1 + random.below(3000));
};

Deno.test("append() lets SQLite's look-up find each page's last frame", () => {
  const pgnos = manyPages(1, FRAMES);
  const shm = appended(pgnos);
  assertEquals(shm.regions.length, 3);
  for (const mxFrame of [1, 100, 4062, 4063, 4062 + 4096, 4062 + 4097, FRAMES]) {
    for (let pgno = 1; pgno <= 3001; pgno += 7) {
      const want = pgnos.slice(0, mxFrame).lastIndexOf(pgno) + 1;
      assertEquals(lookUp(shm, pgno, mxFrame), want, `page ${pgno} at ${mxFrame}`);
    }
  }
});

Deno.test("append() leaves header, marks and lock bytes alone", () => {
  const { shm, walIndex } = index();
  const before = new Uint8Array(shm.regions[0]!).slice(0, SHM_BYTE.pgnos);
  for (const [nth, pgno] of manyPages(2, 300).entries()) walIndex.append(nth + 1, pgno);
  assertEquals(new Uint8Array(shm.regions[0]!).slice(0, SHM_BYTE.pgnos), before);
});

Deno.test("append() clears what a dead append left", async (t) => {
  const cases: [name: string, committed: number, dead: number, next: number][] = [
    ["in the first region", 100, 50, 10],
    ["more than it left", 100, 10, 50],
    ["one frame", 100, 1, 1],
    ["at the region's end", 4061, 5, 5],
    ["from the region's first frame", 4062, 20, 3],
    ["in the second region", 5000, 300, 30],
    ["over a region's end", 4000, 4300, 5],
    ["from the log's first frame", 0, 40, 7],
  ];
  for (const [name, committed, dead, next] of cases) {
    await t.step(name, () => {
      const kept = manyPages(3, committed);
      const died = manyPages(4, dead);
      const came = manyPages(5, next);
      const { shm, walIndex } = index();
      for (const [nth, pgno] of kept.entries()) walIndex.append(nth + 1, pgno);
      for (const [nth, pgno] of died.entries()) walIndex.append(committed + nth + 1, pgno);
      for (const [nth, pgno] of came.entries()) walIndex.append(committed + nth + 1, pgno);
      const clean = appended([...kept, ...came]);
      for (const [region, memory] of clean.regions.entries()) {
        assertEquals(
          new Uint8Array(shm.regions[region]!),
          new Uint8Array(memory),
          `region ${region}`,
        );
      }
    });
  }
});

Deno.test("append() clears the old log's entries when the log begins anew", () => {
  const { shm, walIndex } = index();
  for (const [nth, pgno] of manyPages(6, 200).entries()) walIndex.append(nth + 1, pgno);
  for (const [nth, pgno] of manyPages(7, 20).entries()) walIndex.append(nth + 1, pgno);
  assertEquals(
    new Uint8Array(shm.regions[0]!),
    new Uint8Array(appended(manyPages(7, 20)).regions[0]!),
  );
});

Deno.test("append() begins a region clean, whatever lies there", () => {
  const { shm, walIndex } = index();
  new Uint8Array(shm.regions[0]!).fill(0x5a, SHM_BYTE.pgnos + 4); // but the first entry is 0
  walIndex.append(1, 3);
  assertEquals(
    new Uint8Array(shm.regions[0]!).slice(SHM_BYTE.pgnos),
    new Uint8Array(appended([3]).regions[0]!).slice(SHM_BYTE.pgnos),
  );
});

Deno.test("append() says corrupt, and comes to an end, when the hash table is full", () => {
  const { shm, walIndex } = index();
  walIndex.append(1, 5);
  new Uint16Array(shm.regions[0]!, SHM_BYTE.hash).fill(1); // what no SQLite leaves
  assertEquals(codeOf(assertThrows(() => walIndex.append(2, 6), /hash table/)), "corrupt");
});

Deno.test("restart() changes what walRestartHdr changes, and nothing else", () => {
  const { shm, walIndex } = index();
  shm.setWord(SHM_BYTE.backfill, HEADER.mxFrame);
  shm.setWord(SHM_BYTE.attempted, HEADER.mxFrame);
  shm.setMarks(1, 9, 8, 7, 6);
  walIndex.append(1, 3);
  const before = new Uint8Array(shm.regions[0]!).slice();
  let backfillAtBarrier = -1;
  shm.onBarrier = () => backfillAtBarrier = shm.word(SHM_BYTE.backfill);
  const next = walIndex.restart(HEADER, 0x99999999);
  shm.onBarrier = () => {};
  const want = { ...HEADER, mxFrame: 0, salt1: HEADER.salt1 + 1, salt2: 0x99999999 };
  assertEquals(next, want);
  assertEquals(walIndex.header(), want);
  assertEquals([shm.word(SHM_BYTE.backfill), shm.word(SHM_BYTE.attempted)], [0, 0]);
  assertEquals(shm.marks, [1, 0, U, U, U], "mark 0 stays");
  assertEquals(backfillAtBarrier, HEADER.mxFrame, "nBackfill changes after the header");
  const after = new Uint8Array(shm.regions[0]!);
  assertEquals(after.slice(120, 128), before.slice(120, 128), "lock bytes");
  assertEquals(after.slice(SHM_BYTE.pgnos), before.slice(SHM_BYTE.pgnos), "hash tables");
});

Deno.test("restart() counts salt1 round as a big-endian number", () => {
  const { shm, walIndex } = index({ ...HEADER, salt1: 0xffffffff });
  shm.setWord(SHM_BYTE.backfill, HEADER.mxFrame);
  assertEquals(walIndex.restart(walIndex.header()!, 1).salt1, 0);
  const { shm: other, walIndex: second } = index({ ...HEADER, salt1: 0x000000ff });
  other.setWord(SHM_BYTE.backfill, HEADER.mxFrame);
  second.restart(second.header()!, 1);
  assertEquals([...new Uint8Array(other.regions[0]!, 32, 4)], [0, 0, 1, 0]);
});

Deno.test("restart() is a bug while a frame is not backfilled", () => {
  const { shm, walIndex } = index();
  shm.setWord(SHM_BYTE.backfill, HEADER.mxFrame - 1);
  assertThrows(() => walIndex.restart(HEADER, 1), /^BUG/);
  assertEquals(walIndex.header(), HEADER);
});
