import { txid } from "../../../src/base/types.ts";
import {
  type IndexedFile,
  LIMITS,
  loadIndex,
  type Salts,
  SavedIndex,
} from "../../../src/node/saved_index.ts";
import { PageIndex } from "../../../src/pages/page_index.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { type FakeEnv, fakeEnv, SeededRandom } from "../../support/fake_env.ts";
import { inFolder } from "../../support/fixtures_sqlite.ts";

const SIZE = 512;

/** A database whose pages have the hash (page, version), and its saved index. */
class World {
  readonly env: FakeEnv = fakeEnv();
  readonly index = new PageIndex(SIZE);
  readonly file = { device: 1, inode: 2, born: 3, pageSize: SIZE, ctime: 4n, changed: () => 0n };
  readonly saved: SavedIndex;
  #frame = 0;
  #log = 1;

  constructor(readonly folder: string, pages: number) {
    this.file.changed = () => this.file.ctime;
    this.saved = new SavedIndex(folder, this.file, this.index, this.env);
    this.index.resize(pages);
    for (let pgno = 1; pgno <= pages; pgno++) this.index.record(pgno, pgno, 1, 1, 0);
  }

  /** As a whole header of the wal-index is one. */
  get salts(): Salts {
    return Object.assign({ pageSize: 0, pages: 9 }, { salt1: this.#log, salt2: this.#log });
  }

  /** A frame of the log. */
  write(pgno: number, version: number): void {
    this.index.record(pgno, pgno, version, 2, ++this.#frame);
  }

  begin(): Promise<void> {
    return settled(this.env, this.saved.begin(this.salts));
  }

  /** The log is in the file, and begins anew. */
  restart(): void {
    this.#log++;
    this.saved.restarted(this.salts);
    this.index.clearFrames();
    this.#frame = 0;
  }

  /** What a start would find; undefined: it reads the file. */
  async load(file: Partial<IndexedFile> = {}, salts = this.salts): Promise<PageIndex | undefined> {
    const index = new PageIndex(file.pageSize ?? SIZE);
    const loading = loadIndex(
      this.folder,
      { ...this.file, ...file },
      salts,
      index,
      txid(7),
      this.env,
    );
    return await settled(this.env, loading) ? index : undefined;
  }
}

/** Lets work go on that gives up the event loop. */
async function settled<T>(env: FakeEnv, work: Promise<T>): Promise<T> {
  let done = false;
  const ended = work.finally(() => done = true);
  while (!done) await env.clock.advance(1);
  return await ended;
}

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name);
}

async function withWorld(
  pages: number,
  work: (world: World) => Promise<void>,
  limits: Partial<typeof LIMITS> = {},
): Promise<void> {
  const before = { ...LIMITS };
  Object.assign(LIMITS, { worth: 0 }, limits);
  try {
    await inFolder((folder) => work(new World(folder, pages)));
  } finally {
    Object.assign(LIMITS, before);
  }
}

function assertSame(found: PageIndex | undefined, index: PageIndex): void {
  assert(found !== undefined, "the index is believed");
  assertEquals(found.hash, index.hash);
  assertEquals(found.pageCount, index.pageCount);
  assertEquals(found.hashesFrom(1, index.pageCount), index.hashesFrom(1, index.pageCount));
  assertEquals(found.since(6).length, index.pageCount, "as of the txid that was given");
}

Deno.test("SavedIndex is what a start finds, whatever logs have changed since", () =>
  withWorld(300_000, async (world) => {
    await world.begin();
    assertSame(await world.load(), world.index);
    for (const [pgno, version] of [[7, 2], [300_000, 2], [8, 2]] as const) {
      world.write(pgno, version);
    }
    world.restart();
    world.write(7, 3);
    world.index.resize(299_000);
    world.index.resize(299_500);
    for (let pgno = 299_001; pgno <= 299_500; pgno++) world.write(pgno, 4);
    world.restart();
    assertSame(await world.load(), world.index);
  }));

Deno.test("a SavedIndex is not believed unless all of its proof holds", () =>
  withWorld(1000, async (world) => {
    await world.begin();
    assert(await world.load() !== undefined);
    const others: Partial<IndexedFile>[] = [
      { device: 9 },
      { inode: 9 },
      { born: 9 },
      { pageSize: 1024 },
      { changed: () => 9n },
    ];
    for (const other of others) assertEquals(await world.load(other), undefined);
    for (const salts of [{ salt1: 1, salt2: 9 }, { salt1: 9, salt2: 1 }]) {
      assertEquals(await world.load({}, salts), undefined);
    }
    world.write(5, 2);
    world.restart();
    assertEquals(await world.load({}, { salt1: 1, salt2: 1 }), undefined, "the log before");
    assertSame(await world.load(), world.index);
  }));

Deno.test("a SavedIndex with any byte changed, or cut short, is not believed", () =>
  withWorld(300, async (world) => {
    await world.begin();
    world.write(5, 2);
    world.write(6, 2);
    world.restart();
    const path = `${world.folder}/index`;
    const whole = await Deno.readFile(path);
    assertEquals(whole.length, 512 + 300 * 8 + 2 * 12);
    const json = new TextDecoder().decode(whole.subarray(0, 512)).trimEnd().length;
    const random = new SeededRandom(1);
    for (let nth = 0; nth < 400; nth++) {
      const at = nth < json ? nth : random.below(whole.length);
      if (at === 16 || (at >= json && at < 512)) continue; // spaces
      // A base entry that a later change replaces is not looked at.
      if (at >= 512 + 4 * 8 && at < 512 + 6 * 8) continue;
      const torn = whole.slice();
      torn[at]! ^= 1 + random.below(255);
      await Deno.writeFile(path, torn);
      const found = await world.load();
      assertEquals(found, undefined, `byte ${at}`);
    }
    for (const length of [0, 100, 511, 512, 700, whole.length - 1]) {
      await Deno.writeFile(path, whole.subarray(0, length));
      assertEquals(await world.load(), undefined, `${length} bytes`);
    }
  }));

Deno.test("a SavedIndex follows checkpoints that write to the file", () =>
  withWorld(100, async (world) => {
    await world.begin();
    world.file.ctime = 5n;
    assertEquals(await world.load(), undefined, "somebody wrote to it");
    world.saved.checkpointed();
    assertSame(await world.load(), world.index);
  }));

Deno.test("a SavedIndex stays as short as its database", () =>
  withWorld(1000, async (world) => {
    await world.begin();
    for (let round = 2; round < 100; round++) {
      for (let pgno = 1; pgno <= 50; pgno++) world.write(pgno, round);
      world.restart();
      await world.env.clock.advance(1);
      assertSame(await world.load(), world.index);
    }
    const { size } = await Deno.stat(`${world.folder}/index`);
    assert(size < 512 + 3 * 8000, `${size} bytes`);
  }, { changes: 0 }));

Deno.test("logs that begin anew while a SavedIndex is written are in it", () =>
  withWorld(1_000_000, async (world) => {
    const begun = world.saved.begin(world.salts);
    for (let round = 2; round < 5; round++) {
      for (const pgno of [1, 1_000_000, 500_000]) world.write(pgno, round);
      world.restart();
      await world.env.clock.advance(0);
    }
    await settled(world.env, begun);
    assertSame(await world.load(), world.index);
  }));

Deno.test("a SavedIndex that is discarded, or never written, is not there", () =>
  withWorld(100, async (world) => {
    await world.begin();
    world.saved.discard();
    assertEquals(await world.load(), undefined);
    world.saved.checkpointed();
    assertEquals(namesIn(world.folder), []);
    LIMITS.worth = 100 * SIZE + 1;
    world.restart();
    await world.env.clock.advance(1);
    assertEquals(namesIn(world.folder), [], "reading the file is as fast");
  }));

Deno.test("a SavedIndex that cannot be written disturbs nobody, and is tried again", () =>
  withWorld(100, async (world) => {
    const { folder, env } = world;
    await Deno.remove(folder);
    await world.begin();
    for (let nth = 0; nth < 10; nth++) world.restart();
    await env.clock.advance(1);
    assertEquals(env.lines.filter((line) => line.message.includes("not saved")).length, 1);
    await Deno.mkdir(folder);
    world.restart();
    await env.clock.advance(1);
    assertEquals(await world.load(), undefined, "not at once");
    await env.clock.advance(60_000);
    world.restart();
    await env.clock.advance(1);
    assertSame(await world.load(), world.index);
  }));
