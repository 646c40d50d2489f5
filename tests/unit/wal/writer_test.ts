import { codeOf } from "../../../src/base/errors.ts";
import { UNUSED_MARK, WalIndex, type WalIndexHeader } from "../../../src/wal/wal_index.ts";
import { WalReader } from "../../../src/wal/reader.ts";
import { WalWriter } from "../../../src/wal/writer.ts";
import { assert, assertEquals, assertNotEquals, assertThrows } from "../../support/assert.ts";
import { SeededRandom } from "../../support/fake_env.ts";
import { FakeFile } from "../../support/fake_file.ts";
import { FakeShm, SHM_BYTE } from "../../support/fake_shm.ts";
import { pageOf } from "../../support/fixtures_wal.ts";

const EMPTY: WalIndexHeader = {
  change: 0,
  bigEndian: false,
  pageSize: 0,
  mxFrame: 0,
  pageCount: 0,
  sum: { s1: 0, s2: 0 },
  salt1: 0,
  salt2: 0,
};

class Log {
  readonly file = new FakeFile();
  readonly shm = new FakeShm();
  readonly walIndex = new WalIndex(this.shm.connection());
  readonly random = new SeededRandom(1);
  readonly writer: WalWriter;
  header: WalIndexHeader;

  constructor(readonly pageSize: number, header = EMPTY) {
    this.header = header;
    this.shm.setHeader(header);
    this.shm.setMarks(0, UNUSED_MARK, UNUSED_MARK, UNUSED_MARK, UNUSED_MARK);
    this.writer = new WalWriter(this.file, this.walIndex, pageSize, header);
  }

  async begin(): Promise<void> {
    await this.writer.begin(this.header, () => this.random.u32());
  }

  async commit(pgnos: readonly number[], version: number, pageCount: number): Promise<void> {
    await this.begin();
    for (const pgno of pgnos) this.writer.add(pgno, pageOf(this.pageSize, pgno, version));
    this.writer.finish(pageCount);
    this.header = this.writer.publish(pageCount);
  }

  /** What a reader finds: "frame: page, commit size", and all pages are checked. */
  frames(): string[] {
    const reader = new WalReader(this.file);
    const header = this.walIndex.header()!;
    reader.begin(header);
    const found: string[] = [];
    reader.read(header.mxFrame, (frame, { pgno, commit }, buffer, at) => {
      const page = buffer.slice(at, at + this.pageSize);
      const version = new DataView(page.buffer).getUint32(4);
      assertEquals(page, pageOf(this.pageSize, pgno, version));
      found.push(`${frame}: ${pgno} v${version} ${commit}`);
    });
    return found;
  }
}

Deno.test("WalWriter writes what WalReader reads, at every page size", async (t) => {
  for (const pageSize of [512, 4096, 32768, 65536]) {
    await t.step(String(pageSize), async () => {
      const log = new Log(pageSize);
      await log.commit([3, 1, 2], 1, 3);
      await log.commit([2], 2, 3);
      await log.commit([1, 4, 1], 3, 2); // a page twice, a page beyond the size
      assertEquals(log.frames(), [
        "1: 3 v1 0",
        "2: 1 v1 0",
        "3: 2 v1 3",
        "4: 2 v2 3",
        "5: 1 v3 0",
        "6: 4 v3 0",
        "7: 1 v3 2",
      ]);
      const { change, pageCount, mxFrame, pageSize: found } = log.walIndex.header()!;
      assertEquals([change, pageCount, mxFrame, found], [3, 2, 7, pageSize]);
    });
  }
});

Deno.test("WalWriter.add() tells the frame that the page will be in", async () => {
  const log = new Log(512);
  await log.commit([5, 6], 1, 6);
  await log.begin();
  const frames = Array.from(
    { length: 300 },
    (_, nth) => log.writer.add(nth + 1, pageOf(512, nth + 1, 2)),
  );
  assertEquals(frames, Array.from({ length: 300 }, (_, nth) => nth + 3));
});

Deno.test("WalWriter copies a page that is added", async () => {
  const log = new Log(512);
  const page = pageOf(512, 1, 1);
  await log.begin();
  log.writer.add(1, page);
  page.fill(0xff);
  log.writer.finish(1);
  log.writer.publish(1);
  assertEquals(log.frames(), ["1: 1 v1 1"]);
});

Deno.test("WalWriter shows nothing before publish()", async () => {
  const log = new Log(512);
  await log.commit([1, 2], 1, 2);
  const before = log.walIndex.header();
  await log.begin();
  for (let nth = 0; nth < 500; nth++) log.writer.add(1 + nth % 2, pageOf(512, 1 + nth % 2, 2));
  log.writer.finish(2);
  assertEquals(log.walIndex.header(), before);
  assertEquals(log.frames().length, 2);
});

Deno.test("WalWriter.begin() writes and fsyncs the header of a new log before any frame", async () => {
  const log = new Log(512);
  await log.commit([1], 1, 1);
  assertEquals(log.file.calls, ["write 0 32", "sync", "write 32 536"]);
  log.file.calls.length = 0;
  await log.commit([1], 2, 1);
  assertEquals(log.file.calls, ["write 568 536"], "only a new log's");
  // A log that begins anew keeps the salts that restart() made.
  log.shm.setWord(SHM_BYTE.backfill, 2);
  log.header = log.walIndex.restart(log.header, 4711);
  log.file.calls.length = 0;
  await log.commit([1], 3, 1);
  assertEquals(log.file.calls, ["write 0 32", "sync", "write 32 536"]);
  const { salt1, salt2 } = log.walIndex.header()!;
  assertEquals([salt1, salt2], [log.header.salt1, 4711]);
  assertEquals(log.frames(), ["1: 1 v3 1"]);
});

Deno.test("WalWriter.begin() draws salts for a WAL that never had any", async () => {
  const [a, b] = [new Log(512), new Log(512)];
  b.random.u32();
  await a.commit([1], 1, 1);
  await b.commit([1], 1, 1);
  assertNotEquals(a.header.salt1, 0);
  assertNotEquals(a.header.salt1, b.header.salt1);
});

Deno.test("WalWriter.begin() after an abort writes over what was left", async (t) => {
  for (const [left, next] of [[3, 1], [300, 2], [300, 299], [5000, 4]] as const) {
    await t.step(`${left} pages, then ${next}`, async () => {
      const log = new Log(512);
      await log.commit([1, 2, 3], 1, 6000);
      await log.begin();
      for (let nth = 0; nth < left; nth++) log.writer.add(nth + 1, pageOf(512, nth + 1, 2));
      await log.commit(Array.from({ length: next }, (_, nth) => nth + 10), 3, 6000);
      const clean = new Log(512);
      await clean.commit([1, 2, 3], 1, 6000);
      await clean.commit(Array.from({ length: next }, (_, nth) => nth + 10), 3, 6000);
      assertEquals(log.frames(), clean.frames());
      assertEquals(
        new Uint8Array(log.shm.regions[0]!),
        new Uint8Array(clean.shm.regions[0]!),
      );
      assertEquals(
        log.file.content.slice(0, clean.file.size()),
        clean.file.content,
      );
    });
  }
});

Deno.test("WalWriter leaves the last state whole when the disk is full at any byte", async () => {
  for (let room = 0; room < 3 * 536; room += 67) {
    const log = new Log(512);
    await log.commit([1, 2], 1, 3);
    log.file.failAfter = room;
    await log.begin();
    const full = assertThrows(() => {
      for (let nth = 0; nth < 400; nth++) log.writer.add(3, pageOf(512, 3, 2));
      log.writer.finish(3);
    });
    assertEquals(codeOf(full), "disk");
    assertEquals(log.frames(), ["1: 1 v1 0", "2: 2 v1 3"]);
    log.file.failAfter = Infinity;
    await log.commit([3], 4, 3);
    assertEquals(log.frames(), ["1: 1 v1 0", "2: 2 v1 3", "3: 3 v4 3"], `room ${room}`);
  }
});

Deno.test("WalWriter.publish() leaves readers that cannot write a mark they can use", async () => {
  const log = new Log(512);
  await log.commit([1], 1, 1);
  assertEquals(log.shm.marks[1], 0);
  await log.commit([1], 2, 1);
  assertEquals(log.shm.marks[1], 1, "the last state that they can be sure of");
});

Deno.test("WalWriter keeps the log's byte order", async () => {
  const log = new Log(512);
  await log.commit([1], 1, 1);
  // The same log as a machine of the other order would have written it.
  const { salt1, salt2 } = log.header;
  const { headerOf, walBytes } = await import("../../support/fixtures_wal.ts");
  const foreign = {
    pageSize: 512,
    salt1,
    salt2,
    bigEndian: true,
    frames: [{ pgno: 1, page: pageOf(512, 1, 1), commit: 1 }],
  };
  log.file.write(walBytes(foreign), 0);
  log.header = headerOf(foreign);
  log.shm.setHeader(log.header);
  await log.commit([1], 2, 1);
  assertEquals(log.walIndex.header()?.bigEndian, true);
  assertEquals(log.frames(), ["1: 1 v1 1", "2: 1 v2 1"]);
});

Deno.test("WalWriter's order of calls is checked", async () => {
  const log = new Log(512);
  assertThrows(() => log.writer.publish(1), /^BUG/);
  await log.begin();
  assertThrows(() => log.writer.finish(1), /^BUG/);
  assert(log.walIndex.header()?.mxFrame === 0);
});
