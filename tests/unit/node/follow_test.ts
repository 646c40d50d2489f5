import type { Bytes } from "../../../src/base/bytes.ts";
import { codeOf, LiveError } from "../../../src/base/errors.ts";
import { type DatabaseId, type Epoch, txid } from "../../../src/base/types.ts";
import {
  type Beat,
  encodeBegin,
  encodeCommit,
  encodeError,
  encodeHashes,
  encodeHeartbeat,
  encodeHello,
} from "../../../src/changes/records.ts";
import type { ChangeSource } from "../../../src/changes/source.ts";
import { SILENCE_MS } from "../../../src/node/follow.ts";
import { LiveSource } from "../../../src/node/live_source.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../../support/assert.ts";
import { FakeCopy, FakeDatabase } from "../../support/fake_database.ts";
import { type FakeEnv, fakeEnv, settle } from "../../support/fake_env.ts";
import { FakeFollower, sourceOf, untilAborted } from "../../support/fake_follower.ts";
import { encodePages } from "../../support/fixtures_records.ts";

const SIZE = 512;
const EPOCH = "00000000000000e1" as Epoch;
const HASH = { high: 0, low: 0 };

const HELLO = encodeHello({
  id: "00000000000000d1" as DatabaseId,
  pageSize: SIZE,
  pageCount: 0,
  epoch: EPOCH,
  txid: txid(1),
  hash: HASH,
  ancestors: [],
});
const beatAfter = (sent: number): Bytes =>
  encodeHeartbeat({ epoch: EPOCH, txid: txid(1), hash: HASH, staleMs: 0, sent: txid(sent) });
const BEAT = beatAfter(0);
const BEGIN = encodeBegin({ from: txid(0), to: txid(2), pages: 0, pageCount: 0 });
const COMMIT = encodeCommit({ epoch: EPOCH, txid: txid(2), hash: HASH, pageCount: 1, sent: 0 });
/** An answer to somebody who is at 7, and one that ends before it begins. */
const LATER = encodeBegin({ from: txid(7), to: txid(8), pages: 0, pageCount: 0 });
const FROM_2 = encodeBegin({ from: txid(2), to: txid(3), pages: 0, pageCount: 0 });
const BACK = encodeCommit({ epoch: EPOCH, txid: txid(1), hash: HASH, pageCount: 1, sent: 0 });

/** A source that sends these, then stays silent until it is given up. */
function silentAfter(...chunks: Bytes[]): ChangeSource {
  return sourceOf(async function* (_request, signal) {
    yield* chunks;
    await untilAborted(signal);
  });
}

const follow = (source: ChangeSource, env: FakeEnv, copy = new FakeCopy(SIZE)): FakeFollower =>
  new FakeFollower(source, copy, env, {});

Deno.test("followOnce() gives up an upstream that is silent for more than 3 s", async (t) => {
  const cases: [name: string, sent: Bytes[]][] = [
    ["from the start", []],
    ["after its hello", [HELLO]],
    ["in the middle of an answer", [HELLO, BEGIN]],
    ["in the middle of a record", [HELLO, BEAT.slice(0, 20)]],
  ];
  for (const [name, sent] of cases) {
    await t.step(name, async () => {
      const env = fakeEnv();
      await env.clock.advance(300); // looks are at whole seconds
      const one = follow(silentAfter(...sent), env);
      await env.clock.advance(SILENCE_MS);
      assertEquals(one.result, undefined);
      await env.clock.advance(2);
      const error = await assertRejects(() => one.ended(), /sent nothing for 3 s/);
      assertEquals(codeOf(error), "upstream");
      assertEquals(env.clock.waiting, 0, "no timer is left");
      assertEquals(
        one.copy.calls.filter((call) => call === "begin").length,
        name.includes("answer") ? 1 : 0,
      );
    });
  }
});

Deno.test("followOnce() keeps an upstream that sends a byte now and then", async () => {
  const env = fakeEnv();
  const source = sourceOf(async function* (_request, signal) {
    yield HELLO;
    for (const byte of BEAT) {
      await env.clock.sleep(2900, signal);
      if (signal.aborted) return;
      yield Uint8Array.of(byte);
    }
    await untilAborted(signal);
  });
  const one = follow(source, env);
  await env.clock.advance(2900 * BEAT.length);
  assertEquals([one.result, one.events], [undefined, ["hello 1", "heartbeat 1"]]);
  assertEquals(one.bytes, HELLO.length + BEAT.length);
  assertEquals(await one.stop(), undefined);
  assertEquals(env.clock.waiting, 0);
});

Deno.test("followOnce() keeps an upstream that has only its heartbeats to send", async () => {
  const env = fakeEnv();
  const database = new FakeDatabase(SIZE, 3);
  const one = follow(new LiveSource(database, env), env);
  await env.clock.advance(60_000);
  assertEquals(one.result, undefined);
  assertEquals(one.events.filter((event) => event === "heartbeat 1").length, 60);
  await one.stop();
});

const told = (id: number, epoch = EPOCH): Beat => ({
  epoch,
  txid: txid(id),
  hash: HASH,
  staleMs: 0,
});

Deno.test("followOnce() keeps a silent upstream that says beside the stream that nothing is newer", async () => {
  const env = fakeEnv();
  const one = follow(silentAfter(HELLO, BEGIN, COMMIT), env);
  await env.clock.advance(100);
  assertEquals(one.events.at(-1), "applied 2");
  for (let second = 0; second < 30; second++) {
    await env.clock.advance(1000);
    one.beside(told(2), env.clock.monotonic() - 2500); // a long way
  }
  assertEquals([one.result, one.events.at(-1)], [undefined, "heartbeat 2 as of 27600"]);
  await env.clock.advance(3000);
  assertEquals(one.result, undefined);
  await env.clock.advance(2);
  await assertRejects(() => one.ended(), /sent nothing for 3 s/);
  assertEquals(env.clock.waiting, 0);
});

Deno.test("followOnce() gives a silent stream up although it is told beside it", async (t) => {
  const cases: [name: string, sent: Bytes[], said: Beat][] = [
    ["that there is something newer", [HELLO, BEGIN, COMMIT], told(3)],
    ["of another history", [HELLO, BEGIN, COMMIT], told(2, "00000000000000e2" as Epoch)],
    ["in the middle of an answer", [HELLO, BEGIN], told(0)],
    ["before its hello", [], told(0)],
  ];
  for (const [name, sent, said] of cases) {
    await t.step(name, async () => {
      const env = fakeEnv();
      const one = follow(silentAfter(...sent), env);
      for (let second = 0; second < 4; second++) {
        await env.clock.advance(1000);
        one.beside(said, env.clock.monotonic());
      }
      await assertRejects(() => one.ended(), /sent nothing for 3 s/);
    });
  }
  await t.step("while pages are owed that it asked for", async () => {
    const env = fakeEnv();
    const request = { since: { epoch: EPOCH, txid: txid(2) }, wanted: [1] };
    const one = new FakeFollower(silentAfter(HELLO), new FakeCopy(SIZE), env, request);
    for (let second = 0; second < 4; second++) {
      await env.clock.advance(1000);
      one.beside(told(2), env.clock.monotonic());
    }
    await assertRejects(() => one.ended(), /sent nothing for 3 s/);
  });
});

Deno.test("followOnce() compares nothing that is said beside an answer that is applied", async () => {
  const env = fakeEnv();
  const copy = new FakeCopy(SIZE);
  copy.onCommit = () => env.clock.sleep(500);
  const one = follow(silentAfter(HELLO, BEGIN, COMMIT), env, copy);
  await env.clock.advance(100);
  one.refutes = new LiveError("position_gone", "another content");
  one.beside(told(2), 50); // half of what it is compared with may be applied already
  await env.clock.advance(600);
  assertEquals([one.result, one.events.at(-1)], [undefined, "applied 2"]);
  one.beside(told(2), env.clock.monotonic());
  await assertRejects(() => one.ended(), /another content/);
  assertEquals(env.clock.waiting, 0);
});

Deno.test({
  name: "followOnce() does not take its own work for the upstream's silence",
  async fn(t) {
    for (const where of ["onBegin", "onCommit"] as const) {
      await t.step(where, async () => {
        const env = fakeEnv();
        const database = new FakeDatabase(SIZE, 3);
        const copy = new FakeCopy(SIZE);
        copy[where] = () => env.clock.sleep(10_000); // a checkpoint, an fsync of a large first copy
        const one = follow(new LiveSource(database, env), env, copy);
        await env.clock.advance(12_000);
        assertEquals(one.result?.error, undefined);
        assertEquals(copy.versions, database.versions);
        await one.stop();
      });
    }
  },
});

Deno.test({
  name: "followOnce() ends at once when its signal was aborted before",
  async fn() {
    const env = fakeEnv();
    const stopped = new AbortController();
    stopped.abort();
    const one = new FakeFollower(silentAfter(HELLO), new FakeCopy(SIZE), env, {}, stopped.signal);
    await settle();
    assert(one.result !== undefined, "it has ended");
    assertEquals(env.clock.waiting, 0);
  },
});

// No target can make sense of these: a frame of a wrong size would be written over another.
Deno.test({
  name: "followOnce() says upstream when records come in an order that means nothing",
  async fn(t) {
    const pagesOf = (pageSize: number): Bytes =>
      encodePages(pageSize, [{ pgno: 1, page: new Uint8Array(pageSize) }]);
    const cases: [name: string, sent: Bytes[], calls: string[]][] = [
      ["no hello", [BEGIN], ["abort"]],
      ["a commit without a begin", [HELLO, COMMIT], ["abort"]],
      ["pages without a begin", [HELLO, pagesOf(SIZE)], ["abort"]],
      ["an answer to another question", [HELLO, LATER], ["abort"]],
      ["a commit that leads back", [HELLO, BEGIN, COMMIT, FROM_2, BACK], [
        "begin",
        "commit 2",
        "begin",
        "abort",
      ]],
      ["a heartbeat after an answer that was lost", [HELLO, beatAfter(2)], ["abort"]],
      ["a heartbeat after a commit that was lost", [HELLO, BEGIN, BEAT], ["begin", "abort"]],
      ["smaller pages", [HELLO, BEGIN, pagesOf(256)], ["begin", "abort"]],
      ["larger pages", [HELLO, BEGIN, pagesOf(1024)], ["begin", "abort"]],
    ];
    for (const [name, sent, calls] of cases) {
      await t.step(name, async () => {
        const env = fakeEnv();
        const one = follow(
          sourceOf(async function* (_request, signal) {
            yield* sent;
            await untilAborted(signal);
          }),
          env,
        );
        await settle();
        assertEquals(codeOf(one.result?.error), "upstream");
        assertEquals(one.copy.calls, calls);
      });
    }
  },
});

Deno.test("followOnce() ends at once when its signal aborts, whatever it waits for", async (t) => {
  const cases: [name: string, source: ChangeSource][] = [
    ["a hello", silentAfter()],
    ["an answer", silentAfter(HELLO)],
    ["pages", silentAfter(HELLO, BEGIN)],
  ];
  for (const [name, source] of cases) {
    await t.step(name, async () => {
      const env = fakeEnv();
      const one = follow(source, env);
      await settle();
      const error = await one.stop();
      assert(error === undefined || codeOf(error) === "upstream", String(error));
      assertEquals(env.clock.waiting, 0);
    });
  }
});

Deno.test("followOnce() says what the upstream did wrong", async (t) => {
  const hashes = encodeHashes({
    level: "blocks",
    first: 0,
    epoch: EPOCH,
    txid: txid(1),
    pageCount: 0,
    words: new Uint32Array(0),
  });
  const broken = BEAT.slice();
  broken[20]! ^= 1;
  const cases: [name: string, sent: Bytes[], code: string, pattern: RegExp][] = [
    ["it closes", [HELLO], "upstream", /closed the connection/],
    ["it closes inside a record", [HELLO.slice(0, 30)], "upstream", /ends inside a record/],
    ["a broken record", [HELLO, broken], "checksum", /fails its checksum/],
    ["hashes", [HELLO, hashes], "upstream", /hashes among changes/],
    [
      "it says position_gone",
      [encodeError("position_gone", "compare")],
      "position_gone",
      /^compare$/,
    ],
    ["it says not_ready", [HELLO, encodeError("not_ready", "wait")], "not_ready", /^wait$/],
    ["it says busy", [HELLO, encodeError("busy", "later")], "upstream", /^later$/],
    ["it says what nobody knows", [encodeError("toString", "?")], "upstream", /^\?$/],
  ];
  for (const [name, sent, code, pattern] of cases) {
    await t.step(name, async () => {
      const env = fakeEnv();
      const one = follow(
        sourceOf(async function* () {
          yield* await Promise.resolve(sent);
        }),
        env,
      );
      const error = await assertRejects(() => one.ended(), pattern);
      assertEquals(codeOf(error), code);
      assertEquals(one.copy.calls.at(-1), "abort");
      assertEquals(env.clock.waiting, 0);
    });
  }
});

Deno.test("followOnce() tells received before it applies, and ends when applied() says so", async () => {
  const env = fakeEnv();
  let cancelled = false;
  const source = sourceOf(async function* (_request, signal) {
    signal.addEventListener("abort", () => cancelled = true);
    yield* [HELLO, BEGIN, COMMIT, BEGIN];
    await untilAborted(signal);
  });
  const copy = new FakeCopy(SIZE);
  const gate = Promise.withResolvers<void>();
  copy.onCommit = () => gate.promise;
  const one = follow(source, env, copy);
  one.done = true;
  await settle();
  assertEquals(one.events, ["hello 1", "begin 2", "received 2"]);
  gate.resolve();
  await one.ended();
  assertEquals(one.events.at(-1), "applied 2");
  assertEquals(copy.calls, ["begin", "commit 2"], "no abort after a success");
  assert(cancelled);
  assertEquals(env.clock.waiting, 0);
});

Deno.test("followOnce() forgets half an answer and passes on what the target throws", async () => {
  const env = fakeEnv();
  const database = new FakeDatabase(SIZE, 3);
  const copy = new FakeCopy(SIZE);
  copy.onCommit = () => Promise.reject(new LiveError("disk", "The disk is full"));
  const one = follow(new LiveSource(database, env), env, copy);
  assertEquals(codeOf(await assertRejects(() => one.ended(), /disk is full/)), "disk");
  assertEquals([copy.calls, copy.position], [["begin", "abort"], undefined]);
  assertEquals(env.clock.waiting, 0);
});

Deno.test("followOnce() never applies a page that was changed on the way", async () => {
  const env = fakeEnv();
  const database = new FakeDatabase(SIZE, 3);
  const source = new LiveSource(database, env);
  const changed = sourceOf(async function* (request, signal) {
    for await (const chunk of source.changes(request, signal)) {
      const copy = chunk.slice();
      if (copy.length > SIZE) copy[copy.length - 5]! ^= 1; // within the last page
      yield copy;
    }
  });
  const one = follow(changed, env);
  const error = await assertRejects(() => one.ended(), /Page 3 arrived with another hash/);
  assertEquals([codeOf(error), one.copy.position], ["checksum", undefined]);
});

Deno.test("followOnce() does not commit when the hashes differ", async () => {
  const env = fakeEnv();
  const database = new FakeDatabase(SIZE, 5);
  const copy = new FakeCopy(SIZE);
  copy.fill([9, 9, 9, 9, 9], database.position); // it only believes it is there
  const one = new FakeFollower(new LiveSource(database, env), copy, env, {
    since: database.position,
  });
  database.commit([2], 5);
  const error = await assertRejects(() => one.ended(), /another hash/);
  assertEquals([codeOf(error), copy.versions], ["position_gone", [9, 9, 9, 9, 9]]);
});

Deno.test("followOnce() keeps its sentence short when a source throws", async () => {
  const env = fakeEnv();
  const one = follow(
    sourceOf(() => {
      throw new LiveError("upstream", "Cannot reach http://primary:9090");
    }),
    env,
  );
  assertMatch(String(await assertRejects(() => one.ended())), /Cannot reach/);
  assertEquals(env.clock.waiting, 0);
});
