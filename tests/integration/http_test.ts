import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { eventually, sleep } from "../support/process.ts";
import { assertInSync, assertUndisturbed, primaryOf, startPair } from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

const HEX16 = /^[0-9a-f]{16}$/;

scopedTest("/status tells roles, positions and replicas", async (scope) => {
  const writer = await scope.app();
  await writer.startWriter({ path: await scope.path("primary/app.db"), count: 200 });
  assertUndisturbed(await writer.joinWriter());
  const pair = await startPair(scope);
  await writer.startWriter({ path: pair.source, count: 20 });
  await writer.joinWriter();
  await assertInSync(pair);
  const node = await pair.primary.status();
  assertMatch(node.version, /^\d+\.\d+\.\d+/);
  assertEquals(node.pid, pair.primary.child.pid);
  assert(node.uptimeMs > 0);
  const ours = await pair.primary.database(pair.source);
  assertEquals([ours.role, ours.state, ours.readable], ["primary", "serving", true]);
  assertMatch(ours.epoch!, HEX16);
  assertMatch(ours.hash!, HEX16);
  assertEquals([ours.pageSize, ours.pageCount! > 10, ours.upstream], [4096, true, undefined]);
  assert(ours.counters.commits > 0 && ours.txid! > 0);
  const theirs = await pair.replica.until(
    "has heard that it has all",
    ({ upstream }) => upstream!.lag.ms === 0,
  );
  assertEquals([theirs.role, theirs.state, theirs.readable], ["replica", "streaming", true]);
  assertEquals([theirs.id, theirs.pageCount], [ours.id, ours.pageCount]);
  assertEquals(theirs.upstream!.url, pair.primary.url);
  assertEquals(theirs.upstream!.path, pair.source);
  assertEquals(theirs.upstream!.lag, { txids: 0, bytes: 0, ms: 0 });
  const told = await pair.primary.until(
    "knows the replica's position",
    ({ replicas }) =>
      replicas.length === 1 && replicas[0]!.applied === ours.txid && replicas[0]!.lagMs === 0,
  );
  const { connected, epoch, silentMs } = told.replicas[0]!;
  assertEquals([connected, epoch, silentMs < 5000], [true, ours.epoch, true]);
});

scopedTest("/metrics is Prometheus text with the names of Litestream 0.4", async (scope) => {
  const writer = await scope.app();
  await writer.startWriter({ path: await scope.path("primary/app.db"), count: 100 });
  await writer.joinWriter();
  const pair = await startPair(scope);
  await assertInSync(pair);
  const { status, text } = await pair.primary.getText("/metrics");
  assertEquals(status, 200);
  for (
    const name of [
      "litestream_db_size",
      "litestream_wal_size",
      "litestream_total_wal_bytes",
      "litestream_sync_count",
      "litestream_checkpoint_count",
    ]
  ) {
    assertMatch(text, new RegExp(`^${name}\\{[^}]*db="[^"]*app\\.db"[^}]*\\} \\d`, "m"), name);
  }
});

scopedTest("/health is 200 when all is well and 503 with the reason when not", async (scope) => {
  const writer = await scope.app();
  await writer.startWriter({ path: await scope.path("primary/app.db"), pace_ms: 2 });
  const pair = await startPair(scope);
  for (const node of [pair.primary, pair.replica]) {
    await node.healthy();
    await eventually("it is not far behind", async () => {
      return (await node.getText("/health?max-lag=10s")).status === 200 || undefined;
    });
  }
  await pair.primary.kill();
  await pair.replica.until("lost it", ({ upstream }) => upstream?.connected === false);
  await sleep(1100);
  const late = await pair.replica.getText("/health?max-lag=1s");
  assertEquals(late.status, 503);
  assertMatch(late.text, /app\.db/);
  pair.primary.start();
  await pair.replica.healthy();
  await writer.stopWriter();
  await assertInSync(pair);
});

scopedTest("without the token everything but /health is 401", async (scope) => {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const writer = await scope.app();
  await writer.startWriter({ path: source, count: 50 });
  await writer.joinWriter();
  const token = "s3cret-t0ken";
  const primary = await scope.start("primary", { ...primaryOf(source), token });
  const stream = `/v1/stream?path=${encodeURIComponent(source)}`;
  for (const path of ["/status", "/metrics", stream]) {
    for (const authorization of [undefined, "Bearer wrong", `Basic ${token}`, "Bearer "]) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const response = await primary.get(path, headers);
      await response.body?.cancel();
      assertEquals(response.status, 401, `${path} with ${authorization}`);
    }
  }
  await eventually("/health needs none", async () => {
    return await primary.get("/health").then((r) => r.text().then(() => r.ok)) || undefined;
  });
  const upstream = { url: primary.url, path: source };
  const replica = await scope.start("replica", {
    dbs: [{ path: copy, upstream: { ...upstream, token } }],
  });
  await assertInSync({ source, copy, primary, replica });
  const refused = await scope.start("refused", {
    dbs: [{ path: await scope.path("refused/app.db"), upstream }],
  }, false);
  await refused.until("is refused", ({ upstream }) => upstream?.error !== undefined);
  assertEquals((await refused.health()).status, 503);
  const secrets = [...primary.log, ...replica.log].filter((line) => line.includes(token));
  assertEquals(secrets, [], "the token is in no log");
  assert(!(await primary.getText("/status")).text.includes(token));
});

scopedTest(
  "a path that is not served is 404 and a Litestream client gets a sentence",
  async (scope) => {
    const source = await scope.path("primary/app.db");
    const app = await scope.open(source);
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
    const primary = await scope.start("primary", primaryOf(source));
    for (const path of ["/v1/stream?path=%2Fno%2Fsuch.db", "/nothing/here"]) {
      const { status, text } = await primary.getText(path);
      assertEquals(status, 404, path);
      assert(text.length > 5);
    }
    const old = await primary.getText(`/stream?path=${encodeURIComponent(source)}`);
    assert(old.status >= 400 && old.status < 500);
    assertMatch(old.text, /litestream/i);
  },
);
