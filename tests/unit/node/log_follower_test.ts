import fc from "fast-check";
import { formatWords } from "../../../src/base/bytes.ts";
import { codeOf, LiveError } from "../../../src/base/errors.ts";
import { txid } from "../../../src/base/types.ts";
import { LogFollower } from "../../../src/node/log_follower.ts";
import { hashPage } from "../../../src/pages/hash.ts";
import { PageIndex } from "../../../src/pages/page_index.ts";
import { WalIndex } from "../../../src/wal/wal_index.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { FakeFile } from "../../support/fake_file.ts";
import { FakeShm, REGION_BYTES } from "../../support/fake_shm.ts";
import { inFolder, python } from "../../support/fixtures_sqlite.ts";
import {
  type FixtureFrame,
  type FixtureWal,
  headerOf,
  pageOf,
  walBytes,
} from "../../support/fixtures_wal.ts";

const SIZE = 512;

/** "2v1 3v1 5" = page 2 version 1, page 3 version 1, which commits 5 pages in all. */
function framesOf(...commits: readonly string[]): FixtureFrame[] {
  return commits.flatMap((text) => {
    const words = text.split(" ");
    const size = Number(words.pop());
    return words.map((word, nth) => {
      const [pgno, version] = word.split("v").map(Number) as [number, number];
      const commit = nth === words.length - 1 ? size : 0;
      return { pgno, page: pageOf(SIZE, pgno, version), commit };
    });
  });
}

function logOf(...commits: readonly string[]): FixtureWal {
  return { pageSize: SIZE, salt1: 1, salt2: 2, bigEndian: false, frames: framesOf(...commits) };
}

function open(wal: FixtureWal, start = 0) {
  const index = new PageIndex(SIZE);
  const file = new FakeFile(walBytes(wal));
  const follower = new LogFollower(file, index, txid(start));
  follower.begin(headerOf(wal));
  return { index, file, follower };
}

/** "page: version, txid, frame" of each page. */
function told(index: PageIndex, versions: Record<number, number>): string[] {
  return Array.from({ length: index.pageCount }, (_, slot) => {
    const pgno = slot + 1;
    const version = versions[pgno];
    if (version !== undefined) {
      const hash = new Uint32Array(2);
      hashPage(pageOf(SIZE, pgno, version), pgno, hash);
      assert(index.hasHash(pgno, hash, 0), `page ${pgno} is version ${version}`);
    }
    return `${pgno}: v${version} txid ${index.txidOf(pgno)} frame ${index.frameOf(pgno)}`;
  });
}

Deno.test("LogFollower counts a txid for each commit", () => {
  const wal = logOf("1v1 2v1 2", "2v2 2", "1v3 2v3 3v3 3");
  const { index, follower } = open(wal, 100);
  assertEquals(follower.read(6), 3);
  assertEquals(follower.txid as number, 103);
  assertEquals(told(index, { 1: 3, 2: 3, 3: 3 }), [
    "1: v3 txid 103 frame 4",
    "2: v3 txid 103 frame 5",
    "3: v3 txid 103 frame 6",
  ]);
  assertEquals(index.since(102), [1, 2, 3]);
});

Deno.test("LogFollower keeps the index as of a commit when one is read in pieces", () => {
  const wal = logOf("1v1 2v1 2", "1v2 2v2 3v2 3");
  const { index, follower } = open(wal);
  const want = ["1: v1 txid 1 frame 1", "2: v1 txid 1 frame 2"];
  for (const [upTo, commits] of [[2, 1], [3, 0], [4, 0]] as const) {
    assertEquals(follower.read(upTo), commits);
    assertEquals(told(index, { 1: 1, 2: 1 }), want, `up to frame ${upTo}`);
    assertEquals([follower.txid as number, follower.reader.last], [1, upTo]);
  }
  assertEquals(follower.read(5), 1);
  assertEquals(told(index, { 1: 2, 2: 2, 3: 2 }), [
    "1: v2 txid 2 frame 3",
    "2: v2 txid 2 frame 4",
    "3: v2 txid 2 frame 5",
  ]);
});

Deno.test("LogFollower lets the last of several frames of a page win", () => {
  const { index, follower } = open(logOf("1v1 2v1 1v2 2v2 1v3 2"));
  assertEquals(follower.read(5), 1);
  assertEquals(told(index, { 1: 3, 2: 2 }), ["1: v3 txid 1 frame 5", "2: v2 txid 1 frame 4"]);
});

Deno.test("LogFollower drops frames beyond the commit's size", () => {
  const { index, follower } = open(logOf("1v1 2v1 3v1 3", "3v2 4v2 1v2 2", "1v3 3v3 3"));
  follower.read(6);
  assertEquals(told(index, { 1: 2, 2: 1 }), ["1: v2 txid 2 frame 6", "2: v1 txid 1 frame 2"]);
  follower.read(8);
  assertEquals(told(index, { 1: 3, 2: 1, 3: 3 }), [
    "1: v3 txid 3 frame 7",
    "2: v1 txid 1 frame 2",
    "3: v3 txid 3 frame 8",
  ]);
});

Deno.test("LogFollower does not count while it only reads what was counted before", () => {
  const { index, follower } = open(logOf("1v1 1", "1v2 1", "2v3 1v3 2"), 7);
  follower.counting = false;
  assertEquals(follower.read(2), 2);
  assertEquals(told(index, { 1: 2 }), ["1: v2 txid 7 frame 2"]);
  follower.counting = true;
  follower.read(4);
  assertEquals(told(index, { 1: 3, 2: 3 }), ["1: v3 txid 8 frame 4", "2: v3 txid 8 frame 3"]);
});

Deno.test("LogFollower.begin() forgets frames and half a transaction of the old log", () => {
  const wal = logOf("1v1 2v1 2", "1v9 2v9 2");
  const { index, file, follower } = open(wal);
  follower.read(3); // half of the second
  const next = { ...logOf("2v5 2"), salt1: 2 };
  file.write(walBytes(next), 0);
  follower.begin(headerOf(next));
  assertEquals(told(index, { 1: 1, 2: 1 }), ["1: v1 txid 1 frame 0", "2: v1 txid 1 frame 0"]);
  assertEquals(follower.read(1), 1);
  assertEquals(told(index, { 1: 1, 2: 5 }), ["1: v1 txid 1 frame 0", "2: v5 txid 2 frame 1"]);
});

Deno.test("LogFollower enters nothing of a commit that has a broken frame", () => {
  const { index, file, follower } = open(logOf("1v1 2v1 2", "1v2 2v2 2"));
  file.flip(32 + 3 * (24 + SIZE) + 300);
  assertEquals(codeOf(assertThrows(() => follower.read(4), /Frame 4/)), "checksum");
  assertEquals(told(index, { 1: 1, 2: 1 }), ["1: v1 txid 1 frame 1", "2: v1 txid 1 frame 2"]);
  assertEquals(follower.txid as number, 1);
  file.flip(32 + 3 * (24 + SIZE) + 300);
  assertEquals(follower.read(4), 1);
  assertEquals(told(index, { 1: 2, 2: 2 }), ["1: v2 txid 2 frame 3", "2: v2 txid 2 frame 4"]);
});

Deno.test("LogFollower takes the write guard off page 1, as a replica's own log has it", () => {
  const page = pageOf(SIZE, 1, 1);
  page[18] = 2;
  const guarded = Uint8Array.from(page);
  guarded[18] = 127;
  const second = pageOf(SIZE, 2, 1);
  second[18] = 127; // content
  const frames = [{ pgno: 1, page: guarded, commit: 0 }, { pgno: 2, page: second, commit: 2 }];
  const { index, follower } = open({ ...logOf(), frames });
  assertEquals(follower.read(2), 1);
  const hash = new Uint32Array(4);
  hashPage(page, 1, hash);
  hashPage(second, 2, hash.subarray(2));
  assert(index.hasHash(1, hash, 0) && index.hasHash(2, hash, 2));
});

Deno.test("LogFollower.readAhead() is seen by nobody before the commit, which then has little to read", () => {
  const wal = logOf("1v1 2v1 2", "1v2 2v2 3v2 1v3 3");
  const { index, file, follower } = open(wal);
  file.truncate(32 + 5 * (24 + SIZE)); // the transaction has not ended
  follower.read(2);
  const before = told(index, { 1: 1, 2: 1 });
  assertEquals([follower.readAhead(2), follower.readAhead(100), follower.readAhead(100)], [
    2,
    1,
    0,
  ]);
  assertEquals(told(index, { 1: 1, 2: 1 }), before);
  assertEquals([follower.txid as number, follower.reader.last], [1, 2]);
  assertEquals(follower.read(2), 0, "nothing is committed yet");
  file.write(walBytes(wal), 0);
  file.reads.length = 0;
  assertEquals(follower.read(6), 1);
  const frame6 = `${32 + 5 * (24 + SIZE)} ${24 + SIZE}`;
  assertEquals(
    file.reads,
    [frame6, frame6],
    "the commit's frame, to see that it goes on from them",
  );
  assertEquals(told(index, { 1: 3, 2: 2, 3: 2 }), [
    "1: v3 txid 2 frame 6",
    "2: v2 txid 2 frame 4",
    "3: v2 txid 2 frame 5",
  ]);
  const { s1, s2 } = headerOf(wal).sum;
  assertEquals(follower.reader.sum, { s1, s2 });
});

Deno.test("LogFollower forgets what it read ahead if that was rolled back", async (t) => {
  const begun = logOf("1v1 2v1 2", "1v2 2v2 3v2 4v2 5v2 1v3 5");
  const cases: [name: string, next: FixtureWal, want: string[]][] = [
    ["and less was written", logOf("1v1 2v1 2", "2v5 2"), ["1: 1", "2: 5"]],
    ["and more was written", logOf("1v1 2v1 2", "3v5 4v5 1v5 3v6 4v6 1v6 2v6 4"), [
      "1: 6",
      "2: 6",
      "3: 6",
      "4: 6",
    ]],
    ["and as much, to the frame", logOf("1v1 2v1 2", "1v2 2v2 3v2 4v2 3v4 4"), [
      "1: 2",
      "2: 2",
      "3: 4",
      "4: 2",
    ]],
    ["or a page was written again in its place", logOf("1v1 2v1 2", "1v2 2v7 3v2 4v2 5v2 1v3 5"), [
      "1: 3",
      "2: 7",
      "3: 2",
      "4: 2",
      "5: 2",
    ]],
  ];
  for (const [name, next, want] of cases) {
    await t.step(name, () => {
      const { index, file, follower } = open(begun);
      follower.read(2);
      assertEquals(follower.readAhead(100), 5);
      file.write(walBytes(next), 0);
      assertEquals(follower.read(next.frames.length), 1);
      const pairs = want.map((text) => text.split(": ").map(Number) as [number, number]);
      told(index, Object.fromEntries(pairs)); // asserts each version
      assertEquals([index.pageCount, follower.txid as number], [want.length, 2]);
      assertEquals(follower.reader.sum, headerOf(next).sum);
    });
  }
});

Deno.test("LogFollower.readAhead() stops at what is torn, of another log, or not there", async (t) => {
  const wal = logOf("1v1 2v1 2", "1v2 2v2 3v2 1v3 3");
  const frame = (nth: number): number => 32 + (nth - 1) * (24 + SIZE);
  const cases: [name: string, damage: (file: FakeFile) => void, frames: number][] = [
    ["half a page", (file) => file.truncate(frame(5) - 100), 1],
    ["half a header", (file) => file.truncate(frame(4) + 10), 1],
    ["a page that is being written again", (file) => file.flip(frame(4) + 60), 1],
    ["a header without salts", (file) => file.write(new Uint8Array(8), frame(3) + 8), 0],
    ["the end", (file) => file.truncate(frame(3)), 0],
  ];
  for (const [name, damage, frames] of cases) {
    await t.step(name, () => {
      const { file, follower, index } = open(wal);
      follower.read(2);
      damage(file);
      assertEquals([follower.readAhead(100), follower.readAhead(100)], [frames, 0]);
      file.write(walBytes(wal), 0);
      assertEquals(follower.readAhead(100), 3 - frames, "and goes on there");
      assertEquals(follower.read(6), 1);
      assertEquals(told(index, { 1: 3, 2: 2, 3: 2 }).length, 3);
    });
  }
});

Deno.test("LogFollower.readAhead() reads the first transaction of a log that begins", async (t) => {
  const empty = { ...headerOf(logOf("1v1 1"), 0), pageSize: 0, salt1: 0, salt2: 0 };
  const first = logOf("1v1 2v1 3v1 3");
  await t.step("an empty one, of which nothing is known", () => {
    const { index, file, follower } = open(first);
    follower.begin(empty);
    assertEquals([follower.readAhead(1), follower.readAhead(9)], [1, 1]);
    assert(!follower.reader.sameLog(headerOf(first)));
    follower.begin(headerOf(first));
    file.reads.length = 0;
    assertEquals([follower.read(3), index.pageCount], [1, 3]);
    told(index, { 1: 1, 2: 1, 3: 1 });
    assertEquals(file.reads.length, 3, "its header, and the commit's frame twice");
  });
  await t.step("and another one is committed", () => {
    const { index, file, follower } = open(first);
    follower.begin(empty);
    assertEquals(follower.readAhead(9), 2);
    const other = { ...logOf("1v7 2v7 2"), salt2: 77 };
    file.write(walBytes(other), 0);
    follower.begin(headerOf(other));
    assertEquals([follower.read(2), index.pageCount], [1, 2]);
    told(index, { 1: 7, 2: 7 });
  });
  await t.step("one that begins anew: not what the old one left", () => {
    const old = logOf("1v1 2v1 3v1 3", "1v2 2v2 3v2 3");
    const { index, file, follower } = open({
      ...old,
      frames: [...old.frames, ...framesOf("2v3 9")],
    });
    follower.read(6);
    file.write(walBytes({ ...old, frames: [...old.frames, ...framesOf("2v3 3v3 9")] }), 0);
    assertEquals(follower.readAhead(9), 1, "what was rolled back then");
    const next = { ...logOf("1v9 2v9 3v9 3"), salt1: 2, salt2: 5 };
    follower.begin(headerOf(next, 0));
    assertEquals(follower.readAhead(9), 0, "its header is the old one's");
    file.write(walBytes(next).subarray(0, 32 + 2 * (24 + SIZE)), 0);
    assertEquals(follower.readAhead(9), 2);
    file.write(walBytes(next), 0);
    assertEquals(follower.read(3), 1);
    told(index, { 1: 9, 2: 9, 3: 9 });
  });
});

Deno.test("LogFollower.readAhead() hides no frame of a commit that was read in pieces", () => {
  const wal = logOf("1v1 2v1 2", "1v2 2v2 3v2 3", "1v5 2v5 3v5 4v5 4");
  const { index, file, follower } = open(wal);
  follower.read(3); // one of the second transaction's
  assertEquals(follower.readAhead(1), 1);
  file.write(walBytes(logOf("1v1 2v1 2", "1v2 2v9 3v9 3")), 0);
  assertEquals(follower.read(5), 1);
  told(index, { 1: 2, 2: 9, 3: 9 });
});

Deno.test("LogFollower that reads ahead knows what one knows that does not", () => {
  // Steps of a writer, and of the one who looks; versions count up, so each write is another.
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ write: fc.integer({ min: 1, max: 9 }) }) },
    { weight: 2, arbitrary: fc.constant({ commit: true }) },
    { weight: 1, arbitrary: fc.constant({ rollback: true }) },
    { weight: 1, arbitrary: fc.record({ again: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.constant({ restart: true }) },
    { weight: 5, arbitrary: fc.record({ ahead: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 2, arbitrary: fc.constant({ look: true }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let wal = logOf("1v0 1");
      let committed = 1;
      let header = headerOf(wal);
      const file = new FakeFile(walBytes(wal));
      const indexes = [new PageIndex(SIZE), new PageIndex(SIZE)] as const;
      const followers = indexes.map((index) => new LogFollower(file, index, txid(0)));
      const look = (): void => {
        for (const follower of followers) {
          if (!follower.reader.sameLog(header)) follower.begin(header);
          follower.read(header.mxFrame);
        }
      };
      const put = (frames: readonly FixtureFrame[]): void => {
        wal = { ...wal, frames };
        file.write(walBytes(wal), 0); // what was behind it stays, as in a file
      };
      look();
      for (const [version, one] of steps.entries()) {
        const { frames } = wal;
        const page = (pgno: number) => pageOf(SIZE, pgno, version + 1);
        if ("write" in one) {
          put([...frames, { pgno: one.write, page: page(one.write), commit: 0 }]);
        } else if ("commit" in one && frames.length > committed) {
          put([...frames.slice(0, -1), { ...frames.at(-1)!, commit: 9 }]);
          committed = frames.length;
          header = headerOf(wal);
        } else if ("rollback" in one) put(frames.slice(0, committed));
        else if ("again" in one && frames.length > committed) {
          const nth = committed + one.again % (frames.length - committed);
          const { pgno } = frames[nth]!;
          put(frames.with(nth, { pgno, page: page(pgno), commit: 0 }));
        } else if ("restart" in one && frames.length === committed) {
          look(); // nothing restarts before it was read
          wal = { ...wal, salt1: wal.salt1 + 1, salt2: version, frames: [] };
          committed = 0;
          header = headerOf(wal);
        } else if ("ahead" in one) followers[1]!.readAhead(one.ahead);
        else if ("look" in one) look();
      }
      look();
      const [plain, ahead] = indexes;
      const state = (index: PageIndex) =>
        Array.from({ length: index.pageCount }, (_, nth) => [
          index.hashOf(nth + 1),
          index.txidOf(nth + 1),
          index.frameOf(nth + 1),
        ]);
      assertEquals(state(ahead), state(plain));
      assertEquals(followers[1]!.txid, followers[0]!.txid);
      assertEquals(followers[1]!.reader.sum, followers[0]!.reader.sum);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("LogFollower that reads ahead survives a read that fails, at any place", () => {
  const begun = logOf("1v1 2v1 2", "1v2 2v2 3v2 4v2 5v2 1v3 5");
  const next = logOf("1v1 2v1 2", "2v9 3v9 2v10 3"); // page 1 stays
  const longer = logOf("1v1 2v1 2", "2v9 3v9 2v10 3v10 2v11 3v11 2v12 3");
  const cases: [FixtureWal, Record<number, number>][] = [
    [begun, { 1: 3, 2: 2, 5: 2 }],
    [next, { 1: 1, 2: 10, 3: 9 }],
    [longer, { 1: 1, 2: 12, 3: 11 }],
  ];
  for (const [after, want] of cases) {
    for (let failing = 0; failing < 12; failing++) {
      const { index, file, follower } = open(begun);
      follower.read(2);
      const { read } = FakeFile.prototype;
      let count = 0;
      file.read = (into, offset) => {
        if (count++ === failing) throw new LiveError("disk", "EIO");
        return read.call(file, into, offset);
      };
      for (let tries = 0; tries < 3; tries++) {
        try {
          follower.readAhead(2);
        } catch { /* as a node does */ }
      }
      file.write(walBytes(after), 0);
      const { length } = after.frames;
      try {
        follower.read(length);
      } catch { /* it is read again */ }
      follower.read(length);
      told(index, want);
      assertEquals(follower.txid as number, 2, `read ${failing} failed`);
    }
  }
});

/** Takes salts and checksum from these frames (from 1), as SQLite up to 3.50.1 may leave them. */
function bare(file: FakeFile, ...frames: readonly number[]): void {
  for (const nth of frames) file.write(new Uint8Array(16), 32 + (nth - 1) * (24 + SIZE) + 8);
}

Deno.test("LogFollower goes on where committed frames have no checksum", async (t) => {
  const wal = logOf("1v1 2v1 2", "1v2 2v2 3v2 3", "2v3 3v3 3", "1v4 3");
  await t.step("to their end, then behind it", () => {
    const { index, file, follower } = open(wal);
    bare(file, 4, 5);
    assertEquals([follower.read(5), follower.reader.unsummed], [2, 2]);
    assertEquals(follower.readAhead(9), 0, "what is not committed has to prove itself");
    assertEquals([follower.read(7), follower.read(8)], [1, 1]);
    told(index, { 1: 4, 2: 3, 3: 3 });
    assertEquals([follower.txid as number, follower.reader.unsummed], [4, 2]);
    assertEquals(follower.reader.sum, headerOf(wal).sum, "the last ones are checked again");
    follower.begin(headerOf({ ...wal, salt1: 2 }, 0));
    assertEquals(follower.reader.unsummed, 0);
  });
  await t.step("at the start of a log, and at one go", () => {
    const { index, file, follower } = open(wal);
    bare(file, 1, 2, 5);
    assertEquals([follower.read(8), follower.reader.unsummed], [4, 3]);
    told(index, { 1: 4, 2: 3, 3: 3 });
  });
  await t.step("behind what was read ahead", () => {
    const { index, file, follower } = open(wal);
    follower.read(2);
    assertEquals(follower.readAhead(9), 2);
    bare(file, 5);
    assertEquals(follower.read(8), 3);
    told(index, { 1: 4, 2: 3, 3: 3 });
  });
  const refused: [name: string, damage: (file: FakeFile) => void, frame: number][] = [
    ["a page that is another, with a checksum", (file) => file.flip(32 + 3 * (24 + SIZE) + 99), 4],
    ["zeros", (file) => file.write(new Uint8Array(24 + SIZE), 32 + 3 * (24 + SIZE)), 4],
    ["salts that are gone, a checksum that is not", (file) => {
      file.write(new Uint8Array(8), 32 + 3 * (24 + SIZE) + 8);
    }, 4],
    ["another log's frame behind one without", (file) => {
      bare(file, 4);
      file.flip(32 + 4 * (24 + SIZE) + 9);
    }, 5],
    ["a page that is another, two frames behind", (file) => {
      bare(file, 4);
      file.flip(32 + 5 * (24 + SIZE) + 99);
    }, 6],
  ];
  for (const [name, damage, frame] of refused) {
    await t.step(`but not at ${name}`, () => {
      const { file, follower } = open(wal);
      damage(file);
      const error = assertThrows(() => follower.read(8), new RegExp(`Frame ${frame} `));
      assertEquals(codeOf(error), "checksum");
    });
  }
});

/**
 * Transactions that spill, are rolled back, and write pages again in their place. Without savepoints:
 * one that is rolled back after that leaves broken checksums in a log of SQLite before 3.50.
 */
const SPILLING = `
import random, shutil
path, seed, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
draw = random.Random(seed)
c = open(path)
c.execute("PRAGMA page_size=512")
c.execute("PRAGMA journal_mode=wal")
c.execute("PRAGMA synchronous=off")
c.execute("PRAGMA wal_autocheckpoint=0")
c.execute("PRAGMA cache_size=4")
c.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)")
c.execute("PRAGMA wal_checkpoint(TRUNCATE)") # the log is empty, as a new one is
shots = 0
def shoot():
    global shots
    for part in ("-wal", "-shm"):
        shutil.copyfile(path + part, f"{folder}/{shots}{part}")
    shots += 1
for nth in range(25):
    c.execute("BEGIN")
    for step in range(draw.randrange(1, 8)):
        what = draw.randrange(8)
        if what < 5:
            for _ in range(draw.randrange(1, 30)):
                c.execute("INSERT INTO t(b) VALUES(randomblob(?))", (draw.randrange(1, 900),))
        elif what == 5: c.execute("UPDATE t SET b = randomblob(300) WHERE a % 7 = ?", (draw.randrange(7),))
        elif what == 6: c.execute("UPDATE t SET b = randomblob(200) WHERE a < ?", (draw.randrange(40),))
        else: c.execute("DELETE FROM t WHERE a % 9 = ?", (draw.randrange(9),))
        shoot()
    c.execute("ROLLBACK" if draw.randrange(4) == 0 else "COMMIT")
    shoot()
    if draw.randrange(5) == 0: c.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
print(shots)
leave()
`;

Deno.test("LogFollower that reads ahead of stock SQLite knows what one knows that does not", () =>
  inFolder(async (folder) => {
    let ahead = 0;
    for (let seed = 1; seed <= 6; seed++) {
      const [shots] = await python(SPILLING, `${folder}/${seed}.db`, String(seed), folder);
      const file = new FakeFile();
      const indexes = [new PageIndex(SIZE), new PageIndex(SIZE)] as const;
      const followers = indexes.map((index) => new LogFollower(file, index, txid(0)));
      const states = [new Map<number, string>(), new Map<number, string>()];
      for (let shot = 0; shot < Number(shots); shot++) {
        file.truncate(0);
        file.write(await Deno.readFile(`${folder}/${shot}-wal`), 0);
        const shm = new FakeShm();
        const memory = await Deno.readFile(`${folder}/${shot}-shm`);
        shm.regions.splice(0, 1, memory.slice(0, REGION_BYTES).buffer);
        const header = new WalIndex(shm.connection()).header()!;
        for (const [nth, follower] of followers.entries()) {
          if (!follower.reader.sameLog(header)) follower.begin(header);
          follower.read(header.mxFrame);
          if (nth === 1) ahead += follower.readAhead(1 + shot % 50);
          const index = indexes[nth]!;
          const pages = Array.from({ length: index.pageCount }, (_, slot) => [
            formatWords(index.hashOf(slot + 1)),
            index.txidOf(slot + 1),
            index.frameOf(slot + 1),
          ]);
          states[nth]!.set(shot, JSON.stringify([follower.txid, follower.reader.sum, pages]));
        }
      }
      assertEquals(states[1], states[0], `seed ${seed}`);
      assert(Number(followers[0]!.txid) > 5, "transactions were committed");
    }
    assert(ahead > 500, `frames were read ahead: ${ahead}`);
  }));
