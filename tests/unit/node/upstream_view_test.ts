import type { Words } from "../../../src/base/bytes.ts";
import {
  type DatabaseId,
  type Epoch,
  type Position,
  type Txid,
  txid,
} from "../../../src/base/types.ts";
import type { Beat, Begin, Commit, Hello } from "../../../src/changes/records.ts";
import type { ChangeSource, Report, Reported } from "../../../src/changes/source.ts";
import { UpstreamView } from "../../../src/node/upstream_view.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { fakeEnv, settle } from "../../support/fake_env.ts";

const EPOCH = "00000000000000e1" as Epoch;
const NEXT = "00000000000000e2" as Epoch;
const HASH: Words = { high: 1, low: 2 };
const MIB = 1024 * 1024;

const hello = (id: number, epoch = EPOCH): Hello => ({
  type: "hello",
  protocol: 1,
  pageSize: 4096,
  pageCount: 10,
  id: "00000000000000d1" as DatabaseId,
  epoch,
  txid: txid(id),
  hash: HASH,
  ancestors: [],
});
const begin = (to: number, pages = 1): Begin => ({
  type: "begin",
  from: txid(0),
  to: txid(to),
  pages,
  pageCount: 10,
});
const commit = (id: number, epoch = EPOCH): Commit => ({
  type: "commit",
  epoch,
  txid: txid(id),
  hash: HASH,
  pageCount: 10,
  sent: 1,
});
const beat = (id: number, epoch = EPOCH) =>
  ({ type: "heartbeat", epoch, txid: txid(id), hash: HASH, staleMs: 0, sent: txid(id) }) as const;

/** A source that keeps the reports; each takes `takes` ms. */
class ReportedTo implements ChangeSource {
  readonly reports: Report[] = [];
  takes: Promise<void> = Promise.resolve();
  says: Beat | undefined;
  changes(): never {
    throw new Error("not asked for");
  }
  hashes(): never {
    throw new Error("not asked for");
  }
  report(report: Report, _signal: AbortSignal, done: Reported): void {
    this.reports.push(report);
    void this.takes.then(() => done(this.says));
  }
  get applied(): number[] {
    return this.reports.map(({ applied }) => applied);
  }
}

function setup() {
  const env = fakeEnv();
  const view = new UpstreamView({ url: "http://primary:9090", path: "/data/app.db" }, env);
  const source = new ReportedTo();
  const lag = (): [txids: number, bytes: number, ms: number] => {
    const { txids, bytes, ms } = view.status().lag;
    return [txids, bytes, ms];
  };
  /** As its database does. */
  const seconds = async (count: number): Promise<void> => {
    for (let nth = 0; nth < count; nth++) {
      await env.clock.advance(1000);
      view.check();
      await settle();
    }
  };
  return { env, view, source, lag, seconds };
}

Deno.test("UpstreamView.status() says little before the first connection", () => {
  const { view } = setup();
  assertEquals(view.status(), {
    url: "http://primary:9090",
    path: "/data/app.db",
    connected: false,
    lag: { txids: 0, bytes: 0, ms: 0 },
  });
});

Deno.test("UpstreamView.status() tells how far behind this node knows it is", async () => {
  const { env, view, source, lag } = setup();
  view.hello(hello(10));
  view.connected(source);
  assertEquals(lag(), [10, 0, 0]);
  await env.clock.advance(400);
  view.begin(begin(12), 4096);
  view.bytes(5000);
  await env.clock.advance(100);
  assertEquals(lag(), [12, 5000, 500]);
  view.received(commit(12));
  view.appliedAt(txid(12));
  assertEquals(lag(), [0, 0, 0]);
  assertEquals([view.status().connected, view.status().txid as number], [true, 12]);
  await env.clock.advance(5000);
  view.heartbeat(beat(12));
  assertEquals(lag(), [0, 0, 0], "equal is not behind, however long");
  view.heartbeat(beat(15));
  await env.clock.advance(30);
  assertEquals(lag(), [3, 0, 30]);
  view.heartbeat(beat(14));
  assertEquals(lag(), [3, 0, 30], "an older heartbeat does not count back");
  view.disconnected("gone");
});

Deno.test("UpstreamView stays behind until it has applied all it knows of", async () => {
  const { env, view, source, lag } = setup();
  view.hello(hello(5));
  view.connected(source);
  view.heartbeat(beat(9));
  await env.clock.advance(100);
  view.appliedAt(txid(7));
  assertEquals(lag(), [2, 0, 100]);
  view.appliedAt(txid(9));
  assertEquals(lag(), [0, 0, 0]);
  view.disconnected(undefined);
});

Deno.test("UpstreamView counts from the start when the history is another", () => {
  const { view, lag } = setup();
  view.hello(hello(5));
  view.appliedAt(txid(5));
  view.durableAt(txid(5));
  view.hello(hello(3, NEXT));
  assertEquals([view.durable as number, view.status().epoch, view.status().txid as number], [
    0,
    NEXT,
    3,
  ]);
  assertEquals(lag(), [3, 0, 0]);
  view.appliedAt(txid(3));
  assertEquals(lag(), [0, 0, 0]);
});

Deno.test("UpstreamView tells no txid of one history under another, whatever record tells of that first", () => {
  const { view } = setup();
  view.hello(hello(5));
  view.appliedAt(txid(5));
  view.durableAt(txid(5));
  view.heartbeat(beat(7, NEXT));
  assertEquals([view.durable as number, view.status().lag.txids], [0, 7]);
});

Deno.test("UpstreamView keeps its positions when it connects to the same history again", () => {
  const { view, source, lag } = setup();
  view.hello(hello(5));
  view.connected(source);
  view.appliedAt(txid(5));
  view.disconnected("lost");
  assertEquals([view.status().connected, view.status().error], [false, "lost"]);
  view.hello(hello(6));
  view.connected(source);
  assertEquals([lag()[0], view.status().error], [1, undefined]);
  view.disconnected(undefined);
});

Deno.test("UpstreamView shows progress of large answers only, with an estimate", async () => {
  const { env, view } = setup();
  view.hello(hello(5));
  view.begin(begin(5, 100), 4096);
  view.bytes(1000);
  assertEquals(view.status().progress, undefined);
  view.begin(begin(5, 8192), 4096); // 32 MiB
  assertEquals(view.status().progress, { doneBytes: 0, totalBytes: 32 * MIB });
  await env.clock.advance(1000);
  view.bytes(8 * MIB);
  assertEquals(view.status().progress, { doneBytes: 8 * MIB, totalBytes: 32 * MIB, etaMs: 3000 });
  view.bytes(40 * MIB);
  assertEquals(view.status().progress, { doneBytes: 32 * MIB, totalBytes: 32 * MIB, etaMs: 0 });
  view.received(commit(5));
  assertEquals(view.status().progress, undefined);
});

Deno.test("UpstreamView shows progress of hashing from where it began", async () => {
  const { env, view } = setup();
  view.progress(10 * MIB, 40 * MIB);
  await env.clock.advance(1000);
  view.progress(20 * MIB, 40 * MIB);
  assertEquals(view.status().progress, { doneBytes: 20 * MIB, totalBytes: 40 * MIB, etaMs: 2000 });
  view.endProgress();
  assertEquals(view.status().progress, undefined);
});

Deno.test("UpstreamView reports at once, then what changed meanwhile in one report", async () => {
  const { env, view, source } = setup();
  view.hello(hello(5));
  view.connected(source);
  for (const id of [1, 2, 3]) {
    view.appliedAt(txid(id));
    view.reportSoon();
  }
  await settle();
  assertEquals(source.applied, [0], "the first one is on its way");
  await env.clock.advance(49);
  assertEquals(source.applied, [0]);
  await env.clock.advance(1);
  assertEquals(source.applied, [0, 3]);
  await env.clock.advance(200);
  assertEquals(source.applied, [0, 3], "nothing new, nothing told");
  view.disconnected(undefined);
});

Deno.test("UpstreamView reports one at a time, however long one takes", async () => {
  const { env, view, source } = setup();
  const slow = Promise.withResolvers<void>();
  source.takes = slow.promise;
  view.hello(hello(5));
  view.connected(source);
  for (let nth = 0; nth < 5; nth++) {
    view.durableAt(txid(nth));
    await env.clock.advance(500);
  }
  assertEquals(source.reports.length, 1);
  slow.resolve();
  await env.clock.advance(50);
  assertEquals(source.reports.map(({ durable }) => durable as number), [0, 4]);
  view.disconnected(undefined);
});

Deno.test("UpstreamView reports each second when nothing happens, until it is disconnected", async () => {
  const { env, view, source, seconds } = setup();
  view.hello(hello(5));
  view.appliedAt(txid(5));
  view.connected(source);
  await seconds(2);
  assertEquals(source.reports.length, 3);
  assertEquals(new Set(source.reports).size, 1, "the same one again: it costs nothing");
  view.appliedAt(txid(6));
  await seconds(1);
  assertEquals(source.applied, [5, 5, 5, 6]);
  view.disconnected(undefined);
  await seconds(5);
  assertEquals(source.reports.length, 4);
  assertEquals(env.clock.waiting, 0, "no timer is left");
});

Deno.test("UpstreamView hands on what is said beside the stream, until it is disconnected", async () => {
  const { env, view, source, seconds } = setup();
  const heard: [Txid, number][] = [];
  const slow = Promise.withResolvers<void>();
  source.says = beat(5);
  source.takes = slow.promise;
  view.hello(hello(5));
  await env.clock.advance(400);
  view.connected(source, ({ txid }, askedAt) => heard.push([txid, askedAt]));
  await env.clock.advance(300);
  slow.resolve();
  await settle();
  assertEquals(heard, [[txid(5), 400]], "it was so when it was asked for, or later");
  const late = Promise.withResolvers<void>();
  source.takes = late.promise;
  await seconds(1);
  assertEquals(source.reports.length, 2);
  view.disconnected(undefined);
  late.resolve();
  await settle();
  assertEquals(heard.length, 1, "of a connection that has ended");
});

Deno.test("UpstreamView counts what it hears late from when it was asked for", async () => {
  const { env, view } = setup();
  view.hello(hello(5));
  view.connected(new ReportedTo());
  view.appliedAt(txid(5));
  await env.clock.advance(5000);
  view.heartbeat(beat(5), 2000);
  assertEquals(view.lagMs(), 3000, "it was current then");
  view.heartbeat({ ...beat(5), staleMs: 500 }, 4500);
  assertEquals(view.lagMs(), 1000, "the upstream was not, for 500 ms before");
  view.heartbeat(beat(5));
  view.heartbeat(beat(4), 4000); // on its way when the stream said more
  assertEquals(view.lagMs(), 0);
  await env.clock.advance(3000);
  assertMatch(view.why()!, /nothing has come from the upstream for 3 s/);
  view.disconnected(undefined);
});

Deno.test("UpstreamView.reportSoon() says received at least applied", async () => {
  const { env, view, source } = setup();
  view.hello(hello(5));
  view.connected(source);
  view.received(commit(4));
  view.appliedAt(txid(3));
  view.reportSoon();
  await env.clock.advance(60);
  const told = (
    { received, applied, epoch }: Report,
  ): [Txid, Txid, Epoch] => [received, applied, epoch];
  assertEquals(source.reports.map(told).at(-1), [txid(4), txid(3), EPOCH]);
  view.appliedAt(txid(5)); // known from the file, never received
  view.reportSoon();
  await env.clock.advance(60);
  assertEquals(source.reports.map(told).at(-1), [txid(5), txid(5), EPOCH]);
  assert(view.isConnected);
  view.disconnected(undefined);
});

Deno.test({
  name: "UpstreamView keeps the position that was known before the first hello",
  async fn() {
    const { env, view, source, lag } = setup();
    view.appliedAt(txid(5)); // the file was opened, and its position proven
    view.hello(hello(5));
    view.connected(source);
    assertEquals(lag(), [0, 0, 0]);
    await env.clock.advance(60);
    assertEquals(source.applied, [5]);
    view.disconnected(undefined);
  },
});

Deno.test("logProgress() tells how far a long answer is, now and then, and nothing of a short one", async () => {
  const lines: unknown[] = [];
  const env = fakeEnv();
  const log = { ...env.log, info: (_: string, fields?: unknown) => lines.push(fields) };
  const view = new UpstreamView({ url: "http://a", path: "/b" }, { ...env, log });
  view.begin({ type: "begin", from: txid(0), to: txid(1), pages: 10_000, pageCount: 10_000 }, 4096);
  for (let second = 0; second < 11; second++) {
    view.bytes(2_048_000);
    view.logProgress();
    await env.clock.advance(1000);
  }
  const total = 40_960_000;
  assertEquals(lines, [
    { percent: 30, done_bytes: 12_288_000, total_bytes: total, eta_s: 12 },
    { percent: 55, done_bytes: 22_528_000, total_bytes: total, eta_s: 8 },
  ]);
  view.endProgress();
  view.logProgress();
  assertEquals(lines.length, 2);
});

Deno.test("UpstreamView counts an upstream's silence as lag, and says what it waits for", async (t) => {
  await t.step("nothing comes, as when either side was stopped", async () => {
    const { env, view, source, lag } = setup();
    view.hello(hello(5));
    view.connected(source);
    view.appliedAt(txid(5));
    view.bytes(50);
    view.heartbeat(beat(5));
    await env.clock.advance(2000);
    assertEquals([lag(), view.why()], [[0, 0, 0], undefined], "one heartbeat may be late");
    await env.clock.advance(4000);
    assertEquals(lag(), [0, 0, 6000]);
    assertEquals(view.why(), "nothing has come from the upstream for 6 s");
    view.disconnected("lost");
    assertEquals(lag(), [0, 0, 6000], "not only since that was noticed");
    view.hello(hello(5));
    view.connected(source);
    assertEquals([lag(), view.why()], [[0, 0, 0], undefined]);
    view.disconnected(undefined);
  });
  const cases: [name: string, stop: (view: UpstreamView) => void, why: RegExp][] = [
    ["begin() of the target hangs", () => {}, /waits for room in the log for 6 s/],
    ["commit() of the target hangs", (view) => {
      view.bytes(100);
      view.received(commit(6));
    }, /is being applied for 6 s/],
  ];
  for (const [name, stop, why] of cases) {
    await t.step(name, async () => {
      const { env, view, source, lag } = setup();
      view.hello(hello(5));
      view.connected(source);
      view.appliedAt(txid(5));
      view.bytes(50);
      view.begin(begin(6), 4096);
      stop(view);
      await env.clock.advance(6000);
      assertEquals(lag()[2], 6000);
      assertMatch(view.why() ?? "", why);
      view.appliedAt(txid(6));
      assertEquals([lag()[2], view.why()], [0, undefined]);
      view.disconnected(undefined);
    });
  }
  await t.step("bytes drip in", async () => {
    const { env, view, source } = setup();
    view.hello(hello(5));
    view.connected(source);
    view.appliedAt(txid(5));
    view.begin(begin(6), 4096);
    for (let second = 0; second < 6; second++) {
      view.bytes(1);
      await env.clock.advance(1000);
    }
    assertEquals(view.why(), "an answer is under way, 6 bytes so far");
    view.disconnected(undefined);
  });
  await t.step("the upstream has no upstream any more", async () => {
    const { env, view, source } = setup();
    view.hello(hello(5));
    view.connected(source);
    view.appliedAt(txid(5));
    view.bytes(50);
    view.heartbeat({ ...beat(5), staleMs: 4000 });
    await env.clock.advance(1000);
    assertEquals(view.why(), "the upstream itself is not current since 5 s");
    view.disconnected(undefined);
  });
});

Deno.test("UpstreamView reports its lag: to others it is late, too, when its upstream is", async () => {
  const { view, source, seconds } = setup();
  view.hello(hello(5));
  view.appliedAt(txid(5));
  view.connected(source);
  await seconds(1);
  assertEquals(source.reports.at(-1)!.lagMs, 0);
  view.heartbeat({ ...beat(5), staleMs: 4000 });
  await seconds(1);
  const { lagMs } = source.reports.at(-1)!;
  assert(lagMs !== undefined && lagMs >= 4000, `${lagMs} ms`);
  view.disconnected(undefined);
  await settle();
});

Deno.test("UpstreamView looks elsewhere when the upstream is cut off, not when it is only slow", async () => {
  const env = fakeEnv();
  const asked: number[] = [];
  const left: string[] = [];
  let above: readonly boolean[] = [true];
  const source: ChangeSource = Object.assign(new ReportedTo(), {
    tree: () => {
      asked.push(env.clock.monotonic());
      const hops = above.map((connected) => ({ url: "x", path: "/data/db", connected }));
      return Promise.resolve(hops);
    },
    elsewhere: ({ epoch, txid }: Position) => void left.push(`${epoch}/${txid}`),
  });
  const view = new UpstreamView({ url: "http://hub", path: "/data/db" }, env);
  view.hello(hello(5));
  view.connected(source);
  view.appliedAt(txid(5));
  const pass = async (seconds: number): Promise<void> => {
    for (let ms = 0; ms < 1000 * seconds; ms += 500) {
      view.heartbeat({ ...beat(5), staleMs: env.clock.monotonic() });
      await env.clock.advance(500);
      view.check();
      await settle();
    }
  };
  await pass(10);
  assertEquals(asked, [], "it may pass: nothing is asked before 10 s");
  await pass(3);
  assert(asked.length >= 2, "whether it is cut off");
  assertEquals(left, [], "it is slow, all its hops are connected");
  above = [true, false];
  await pass(2);
  assert(left.length >= 1 && left.every((at) => at === `${EPOCH}/5`), `${left}`);
  const { length } = asked;
  view.heartbeat(beat(5)); // it is current again
  await env.clock.advance(900);
  assertEquals(asked.length, length);
  view.disconnected(undefined);
});
