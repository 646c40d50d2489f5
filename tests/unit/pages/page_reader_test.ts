import { PageIndex } from "../../../src/pages/page_index.ts";
import { hashPage } from "../../../src/pages/hash.ts";
import { GUARD_VERSION, PageReader, unguard } from "../../../src/pages/page_reader.ts";
import { frameOffset } from "../../../src/wal/format.ts";
import { assertEquals } from "../../support/assert.ts";
import { FakeFile } from "../../support/fake_file.ts";
import { pageOf } from "../../support/fixtures_wal.ts";

const SIZE = 512;

/** A file and a log; the index knows what was put there by inFile() and inLog(). */
class Fixture {
  readonly database = new FakeFile();
  readonly wal = new FakeFile();
  readonly index = new PageIndex(SIZE);
  readonly reads: string[] = [];
  backfilled = 0;
  readonly reader = new PageReader({
    database: this.#noting("database", this.database),
    wal: this.#noting("wal", this.wal),
    backfilled: () => this.backfilled,
  });

  constructor(pages: number) {
    this.index.resize(pages);
    for (let pgno = 1; pgno <= pages; pgno++) this.inFile(pgno, 1);
  }

  #noting(name: string, file: FakeFile): FakeFile {
    const noted = Object.create(file) as FakeFile;
    noted.read = (into, offset) => {
      this.reads.push(`${name} ${offset} ${into.length}`);
      return file.read(into, offset);
    };
    return noted;
  }

  inFile(pgno: number, version: number, known = true): void {
    const page = pageOf(SIZE, pgno, version);
    this.database.write(page, (pgno - 1) * SIZE);
    if (known) this.#record(pgno, page, 0);
  }

  inLog(frame: number, pgno: number, version: number, known = true): void {
    const page = pageOf(SIZE, pgno, version);
    this.wal.write(page, frameOffset(frame, SIZE) + 24);
    if (known) this.#record(pgno, page, frame);
  }

  #record(pgno: number, page: Uint8Array<ArrayBuffer>, frame: number): void {
    const hash = new Uint32Array(2);
    hashPage(page, pgno, hash);
    this.index.record(pgno, hash[0]!, hash[1]!, 1, frame);
  }

  /** The versions read, or "page N" for the one that is not what the index says. */
  read(...pgnos: number[]): string {
    const into = new Uint8Array(7 + pgnos.length * SIZE);
    const bad = this.reader.read(this.index, pgnos, into, 7);
    if (bad !== undefined) return `page ${bad}`;
    assertEquals(into.slice(0, 7), new Uint8Array(7), "bytes before `at` stay");
    return pgnos.map((pgno, nth) => {
      const page = into.slice(7 + nth * SIZE, 7 + (nth + 1) * SIZE);
      const version = new DataView(page.buffer).getUint32(4);
      assertEquals(page, pageOf(SIZE, pgno, version), `page ${pgno}`);
      return `${pgno} v${version}`;
    }).join(", ");
  }
}

Deno.test("PageReader reads a page from its frame, or from the file once that is backfilled", () => {
  const fixture = new Fixture(6);
  fixture.inLog(3, 2, 7);
  fixture.inLog(4, 5, 8);
  assertEquals(fixture.read(1, 2, 3, 4, 5, 6), "1 v1, 2 v7, 3 v1, 4 v1, 5 v8, 6 v1");
  // The checkpoint has copied frame 3, not frame 4; the frame is overwritten by a new log.
  fixture.inFile(2, 7);
  fixture.index.record(2, fixture.index.hashOf(2).high, fixture.index.hashOf(2).low, 1, 3);
  fixture.inLog(3, 1, 99, false);
  fixture.backfilled = 3;
  assertEquals(fixture.read(2, 5), "2 v7, 5 v8");
});

Deno.test("PageReader reads runs that lie side by side in the file at once", () => {
  const fixture = new Fixture(9);
  fixture.inLog(1, 4, 2);
  assertEquals(fixture.read(2, 3, 4, 5, 6, 8, 9), "2 v1, 3 v1, 4 v2, 5 v1, 6 v1, 8 v1, 9 v1");
  assertEquals(fixture.reads, [
    `database ${SIZE} ${2 * SIZE}`,
    `wal ${32 + 24} ${SIZE}`,
    `database ${4 * SIZE} ${2 * SIZE}`,
    `database ${7 * SIZE} ${2 * SIZE}`,
  ]);
});

Deno.test("PageReader names the first page that is not what the index says", async (t) => {
  const cases: [name: string, want: string, prepare: (fixture: Fixture) => void][] = [
    ["a page changed in the file", "page 3", (fixture) => fixture.inFile(3, 2, false)],
    ["one bit of it", "page 5", (fixture) => fixture.database.flip(5 * SIZE - 1, 7)],
    ["the first of two", "page 2", (fixture) => {
      fixture.inFile(5, 2, false);
      fixture.inFile(2, 2, false);
    }],
    ["a frame that a new log has overwritten", "page 4", (fixture) => {
      fixture.inLog(2, 4, 5);
      fixture.inLog(2, 1, 6, false);
    }],
    ["another page's content", "page 2", (fixture) => {
      fixture.database.write(pageOf(SIZE, 3, 1), SIZE);
    }],
    ["a file that is cut", "page 6", (fixture) => fixture.database.truncate(5 * SIZE + 100)],
    ["a log that is cut", "page 1", (fixture) => {
      fixture.inLog(2, 1, 5);
      fixture.wal.truncate(32 + 536);
    }],
    ["a checkpoint that the file has not seen", "page 1", (fixture) => {
      fixture.inLog(2, 1, 5);
      fixture.backfilled = 2;
    }],
  ];
  for (const [name, want, prepare] of cases) {
    await t.step(name, () => {
      const fixture = new Fixture(6);
      prepare(fixture);
      assertEquals(fixture.read(1, 2, 3, 4, 5, 6), want);
    });
  }
});

Deno.test("PageReader takes the write guard off page 1, and off no other", () => {
  const fixture = new Fixture(2);
  const page = pageOf(SIZE, 1, 1);
  page[18] = 2;
  const hash = new Uint32Array(2);
  hashPage(page, 1, hash);
  fixture.index.record(1, hash[0]!, hash[1]!, 1, 0);
  const guarded = Uint8Array.from(page);
  guarded[18] = GUARD_VERSION;
  for (const where of ["file", "log"]) {
    if (where === "file") fixture.database.write(guarded, 0);
    else {
      fixture.wal.write(guarded, frameOffset(1, SIZE) + 24);
      fixture.index.record(1, hash[0]!, hash[1]!, 1, 1);
    }
    const into = new Uint8Array(SIZE);
    assertEquals(fixture.reader.read(fixture.index, [1], into, 0), undefined, where);
    assertEquals(into, page);
  }
  // Byte 18 of page 2 is content.
  const second = pageOf(SIZE, 2, 1);
  second[18] = GUARD_VERSION;
  hashPage(second, 2, hash);
  fixture.index.record(2, hash[0]!, hash[1]!, 1, 0);
  fixture.database.write(second, SIZE);
  const into = new Uint8Array(SIZE);
  assertEquals(fixture.reader.read(fixture.index, [2], into, 0), undefined);
  assertEquals(into, second);
});

Deno.test("unguard() leaves any other write version", () => {
  for (const [given, want] of [[127, 2], [2, 2], [1, 1], [0, 0], [126, 126]] as const) {
    const page = new Uint8Array(20);
    page[18] = given;
    unguard(page);
    assertEquals(page[18], want);
  }
});
