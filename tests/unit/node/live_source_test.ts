import fc from "fast-check";
import type { Bytes } from "../../../src/base/bytes.ts";
import { codeOf, LiveError } from "../../../src/base/errors.ts";
import { type Epoch, type Position, txid } from "../../../src/base/types.ts";
import { decode } from "../../../src/changes/decoder.ts";
import type { Record } from "../../../src/changes/records.ts";
import { findDifference } from "../../../src/changes/repair.ts";
import type { ChangesRequest } from "../../../src/changes/source.ts";
import { LiveSource } from "../../../src/node/live_source.ts";
import { assert, assertEquals, assertRejects } from "../../support/assert.ts";
import { FakeCopy, FakeDatabase } from "../../support/fake_database.ts";
import { fakeEnv, SeededRandom, settle } from "../../support/fake_env.ts";
import { FakeFollower } from "../../support/fake_follower.ts";

const SIZE = 512;
const OTHER = "00000000000000e2" as Epoch;

function setup(pageCount = 10, pageSize = SIZE) {
  const env = fakeEnv();
  const database = new FakeDatabase(pageSize, pageCount);
  const source = new LiveSource(database, env);
  const commit = (pgnos: readonly number[], size = database.versions.length): void => {
    database.commit(pgnos, size);
    source.notify();
  };
  const follower = (copy = new FakeCopy(pageSize), request?: ChangesRequest): FakeFollower =>
    new FakeFollower(source, copy, env, request);
  return { env, database, source, commit, follower };
}

/** Takes records one by one; types and txids, as text. */
class Asker {
  readonly stop = new AbortController();
  readonly #records: AsyncGenerator<Record>;
  readonly chunks: Bytes[] = [];

  constructor(source: LiveSource, request: ChangesRequest) {
    this.#records = decode(this.#noted(source.changes(request, this.stop.signal)));
  }

  async *#noted(chunks: AsyncIterable<Bytes>): AsyncGenerator<Bytes> {
    for await (const chunk of chunks) {
      this.chunks.push(chunk);
      yield chunk;
    }
  }

  async next(): Promise<string> {
    const { value, done } = await this.#records.next();
    if (done === true) return "end";
    if (value.type === "pages") {
      return `pages ${Array.from({ length: value.count }, (_, nth) => value.pgno(nth)).join(" ")}`;
    }
    if (value.type === "begin") return `begin ${value.from} ${value.to}`;
    return "txid" in value ? `${value.type} ${value.txid}` : value.type;
  }

  async take(count: number): Promise<string[]> {
    const told: string[] = [];
    for (let nth = 0; nth < count; nth++) told.push(await this.next());
    return told;
  }

  /** Ends it by leaving, as a client that closes. */
  async leave(): Promise<void> {
    await this.#records.return(undefined);
  }
}

Deno.test("a stream waits for a writer that is in the middle of a commit", async () => {
  const { env, database, source, commit, follower } = setup();
  const one = follower();
  await settle();
  commit([3]);
  database.late = true;
  commit([3]); // the file has it, the index will
  database.unreadable = 3500; // in three looks of a millisecond each
  source.notify();
  await env.clock.advance(2);
  assertEquals(one.copy.position?.txid as number, 1);
  await env.clock.advance(5);
  assertEquals(one.copy.position?.txid as number, 3);
  assertEquals(database.distrusted, []);
  source.end(new LiveError("not_ready", "over"));
  await settle();
});

Deno.test("changes() gives a first copy, then each commit", async () => {
  const { env, database, source, commit } = setup(3);
  const asker = new Asker(source, {});
  assertEquals(await asker.take(4), ["hello 1", "begin 0 1", "pages 1 2 3", "commit 1"]);
  const next = asker.take(3);
  await settle();
  commit([2], 3);
  assertEquals(await next, ["begin 1 2", "pages 2", "commit 2"]);
  asker.stop.abort();
  await asker.leave();
  assertEquals([env.clock.waiting, database.counters.answersEncoded], [0, 2]);
});

Deno.test("changes() gives what was committed while it was not asked as one transaction", async () => {
  const { source, commit } = setup(5);
  const asker = new Asker(source, { since: { epoch: "00000000000000e1" as Epoch, txid: txid(1) } });
  assertEquals(await asker.next(), "hello 1");
  for (const pgno of [2, 3, 2, 4]) commit([pgno]);
  assertEquals(await asker.take(3), ["begin 1 5", "pages 2 3 4", "commit 5"]);
  await asker.leave();
});

Deno.test("changes() sends a heartbeat each second that nothing happens", async () => {
  const { env, database, source, commit } = setup();
  const asker = new Asker(source, { since: database.position });
  assertEquals(await asker.next(), "hello 1");
  let heard = 0;
  const beats = asker.take(3).then((told) => {
    heard = told.length;
    return told;
  });
  await env.clock.advance(2999);
  assertEquals(heard, 0);
  await env.clock.advance(1);
  assertEquals(await beats, ["heartbeat 1", "heartbeat 1", "heartbeat 1"]);
  const next = asker.take(4);
  await env.clock.advance(999);
  commit([1]);
  await env.clock.advance(999);
  await env.clock.advance(1);
  assertEquals(await next, ["begin 1 2", "pages 1", "commit 2", "heartbeat 2"]);
  await asker.leave();
});

Deno.test("changes() sends few heartbeats to who is told beside the stream, and more once it is not", async () => {
  const { env, database, source } = setup();
  let toldAt = -Infinity;
  const beats: number[] = [];
  const stop = new AbortController();
  const request = { since: database.position, toldAt: () => toldAt };
  const work = (async () => {
    for await (const { type } of decode(source.changes(request, stop.signal))) {
      if (type === "heartbeat") beats.push(env.clock.monotonic());
    }
  })();
  await env.clock.advance(1000);
  assertEquals(beats, [1000], "nobody told it");
  for (let second = 1; second <= 58; second++) {
    toldAt = env.clock.monotonic();
    await env.clock.advance(1000);
  }
  assertEquals(beats, [1000, 41_000], "that the connection is not forgotten on the way");
  await env.clock.advance(1000); // told for the last time at 58 s
  assertEquals(beats.slice(2), [60_000]);
  await env.clock.advance(2000);
  assertEquals(beats.slice(3), [61_000, 62_000]);
  stop.abort();
  await work;
});

Deno.test("changes() leaves nobody without a word for 3 s, however it is told beside the stream", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 10, max: 2500 }), { minLength: 5, maxLength: 20 }),
      async (pauses) => {
        const { env, database, source } = setup();
        const words = [0];
        let toldAt = -Infinity;
        const stop = new AbortController();
        const request = { since: database.position, toldAt: () => toldAt };
        const work = (async () => {
          for await (const _ of source.changes(request, stop.signal)) {
            words.push(env.clock.monotonic());
          }
        })();
        for (const ms of [...pauses, 2900]) {
          await env.clock.advance(ms);
          words.push(toldAt = env.clock.monotonic());
        }
        stop.abort();
        await work;
        const gaps = words.slice(1).map((at, nth) => at - words[nth]!);
        assert(Math.max(...gaps) < 2600, `${gaps}`);
      },
    ),
  );
});

Deno.test("beat() tells what a heartbeat tells, until the source has ended", () => {
  const { database, source, commit } = setup();
  commit([2]);
  const { hash } = database.index;
  assertEquals(source.beat(), { epoch: database.epoch, txid: txid(2), hash, staleMs: 0 });
  source.end(new LiveError("not_ready", "It is over"));
  assertEquals(source.beat(), undefined);
});

Deno.test("changes() says position_gone when what the asker has is not of this history", async (t) => {
  const { database, source } = setup();
  for (const pgno of [1, 2, 3, 4]) database.commit([pgno], 10); // now at txid 5
  database.index.floor = txid(3);
  const at = (id: number, epoch = database.epoch): Position => ({ epoch, txid: txid(id) });
  const wrong = { high: 1, low: 1 };
  const right = database.index.hash;
  const cases: [name: string, request: ChangesRequest, want: RegExp | undefined][] = [
    ["nothing", {}, undefined],
    ["the newest", { since: at(5), hash: right }, undefined],
    ["the newest, no hash", { since: at(5) }, undefined],
    ["the oldest that is known", { since: at(3), hash: wrong }, undefined],
    ["older than what is known", { since: at(2) }, /is not known any more/],
    ["ahead", { since: at(6) }, /is not of this history/],
    ["another epoch", { since: at(5, OTHER), hash: right }, /is not of this history/],
    ["another content at this txid", { since: at(5), hash: wrong }, /claim to be at .* and differ/],
    ["a repair", { since: at(5), hash: wrong, wanted: [1] }, undefined],
  ];
  for (const [name, request, want] of cases) {
    await t.step(name, async () => {
      const asker = new Asker(source, request);
      if (want === undefined) assertEquals(await asker.next(), "hello 5");
      else assertEquals(codeOf(await assertRejects(() => asker.next(), want)), "position_gone");
      await asker.leave();
    });
  }
});

Deno.test("changes() looks at the log before it judges a position", async () => {
  const { database, source } = setup();
  database.late = true;
  database.commit([3], 10);
  const asker = new Asker(source, { since: { epoch: database.epoch, txid: txid(2) } });
  assertEquals(await asker.next(), "hello 2");
  await asker.leave();
});

Deno.test("changes() of a replica lets one that is ahead of it wait", async () => {
  const { env, database, source, commit } = setup();
  database.role = "replica";
  const asker = new Asker(source, { since: { epoch: database.epoch, txid: txid(3) } });
  assertEquals(await asker.next(), "hello 1");
  const next = asker.take(4);
  await env.clock.advance(1000);
  commit([1]);
  commit([2]);
  await settle();
  commit([4]);
  assertEquals(await next, ["heartbeat 1", "begin 3 4", "pages 4", "commit 4"]);
  await asker.leave();
});

Deno.test("changes() ends with position_gone when the history changes under it", async () => {
  const { database, source } = setup();
  const asker = new Asker(source, { since: database.position });
  await asker.next();
  const next = asker.next();
  await settle();
  database.epoch = OTHER;
  source.notify();
  assertEquals(codeOf(await assertRejects(() => next, /is not of this history/)), "position_gone");
});

Deno.test("changes() sends no heartbeat of a history that hello did not tell", async () => {
  for (const how of ["changed", "ended"]) {
    const { env, database, source } = setup();
    const asker = new Asker(source, { since: database.position });
    await asker.next();
    const next = asker.next().catch(codeOf);
    await env.clock.advance(900);
    database.epoch = OTHER; // and the heartbeat is due before anybody is woken
    if (how === "changed") await env.clock.advance(1200);
    else {
      source.end(new LiveError("position_gone", "A new history has begun"));
      await env.clock.advance(1200);
    }
    assertEquals(await next, "position_gone", how);
  }
});

Deno.test("end() ends streams that wait and those that come", async () => {
  const { env, database, source } = setup();
  const asker = new Asker(source, { since: database.position });
  await asker.next();
  const next = asker.next();
  await settle();
  source.end(new LiveError("not_ready", "it is opened again"));
  assertEquals(codeOf(await assertRejects(() => next, /opened again/)), "not_ready");
  await assertRejects(() => new Asker(source, {}).next(), /opened again/);
  await assertRejects(async () => {
    for await (const _ of source.hashes({}, new AbortController().signal));
  }, /opened again/);
  assertEquals(env.clock.waiting, 0);
});

Deno.test("changes() ends without an error when its signal aborts", async () => {
  const { env, database, source } = setup();
  const asker = new Asker(source, { since: database.position });
  await asker.next();
  const rest = (async () => {
    while (await asker.next() !== "end");
  })();
  await settle();
  asker.stop.abort();
  await rest;
  assertEquals(env.clock.waiting, 0);
});

Deno.test("changes() has one listener and one timer, however often it waits, and none at its end", async () => {
  const { env, database, source, commit } = setup();
  const { signal } = new AbortController();
  let listeners = 0;
  const counted = new Proxy(signal, {
    get(target, name) {
      if (name === "addEventListener") listeners++;
      if (name === "removeEventListener") listeners--;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const chunks = source.changes({ since: database.position }, counted);
  for (let nth = 0; nth < 10; nth++) {
    const next = chunks.next();
    await env.clock.advance(500);
    if (nth % 3 === 0) commit([1]);
    await env.clock.advance(500);
    assertEquals((await next).done, false);
    assert(listeners <= 1 && env.clock.waiting <= 1, `${listeners}, ${env.clock.waiting}`);
  }
  await chunks.return(undefined);
  assertEquals([listeners, env.clock.waiting], [0, 0]);
});

Deno.test("changes() shares one encoded answer among all that ask from the same place", async () => {
  const { database, source, commit } = setup();
  const askers = [1, 2, 3].map(() => new Asker(source, { since: database.position }));
  for (const asker of askers) await asker.next();
  commit([3, 4]);
  const told = await Promise.all(askers.map((asker) => asker.take(3)));
  assertEquals(told, [1, 2, 3].map(() => ["begin 1 2", "pages 3 4", "commit 2"]));
  const { answersEncoded, answersShared } = database.counters;
  assertEquals([answersEncoded, answersShared], [1, 2]);
  const [, first] = askers[0]!.chunks;
  for (const { chunks } of askers) assert(chunks[1] === first, "the very same bytes");
  assert(first !== undefined);
  for (const asker of askers) await asker.leave();
});

Deno.test("changes() never writes into a buffer again that it has yielded, and frees what is not shared", async () => {
  const { database, source, commit } = setup(20, 65536); // several records
  const asker = new Asker(source, {});
  const kept: Bytes[] = [];
  for (let nth = 0; nth < 30; nth++) {
    await asker.next();
    while (kept.length < asker.chunks.length) kept.push(asker.chunks[kept.length]!.slice());
    commit([nth % 20 + 1]);
  }
  const given = asker.chunks.filter(({ length }) => length === 0).length;
  assertEquals(given, 5, "20 pages, 4 in a record, leave one by one");
  for (const [nth, chunk] of asker.chunks.entries()) {
    assert(chunk.length === 0 || String(chunk) === String(kept[nth]), `chunk ${nth}`);
  }
  assert(database.counters.answersEncoded > 2);
  await asker.leave();
});

Deno.test("changes() answers wanted pages at once, also when none is wanted", async () => {
  const { database, source, commit } = setup();
  const repair = new Asker(source, { since: database.position, wanted: [1, 4, 99] });
  assertEquals(await repair.take(4), ["hello 1", "begin 1 1", "pages 1 4", "commit 1"]);
  // A first copy that was interrupted when it had everything: only the commit is missing.
  const resumed = new Asker(source, { since: database.position, wanted: [] });
  assertEquals(await resumed.take(3), ["hello 1", "begin 1 1", "commit 1"]);
  const next = repair.take(3);
  await settle();
  commit([5]);
  assertEquals(await next, ["begin 1 2", "pages 5", "commit 2"], "only in the first answer");
  await repair.leave();
  await resumed.leave();
});

Deno.test("changes() makes one answer of the commits within the delay", async () => {
  const { env, database, source, commit } = setup();
  database.delayMs = 50;
  const asker = new Asker(source, { since: database.position });
  await asker.next();
  let told: string[] = [];
  const next = asker.take(3).then((all) => told = all);
  await settle();
  for (const pgno of [1, 2, 3]) {
    commit([pgno]);
    await env.clock.advance(10);
  }
  assertEquals(told, []);
  await env.clock.advance(20);
  assertEquals(await next, ["begin 1 4", "pages 1 2 3", "commit 4"]);
  await asker.leave();
});

Deno.test("changes() tells when an answer has been taken whole", async () => {
  const { database, source, commit } = setup();
  const taken: number[] = [];
  const asker = new Asker(source, {
    since: database.position,
    taken: (position) => taken.push(position.txid),
  });
  await asker.next();
  commit([1]);
  await asker.take(3);
  assertEquals(taken, [], "its last byte is not taken until more is asked for");
  const next = asker.next();
  await settle();
  assertEquals(taken, [2]);
  commit([1]);
  assertEquals(await next, "begin 2 3");
  await asker.leave();
});

Deno.test("hashes() tells hello, then the blocks, or the pages of those asked for", async () => {
  const { database, source } = setup(1500);
  const signal = new AbortController().signal;
  const records: Record[] = [];
  for await (const record of decode(source.hashes({}, signal))) records.push(record);
  assertEquals(records.map(({ type }) => type), ["hello", "hashes"]);
  const [, blocks] = records;
  assert(blocks?.type === "hashes" && blocks.level === "blocks");
  assertEquals([blocks.first, blocks.pageCount, blocks.words.length], [0, 1500, 4]);
  assertEquals(blocks.words, database.index.blockHashes());
  const pages: Record[] = [];
  for await (const record of decode(source.hashes({ blocks: [1, 0, 7] }, signal))) {
    pages.push(record);
  }
  assertEquals(
    pages.slice(1).map((record) =>
      record.type === "hashes" ? [record.level, record.first, record.words.length] : record.type
    ),
    [["pages", 1, 2 * 476], ["pages", 0, 2 * 1024], ["pages", 7, 0]],
  );
  const hello: Record[] = [];
  for await (const record of decode(source.hashes({ blocks: [] }, signal))) hello.push(record);
  assertEquals(hello.map(({ type }) => type), ["hello"]);
});

// replica catches up in many small answers, and drops the connection after 3 s.
Deno.test({
  name: "changes() sends a heartbeat each second though it is woken for nothing",
  async fn() {
    const { env, database, source, commit } = setup();
    database.role = "replica";
    const asker = new Asker(source, { since: { epoch: database.epoch, txid: txid(99) } });
    await asker.next();
    let heard = 0;
    const beats = asker.take(2).then((told) => heard = told.length);
    for (let nth = 0; nth < 30; nth++) {
      await env.clock.advance(100);
      commit([1]);
    }
    assertEquals(heard, 2);
    await beats;
    await asker.leave();
  },
});

// ---- Joined with a follower ----

Deno.test("a follower is equal after each commit, and knows what happened in order", async () => {
  const { database, commit, follower } = setup(5);
  const one = follower();
  await settle();
  commit([2], 7);
  await settle();
  commit([1], 3);
  await settle();
  assertEquals(one.copy.versions, database.versions);
  assertEquals(one.copy.index.hash, database.index.hash);
  assertEquals(one.events, [
    "hello 1",
    ...[1, 2, 3].flatMap((id) => [`begin ${id}`, `received ${id}`, `applied ${id}`]),
  ]);
  assertEquals(await one.stop(), undefined);
});

Deno.test("followers are exact at every position, whatever is committed, lost or repaired", async () => {
  const options = fc.record({
    seed: fc.integer(),
    pageSize: fc.constantFrom(512, 65536),
    role: fc.constantFrom("first copy" as const, "repair" as const),
    late: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(options, async ({ seed, pageSize, role, late }) => {
      const random = new SeededRandom(seed);
      const { env, database, source, follower } = setup(1 + random.below(100), pageSize);
      database.late = late;
      const copy = new FakeCopy(pageSize);
      let request: ChangesRequest | undefined;
      if (role === "repair") {
        const size = 1 + random.below(110);
        const versions = Array.from(
          { length: size },
          (_, slot) => random.below(5) === 0 ? 77 : database.versions[slot] ?? 78,
        );
        copy.fill(versions, undefined);
        const { since, wanted } = await findDifference(
          copy.index,
          source,
          new AbortController().signal,
          () => {},
        );
        request = { since, wanted };
      }
      let one: FakeFollower | undefined;
      for (let step = 0; step < 12; step++) {
        const size = database.versions.length;
        const next = random.below(4) === 0 ? 1 + random.below(130) : size;
        const count = random.below(3) === 0 ? 100 : 3;
        database.commit([1, ...Array.from({ length: count }, () => 1 + random.below(next))], next);
        if (late && random.below(2) === 0) database.refresh();
        source.notify();
        one ??= follower(copy, request);
        if (random.below(3) > 0) await settle();
        if (one.result !== undefined) throw one.result.error;
        if (copy.position !== undefined) {
          assertEquals(copy.versions, database.history.get(copy.position.txid));
        }
        if (random.below(5) === 0) { // the connection is lost
          await one.stop();
          one = undefined;
          if (copy.position !== undefined) request = undefined;
        }
      }
      database.refresh();
      one ??= follower(copy, request);
      await env.clock.advance(1000);
      assertEquals(one.result, undefined);
      assertEquals(copy.versions, database.versions);
      assertEquals(copy.position, database.position);
      await one.stop();
      assertEquals(env.clock.waiting, 0);
    }),
    { numRuns: 25 },
  );
});

Deno.test("a cascade of followers is equal at its end", async () => {
  const { env, database, commit, follower } = setup(8);
  const middle = follower();
  await settle();
  // The copy serves on, from its own index: the same source code, another database.
  const second = new FakeDatabase(SIZE, 8);
  second.role = "replica";
  const secondSource = new LiveSource(second, env);
  const last = new FakeFollower(secondSource, new FakeCopy(SIZE), env);
  for (const pgnos of [[1], [2, 3], [8]]) {
    commit(pgnos);
    second.commit(pgnos, 8);
    secondSource.notify();
    await settle();
  }
  assertEquals(last.copy.versions, database.versions);
  assertEquals(last.copy.index.hash, middle.copy.index.hash);
  await middle.stop();
  await last.stop();
});
