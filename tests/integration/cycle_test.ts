import { assertEquals, assertMatch } from "../support/assert.ts";
import { eventually } from "../support/process.ts";
import { assertSameContent, primaryOf, replicaOf } from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

scopedTest("a replica that would follow itself is refused, and says so", async (scope) => {
  const path = await scope.path("self/app.db");
  const node = scope.node("self", { dbs: [] });
  const self = await scope.start("itself", {
    addr: node.address!,
    dbs: [{ path, upstream: { url: node.url } }],
  }, false);
  const { reason } = await self.until("refuses it", ({ state }) => state === "failed");
  assertMatch(reason!, /would follow itself/);
  assertEquals((await self.health()).status, 503);
});

scopedTest("a cycle of replicas is refused, named, and healthy nowhere", async (scope) => {
  const source = await scope.path("primary/app.db");
  const one = await scope.path("one/app.db");
  const two = await scope.path("two/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
  const primary = await scope.start("primary", primaryOf(source));
  const first = await scope.start("first", replicaOf(one, primary, source));
  const second = await scope.start("second", replicaOf(two, first, one));
  await assertSameContent(source, [one, two]);
  await first.stop();
  await primary.stop();
  const again = scope.node("again", { ...replicaOf(one, second, two), addr: first.address! });
  again.start();
  await eventually("one of them names the cycle", () => {
    return [again, second].some(({ log }) =>
      log.some((line) => /would follow itself/.test(line))
    ) ||
      undefined;
  });
  for (const node of [again, second]) {
    await node.until(
      "is not current",
      ({ state, upstream }) => state === "failed" || upstream!.lag.ms > 5000,
    );
    assertEquals((await node.health()).status, 503);
  }
});

scopedTest("the last of a chain knows that the primary is gone", async (scope) => {
  const source = await scope.path("primary/app.db");
  const one = await scope.path("one/app.db");
  const two = await scope.path("two/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
  const primary = await scope.start("primary", primaryOf(source));
  const middle = await scope.start("middle", replicaOf(one, primary, source));
  const last = await scope.start("last", replicaOf(two, middle, one));
  await primary.kill();
  await last.until(
    "lags",
    ({ state, upstream }) =>
      state === "streaming" && upstream!.connected && upstream!.lag.ms > 5000,
  );
  assertEquals((await last.health()).status, 503);
  assertEquals((await last.getText("/health?max-lag=1m")).status, 200);
  primary.start();
  await last.healthy();
  await last.until("has no lag", ({ upstream }) => upstream!.lag.ms === 0);
});
