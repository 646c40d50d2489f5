import fc from "fast-check";
import type { Bytes } from "../../../src/base/bytes.ts";
import { codeOf } from "../../../src/base/errors.ts";
import { type Epoch, lockPage, type Position, txid } from "../../../src/base/types.ts";
import { AnswerCache, answerRounds, snapshotAnswer } from "../../../src/changes/answer.ts";
import { decode } from "../../../src/changes/decoder.ts";
import type { Begin, Commit } from "../../../src/changes/records.ts";
import { assert, assertEquals, assertRejects } from "../../support/assert.ts";
import { FakeCopy, FakeDatabase } from "../../support/fake_database.ts";
import { SeededRandom } from "../../support/fake_env.ts";

/** So large that 65 pages (4 MiB and one) are more than a snapshot. */
const LARGE = 65536;

interface Applied {
  readonly begin: Begin;
  readonly commit: Commit;
  /** Page copies in the order they came. */
  readonly copies: readonly number[];
  readonly rounds: boolean;
}

/** Applies an answer to `copy`; `meanwhile` runs after each chunk has been taken. */
async function apply(
  answer: AsyncIterable<Bytes> | Iterable<Bytes>,
  copy: FakeCopy,
  meanwhile: () => void = () => {},
): Promise<Applied> {
  let begin: Begin | undefined;
  let commit: Commit | undefined;
  const copies: number[] = [];
  async function* chunks(): AsyncGenerator<Bytes> {
    for await (const chunk of answer) {
      yield chunk;
      meanwhile();
    }
  }
  for await (const record of decode(chunks())) {
    assert(commit === undefined, "nothing comes after the commit");
    if (record.type === "begin") await copy.begin(begin = record);
    else if (record.type === "pages") {
      for (let nth = 0; nth < record.count; nth++) copies.push(record.pgno(nth));
      copy.pages(record);
    } else if (record.type === "commit") await copy.commit(commit = record);
    else throw new Error(`a ${record.type} record in an answer`);
  }
  assert(begin !== undefined && commit !== undefined);
  return { begin, commit, copies, rounds: new Set(copies).size < copies.length };
}

/** The copy is exactly what the database was at the answer's position. */
function assertExact(copy: FakeCopy, database: FakeDatabase, { commit, copies }: Applied): void {
  const want = database.history.get(commit.txid);
  assertEquals(copy.versions, want);
  assertEquals(commit.pageCount, want?.length);
  assertEquals(copy.index.hash, commit.hash);
  assertEquals(commit.sent, copies.length);
  assertEquals(copy.position, { epoch: database.epoch, txid: commit.txid });
}

/** Commits of all kinds; the seed says which. */
function someCommit(database: FakeDatabase, random: SeededRandom): void {
  const size = database.versions.length;
  const kind = random.below(10);
  const next = kind === 0
    ? 1 + random.below(size) // a shrink
    : kind <= 2
    ? size + random.below(40)
    : size;
  const changed = random.below(kind === 3 ? 100 : 6);
  const pgnos = Array.from({ length: changed }, () => 1 + random.below(next));
  database.commit([1, ...pgnos], next);
}

Deno.test("answerRounds() gives the exact state at its position, whatever happens meanwhile", async () => {
  let several = 0;
  const options = fc.record({
    seed: fc.integer(),
    pageCount: fc.integer({ min: 1, max: 150 }),
    before: fc.nat({ max: 4 }),
    busy: fc.constantFrom(0, 0.2, 0.7, 1),
    late: fc.boolean(),
    fromNothing: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(options, async ({ seed, pageCount, before, busy, late, fromNothing }) => {
      const random = new SeededRandom(seed);
      const database = new FakeDatabase(LARGE, pageCount);
      const copy = new FakeCopy(LARGE);
      const from = fromNothing ? txid(0) : database.position.txid;
      if (!fromNothing) copy.fill(database.versions, database.position);
      for (let nth = 0; nth < before; nth++) someCommit(database, random);
      database.late = late;
      let commits = 25; // then the writer rests, so that the rounds come to an end
      const meanwhile = (): void => {
        while (commits > 0 && random.fraction() < busy) {
          commits--;
          someCommit(database, random);
          if (random.fraction() < 0.5) break;
        }
      };
      const applied = await apply(answerRounds(database, from), copy, meanwhile);
      database.refresh();
      assertExact(copy, database, applied);
      assertEquals(applied.begin.from, from);
      if (applied.rounds) several++;
    }),
    { numRuns: 60 },
  );
  assert(several > 0, `${several} answers took several rounds`);
});

Deno.test("answerRounds() names the state it sent, not one that is committed while it leaves", async () => {
  const database = new FakeDatabase(LARGE, 20); // one snapshot of several records
  const copy = new FakeCopy(LARGE);
  let taken = 0;
  const applied = await apply(answerRounds(database, txid(0)), copy, () => {
    if (++taken > 1) database.commit([7], 30); // once the snapshot has been read
  });
  assertEquals(applied.commit.txid as number, 1);
  assertExact(copy, database, applied);
});

Deno.test("answerRounds() sends what changed meanwhile again, and not all of it", async () => {
  const database = new FakeDatabase(LARGE, 100);
  const copy = new FakeCopy(LARGE);
  let nth = 0;
  const applied = await apply(answerRounds(database, txid(0)), copy, () => {
    if (++nth === 20) database.commit([2, 90], 100);
  });
  assertEquals(applied.copies.slice(100), [2, 90]);
  assertEquals(applied.commit.txid as number, 2);
  assertEquals([applied.begin.pages, applied.begin.pageCount], [100, 100]);
  assertExact(copy, database, applied);
});

Deno.test("answerRounds() counts only what it sent when the database shrinks meanwhile", async () => {
  for (const size of [1, 2, 37, 99]) {
    const database = new FakeDatabase(LARGE, 100);
    const copy = new FakeCopy(LARGE);
    let nth = 0;
    const applied = await apply(answerRounds(database, txid(0)), copy, () => {
      if (++nth === 3) database.commit([1], size);
    });
    assertExact(copy, database, applied);
  }
});

Deno.test("answerRounds() sends wanted pages once, besides those that are newer", async (t) => {
  const cases: [name: string, wanted: number[], want: number[]][] = [
    ["none", [], [3]],
    ["an old page", [2, 5], [2, 3, 5]],
    ["one that is newer anyway", [3], [3]],
    ["one that does not exist", [9, 4711], [3]],
  ];
  for (const [name, wanted, want] of cases) {
    await t.step(name, async () => {
      const database = new FakeDatabase(LARGE, 8);
      database.commit([3], 8);
      const copy = new FakeCopy(LARGE);
      copy.fill(database.history.get(1)!, undefined);
      const applied = await apply(answerRounds(database, txid(1), wanted), copy);
      assertEquals(applied.copies, want);
      assertEquals(applied.begin.pages, want.length);
      assertExact(copy, database, applied);
    });
  }
  await t.step("more than a snapshot, changed meanwhile", async () => {
    const database = new FakeDatabase(LARGE, 90);
    const copy = new FakeCopy(LARGE);
    copy.fill(database.versions.map(() => 99), undefined);
    let nth = 0;
    const wanted = database.versions.map((_, slot) => slot + 1);
    const applied = await apply(answerRounds(database, txid(1), wanted), copy, () => {
      if (++nth === 4) database.commit([80], 85);
      if (nth === 6) database.commit([2], 90);
    });
    assert(applied.rounds);
    assertExact(copy, database, applied);
    assert(applied.copies.length < 100, "what is wanted is sent once");
  });
  await t.step("never the lock page", async () => {
    const database = new FakeDatabase(LARGE, 3);
    const lock = lockPage(LARGE);
    database.index.resize(lock + 1);
    const records: Bytes[] = [];
    for await (const record of answerRounds(database, txid(1), [lock])) records.push(record);
    assertEquals(records.length, 2, "begin and commit");
  });
});

Deno.test("answerRounds() reads a page again when it has moved, and gives up a page that stays wrong", async () => {
  for (const pageCount of [20, 100]) { // a snapshot, and rounds
    const database = new FakeDatabase(LARGE, pageCount);
    database.late = true;
    database.commit([5, 6], pageCount); // in the file, not in the index
    const copy = new FakeCopy(LARGE);
    let looks = 0;
    database.onRefresh = () => looks++;
    const applied = await apply(answerRounds(database, txid(0)), copy);
    assertEquals(applied.commit.txid as number, 2);
    assertExact(copy, database, applied);

    database.spoil(5);
    looks = 0;
    const error = await assertRejects(
      () => apply(answerRounds(database, txid(0)), new FakeCopy(LARGE)),
      /Page 5 is not what the index says/,
    );
    assertEquals(codeOf(error), "busy");
    assertEquals(database.distrusted, [5]);
    assertEquals(looks, 6, "once at the start, then five tries");
  }
});

Deno.test("answerRounds() comes to an end though the writer never rests", async () => {
  const database = new FakeDatabase(LARGE, 120);
  const copy = new FakeCopy(LARGE);
  // Each record that leaves sees more pages changed than a snapshot holds at first.
  const all = Array.from({ length: 80 }, (_, nth) => nth + 1);
  let chunks = 0;
  const applied = await apply(answerRounds(database, txid(0)), copy, () => {
    if (++chunks > 500) throw new Error("it would never end");
    database.commit(all, 120);
  });
  assertExact(copy, database, applied);
});

Deno.test("snapshotAnswer() is all that is newer, as of one position", async () => {
  const database = new FakeDatabase(LARGE, 30);
  const copy = new FakeCopy(LARGE);
  copy.fill(database.versions, database.position);
  database.commit([4, 5], 33);
  database.commit([9], 31);
  const answer = snapshotAnswer(database, txid(1));
  assertEquals(answer?.to, { epoch: database.epoch, txid: txid(3) });
  database.commit([1, 2, 3], 5); // later commits change nothing in it
  const applied = await apply(answer!.records, copy);
  assertEquals(applied.copies, [4, 5, 9, 31]);
  assertExact(copy, database, applied);
});

/** Page 3 is newer in the file than the index knows; the copy has what was before both commits. */
function movedPage(): { database: FakeDatabase; copy: FakeCopy } {
  const database = new FakeDatabase(512, 10);
  const copy = new FakeCopy(512);
  copy.fill(database.versions, database.position);
  database.commit([3], 10);
  database.late = true;
  database.commit([3, 4], 12);
  return { database, copy };
}

Deno.test("snapshotAnswer() looks again when a page has moved", async () => {
  const { database, copy } = movedPage();
  const answer = snapshotAnswer(database, txid(1));
  const applied = await apply(answer!.records, copy);
  assertEquals([applied.commit.txid as number, applied.begin.to as number], [3, 3]);
  assertExact(copy, database, applied);
});

Deno.test("a writer in the middle of a commit says nothing about the file", async () => {
  const { database, copy } = movedPage();
  database.unreadable = 500;
  assertExact(copy, database, await apply(snapshotAnswer(database, txid(1))!.records, copy));
  assertEquals(database.distrusted, []);

  const stuck = movedPage().database;
  stuck.unreadable = 5000;
  const ask = (): Promise<unknown> => Promise.try(() => snapshotAnswer(stuck, txid(1)));
  assertEquals(codeOf(await assertRejects(ask)), "busy");
  assertEquals(stuck.distrusted, []);
});

Deno.test("snapshotAnswer() is undefined when it is more than 4 MiB", () => {
  assert(snapshotAnswer(new FakeDatabase(LARGE, 64), txid(0)) !== undefined);
  assertEquals(snapshotAnswer(new FakeDatabase(LARGE, 65), txid(0)), undefined);
});

Deno.test("AnswerCache gives only the newest answer from the same place", () => {
  const cache = new AnswerCache();
  const epoch = "00000000000000e1" as Epoch;
  const at = (id: number, of = epoch): Position => ({ epoch: of, txid: txid(id) });
  const answer = { records: [], bytes: 0, to: at(5) };
  assertEquals(cache.get(at(3), at(5)), undefined);
  cache.put(at(3), answer);
  assertEquals(cache.get(at(3), at(5)), answer);
  const other = "00000000000000e2" as Epoch;
  assertEquals(cache.get(at(2), at(5)), undefined, "another start");
  assertEquals(cache.get(at(3), at(6)), undefined, "there is something newer");
  assertEquals(cache.get(at(3, other), at(5)), undefined, "another history");
  assertEquals(cache.get(at(3), at(5, other)), undefined, "another history now");
});
