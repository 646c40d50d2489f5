import fc from "fast-check";
import { type Words, xorWords, ZERO_WORDS } from "../../../src/base/bytes.ts";
import { lockPage, txid } from "../../../src/base/types.ts";
import { BLOCK_PAGES, PageIndex } from "../../../src/pages/page_index.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

interface Entry {
  readonly txid: number;
  readonly hash: Words;
  readonly frame: number;
}

/** The same, told the plain way. */
class Model {
  count = 0;
  floor = 0;
  readonly pages = new Map<number, Entry>();

  get(pgno: number): Entry {
    return this.pages.get(pgno) ?? { txid: 0, hash: ZERO_WORDS, frame: 0 };
  }

  resize(count: number): void {
    for (const pgno of [...this.pages.keys()]) if (pgno > count) this.pages.delete(pgno);
    this.count = count;
  }

  hash(first = 1, last = this.count): Words {
    let hash = ZERO_WORDS;
    for (const [pgno, entry] of this.pages) {
      if (pgno >= first && pgno <= last) hash = xorWords(hash, entry.hash);
    }
    return hash;
  }
}

interface Real {
  readonly index: PageIndex;
}

/** Around the 1024 pages of a block, its neighbours, and far away. */
const place = fc.oneof(
  fc.integer({ min: 1, max: 20 }),
  fc.integer({ min: 1020, max: 1030 }),
  fc.integer({ min: 1, max: 5000 }),
);

abstract class Command implements fc.Command<Model, Real> {
  check(model: Readonly<Model>): boolean {
    return this.fits(model);
  }
  fits(_model: Readonly<Model>): boolean {
    return true;
  }
  run(model: Model, { index }: Real): void {
    this.change(model, index);
    assertEquals(index.pageCount, model.count);
    assertEquals(index.hash, model.hash());
  }
  abstract change(model: Model, index: PageIndex): void;
  abstract toString(): string;
}

class Resize extends Command {
  constructor(readonly count: number) {
    super();
  }
  change(model: Model, index: PageIndex): void {
    model.resize(this.count);
    index.resize(this.count);
  }
  override toString(): string {
    return `resize(${this.count})`;
  }
}

class RecordPage extends Command {
  constructor(
    readonly pgno: number,
    readonly hash: Words,
    readonly txid: number,
    readonly frame: number,
  ) {
    super();
  }
  override fits(model: Readonly<Model>): boolean {
    return this.pgno <= model.count;
  }
  change(model: Model, index: PageIndex): void {
    const { pgno, hash, txid } = this;
    const frame = this.frame === 0 ? model.get(pgno).frame : this.frame;
    model.pages.set(pgno, { hash, txid, frame });
    index.record(pgno, hash.high, hash.low, txid, this.frame);
    assertEquals(index.hashOf(pgno), hash);
  }
  override toString(): string {
    return `record(${this.pgno}, ${this.hash.high}:${this.hash.low}, ${this.txid}, ${this.frame})`;
  }
}

class ClearFrames extends Command {
  change(model: Model, index: PageIndex): void {
    for (const [pgno, entry] of model.pages) model.pages.set(pgno, { ...entry, frame: 0 });
    index.clearFrames();
  }
  override toString(): string {
    return "clearFrames()";
  }
}

class SetFloor extends Command {
  constructor(readonly floor: number) {
    super();
  }
  change(model: Model, index: PageIndex): void {
    for (let pgno = 1; pgno <= model.count; pgno++) {
      model.pages.set(pgno, { ...model.get(pgno), txid: this.floor });
    }
    index.setFloor(txid(this.floor));
    assertEquals(index.floor as number, this.floor);
  }
  override toString(): string {
    return `setFloor(${this.floor})`;
  }
}

class Since extends Command {
  constructor(readonly since: number) {
    super();
  }
  change(model: Model, index: PageIndex): void {
    const want = [...model.pages].filter(([, entry]) => entry.txid > this.since)
      .map(([pgno]) => pgno).sort((a, b) => a - b);
    assertEquals(index.since(this.since), want);
  }
  override toString(): string {
    return `since(${this.since})`;
  }
}

class LookAtAll extends Command {
  change(model: Model, index: PageIndex): void {
    for (let pgno = 1; pgno <= model.count + 3; pgno++) {
      const { txid, hash, frame } = model.get(pgno);
      assertEquals([index.txidOf(pgno), index.frameOf(pgno)], [txid, frame], `page ${pgno}`);
      assertEquals(index.hashOf(pgno), hash);
      const words = new Uint32Array([9, hash.high, hash.low, 9]);
      if (pgno <= model.count) assert(index.hasHash(pgno, words, 1));
      assert(!index.hasHash(pgno, words, 0) || hash.high === 9);
    }
    const blocks = Math.ceil(model.count / BLOCK_PAGES);
    const hashes = index.blockHashes();
    assertEquals(hashes.length, 2 * blocks);
    for (let block = 0; block <= blocks; block++) {
      const first = block * BLOCK_PAGES + 1;
      const last = Math.min(model.count, first + BLOCK_PAGES - 1);
      if (block < blocks) {
        assertEquals(
          { high: hashes[2 * block]!, low: hashes[2 * block + 1]! },
          model.hash(first, last),
        );
      }
      const want: number[] = [];
      for (let pgno = first; pgno <= last; pgno++) {
        want.push(model.get(pgno).hash.high, model.get(pgno).hash.low);
      }
      assertEquals([...index.pageHashes(block)], want);
    }
  }
  override toString(): string {
    return "look at all";
  }
}

Deno.test("PageIndex is what a map of pages would be, whatever is done with it", () => {
  const word = fc.nat({ max: 0xffffffff });
  const words = fc.record({ high: word, low: word }, { noNullPrototype: true });
  const id = fc.nat({ max: 40 });
  const commands = fc.commands([
    place.map((count) => new Resize(count)),
    fc.constant(new Resize(0)),
    fc.tuple(place, words, id, fc.nat({ max: 9 })).map((all) => new RecordPage(...all)),
    fc.tuple(place, words, id, fc.nat({ max: 9 })).map((all) => new RecordPage(...all)),
    fc.tuple(fc.integer({ min: 1, max: 20 }), words, id, fc.nat({ max: 9 }))
      .map((all) => new RecordPage(...all)),
    fc.constant(new ClearFrames()),
    id.map((floor) => new SetFloor(floor)),
    id.map((since) => new Since(since)),
    fc.constant(new LookAtAll()),
  ], { maxCommands: 40 });
  fc.assert(
    fc.property(commands, (all) => {
      const setup = () => {
        const model = new Model();
        const index = new PageIndex(4096);
        model.resize(30);
        index.resize(30);
        return { model, real: { index } };
      };
      fc.modelRun(setup, [...all, new Since(0), new LookAtAll()]);
    }),
    { numRuns: 150 },
  );
});

Deno.test("PageIndex leaves the lock page out of hash, txids and answers", () => {
  const pageSize = 65536; // its lock page is the lowest
  const lock = lockPage(pageSize);
  const index = new PageIndex(pageSize);
  assertEquals(index.lockPage, lock as number);
  index.resize(lock + 5);
  index.record(lock - 1, 1, 2, 3, 0);
  index.record(lock, 5, 6, 7, 8);
  index.record(lock + 1, 4, 8, 9, 0);
  assertEquals(index.hash, { high: 5, low: 10 });
  assertEquals(index.since(0), [lock - 1, lock + 1]);
  assertEquals([index.txidOf(lock), index.frameOf(lock)], [0, 0]);
  index.setFloor(txid(20));
  assert(!index.since(0).includes(lock));
  assertEquals(index.since(19).length, lock + 4);
  index.resize(lock);
  index.setFloor(txid(21));
  assertEquals(index.since(20).length, lock - 1, "also where it is the last page");
});

Deno.test("PageIndex.hash does not depend on the order, nor on what was there before", () => {
  const pages = fc.uniqueArray(fc.integer({ min: 1, max: 30 }), { minLength: 1 });
  fc.assert(fc.property(pages, fc.nat({ max: 30 }), (pgnos, size) => {
    const [a, b] = [new PageIndex(512), new PageIndex(512)];
    a.resize(30);
    b.resize(30);
    for (const pgno of pgnos) a.record(pgno, pgno * 7919, pgno * 104729, 1, 0);
    for (const pgno of [...pgnos].reverse()) b.record(pgno, 1, 2, 1, 3);
    for (const pgno of [...pgnos].reverse()) b.record(pgno, pgno * 7919, pgno * 104729, 2, 4);
    assertEquals(a.hash, b.hash);
    a.resize(size);
    b.resize(size);
    assertEquals(a.hash, b.hash);
    a.resize(0);
    assertEquals(a.hash, ZERO_WORDS);
  }));
});

Deno.test("PageIndex.record() is a bug outside of the database", () => {
  const index = new PageIndex(512);
  index.resize(3);
  for (const pgno of [0, 4, -1]) assertThrows(() => index.record(pgno, 1, 1, 1, 0), /^BUG/);
});
