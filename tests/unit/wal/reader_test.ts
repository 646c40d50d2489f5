import { codeOf } from "../../../src/base/errors.ts";
import { type FrameSink, WalReader } from "../../../src/wal/reader.ts";
import type { WalIndexHeader } from "../../../src/wal/wal_index.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { FakeFile } from "../../support/fake_file.ts";
import { type FixtureWal, headerOf, pageOf, walBytes } from "../../support/fixtures_wal.ts";

/** A log of `count` frames over pages 1..5; every third commits. */
function log(count: number, pageSize = 512, bigEndian = false): FixtureWal {
  const frames = Array.from({ length: count }, (_, nth) => {
    const pgno = nth % 5 + 1;
    return { pgno, page: pageOf(pageSize, pgno, nth), commit: nth % 3 === 2 ? 5 : 0 };
  });
  return { pageSize, salt1: 11, salt2: 22, bigEndian, frames };
}

interface Seen {
  readonly frame: number;
  readonly pgno: number;
  readonly commit: number;
  readonly page: Uint8Array;
}

function collector(pageSize: number): { seen: Seen[]; sink: FrameSink } {
  const seen: Seen[] = [];
  return {
    seen,
    sink: (frame, header, buffer, at) => {
      seen.push({ frame, ...header, page: buffer.slice(at, at + pageSize) });
    },
  };
}

const wantOf = (wal: FixtureWal): Seen[] =>
  wal.frames.map(({ pgno, page, commit }, nth) => ({ frame: nth + 1, pgno, commit, page }));

function open(wal: FixtureWal, header: WalIndexHeader = headerOf(wal)) {
  const file = new FakeFile(walBytes(wal));
  const reader = new WalReader(file);
  reader.begin(header);
  return { file, reader, ...collector(wal.pageSize) };
}

Deno.test("WalReader.read() hands over each frame once, in order", async (t) => {
  for (const pageSize of [512, 4096, 65536]) {
    for (const bigEndian of [false, true]) {
      await t.step(`${pageSize} ${bigEndian ? "big" : "little"}-endian`, () => {
        const wal = log(pageSize === 512 ? 1500 : 12, pageSize, bigEndian); // more than one read
        const { reader, seen, sink } = open(wal);
        reader.read(wal.frames.length, sink);
        assertEquals(seen, wantOf(wal));
        const { s1, s2 } = headerOf(wal).sum;
        assertEquals(reader.sum, { s1, s2 });
      });
    }
  }
});

Deno.test("WalReader.read() goes on where it was, in pieces of any size", () => {
  const wal = log(30);
  const { reader, seen, sink } = open(wal);
  for (const upTo of [0, 1, 1, 4, 20, 30, 30]) reader.read(upTo, sink);
  assertEquals(seen, wantOf(wal));
  assertEquals(reader.last, 30);
});

Deno.test("WalReader.read() says checksum at a frame that does not continue the log", async (t) => {
  const frameBytes = 24 + 512;
  const cases: [name: string, offset: number][] = [
    ["a bit of the page", 32 + 6 * frameBytes + 24 + 100],
    ["a bit of the page number", 32 + 6 * frameBytes],
    ["a bit of the commit size", 32 + 6 * frameBytes + 7],
    ["a bit of a salt", 32 + 6 * frameBytes + 9],
    ["a bit of the checksum", 32 + 6 * frameBytes + 20],
  ];
  for (const [name, offset] of cases) {
    await t.step(name, () => {
      const wal = log(10);
      const { file, reader, seen, sink } = open(wal);
      file.flip(offset);
      assertEquals(codeOf(assertThrows(() => reader.read(10, sink), /Frame 7 /)), "checksum");
      assertEquals(seen, wantOf(wal).slice(0, 6), "what was right before it has been read");
      assertEquals(reader.last, 6);
      file.flip(offset);
      reader.read(10, sink);
      assertEquals(seen, wantOf(wal), "and nothing is read twice");
    });
  }
  await t.step("a file that ends before", () => {
    const wal = log(10);
    const { file, reader, sink } = open(wal);
    file.truncate(32 + 4 * frameBytes + 100);
    assertEquals(codeOf(assertThrows(() => reader.read(10, sink), /Frame 5 /)), "checksum");
  });
});

Deno.test("WalReader.read() says busy when the WAL's header is not that of the wal-index", async (t) => {
  const wal = log(6);
  const cases: [name: string, damage: (file: FakeFile) => void][] = [
    ["torn", (file) => file.flip(25)],
    ["another log's", (file) => file.write(walBytes({ ...wal, salt1: 12 }).slice(0, 32), 0)],
    ["another salt2", (file) => file.write(walBytes({ ...wal, salt2: 12 }).slice(0, 32), 0)],
    ["an empty file", (file) => file.truncate(0)],
  ];
  for (const [name, damage] of cases) {
    await t.step(name, () => {
      const { file, reader, seen, sink } = open(wal);
      damage(file);
      assertEquals(codeOf(assertThrows(() => reader.read(6, sink), /changing/)), "busy");
      file.write(walBytes(wal), 0);
      reader.read(6, sink);
      assertEquals(seen, wantOf(wal), "and reads all of it later");
    });
  }
});

Deno.test("WalReader.begin() leaves the old log behind", () => {
  const wal = log(9);
  const { file, reader, seen, sink } = open(wal);
  reader.read(9, sink);
  const next: FixtureWal = { ...log(4), salt1: 12, salt2: 99 };
  file.write(walBytes(next), 0); // the old log's frames 5..9 are still behind it
  const header = headerOf(next);
  assert(!reader.sameLog(header) && reader.sameLog(headerOf(wal)));
  reader.begin(header);
  assertEquals([reader.last, reader.salts], [0, { salt1: 12, salt2: 99 }]);
  reader.read(4, sink);
  assertEquals(seen.slice(9), wantOf(next));
  assertEquals(codeOf(assertThrows(() => reader.read(5, sink), /Frame 5 /)), "checksum");
});

Deno.test("WalReader.sameLog() is false when the page size or byte order is only known now", () => {
  // Recovery of a WAL without a commit leaves its salts and page size 0; the writer that comes next
  // may keep those salts.
  const wal = log(3);
  const reader = new WalReader(new FakeFile(walBytes(wal)));
  reader.begin({ ...headerOf(wal, 0), pageSize: 0 });
  assert(!reader.sameLog(headerOf(wal)), "page size");
  reader.begin({ ...headerOf(wal, 0), bigEndian: true });
  assert(!reader.sameLog(headerOf(wal)), "byte order");
});

Deno.test("WalReader knows nothing before begin()", () => {
  const reader = new WalReader(new FakeFile());
  assertEquals([reader.last, reader.salts, reader.sum], [0, undefined, { s1: 0, s2: 0 }]);
  assert(!reader.sameLog(headerOf(log(1))));
  assertEquals(codeOf(assertThrows(() => reader.read(1, () => {}))), "not_ready");
});
