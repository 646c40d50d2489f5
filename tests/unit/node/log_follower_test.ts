import { codeOf } from "../../../src/base/errors.ts";
import { txid } from "../../../src/base/types.ts";
import { LogFollower } from "../../../src/node/log_follower.ts";
import { hashPage } from "../../../src/pages/hash.ts";
import { PageIndex } from "../../../src/pages/page_index.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { FakeFile } from "../../support/fake_file.ts";
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
      hashPage(pageOf(SIZE, pgno, version), pgno, hash, 0);
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
  hashPage(page, 1, hash, 0);
  hashPage(second, 2, hash, 2);
  assert(index.hasHash(1, hash, 0) && index.hasHash(2, hash, 2));
});
