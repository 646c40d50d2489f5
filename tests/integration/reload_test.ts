import { assertEquals } from "../support/assert.ts";
import type { DatabaseConfig } from "../support/node.ts";
import { eventually } from "../support/process.ts";
import {
  assertConsistent,
  assertNeverCut,
  assertNoRepairs,
  assertSameContent,
  assertUndisturbed,
  SILENCE,
} from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

async function paths(
  scope: { path(name: string): Promise<string> },
  names: readonly string[],
): Promise<string[]> {
  return await Promise.all(names.map((name) => scope.path(name)));
}

scopedTest("SIGHUP adds and removes databases, and the others do not notice", async (scope) => {
  const [a, b, c] = await paths(scope, ["p/a.db", "p/b.db", "p/c.db"]) as [string, string, string];
  const [ra, rb, rc] = await paths(scope, ["r/a.db", "r/b.db", "r/c.db"]) as [
    string,
    string,
    string,
  ];
  const writers = await Promise.all([a, b, c].map(() => scope.app()));
  for (const [at, path] of [a, b, c].entries()) {
    await writers[at]!.startWriter({ path, pace_ms: 2, count: 1500 });
  }
  const primary = await scope.start("primary", { dbs: [{ path: a }, { path: b }] });
  const follow = (path: string, source: string): DatabaseConfig => ({
    path,
    upstream: { url: primary.url, path: source },
  });
  const replica = await scope.start("replica", { dbs: [follow(ra, a), follow(rb, b)] });
  const reader = await scope.app();
  await reader.startReader({ path: ra });

  primary.reload({ dbs: [{ path: a }, { path: c }] });
  await primary.logged(/config reloaded.*c\.db/);
  replica.reload({ dbs: [follow(ra, a), follow(rc, c)] });
  await replica.logged(/config reloaded.*c\.db/);
  await replica.healthy();
  assertEquals((await replica.status()).databases.map(({ path }) => path), [ra, rc]);

  for (const writer of writers) assertUndisturbed(await writer.joinWriter());
  assertConsistent(await reader.stopReader());
  await assertSameContent(a, [ra]);
  await assertSameContent(c, [rc]);
  await assertNoRepairs(replica);
  await assertNeverCut(replica, ra);
  const waited = replica.log.filter((line) => line.includes(`"db":"${ra}`) && /waiting/.test(line));
  assertEquals(waited.filter((line) => !SILENCE.test(line)), []);

  // Nobody holds what was given up: nodes of their own take it.
  const other = await scope.start("other", { dbs: [{ path: b }] });
  await scope.start("third", { dbs: [{ path: rb, upstream: { url: other.url, path: b } }] });
  await assertSameContent(b, [rb]);

  // Given up and taken again, the history goes on.
  const { epoch, txid } = await primary.database(a);
  primary.reload({ dbs: [{ path: c }] });
  await replica.until("the upstream is away", ({ state }) => state === "connecting", { path: ra });
  primary.reload({ dbs: [{ path: a }, { path: c }] });
  await replica.until("streaming again", ({ state }) => state === "streaming", { path: ra });
  const after = await primary.database(a);
  assertEquals([after.epoch, after.txid], [epoch, txid]);
  await assertNoRepairs(replica);
});

scopedTest("SIGHUP with another upstream goes on from there", async (scope) => {
  const [source, middle, copy] = await paths(scope, ["p/app.db", "m/app.db", "r/app.db"]) as [
    string,
    string,
    string,
  ];
  const writer = await scope.app();
  await writer.startWriter({ path: source, pace_ms: 2, count: 800 });
  const primary = await scope.start("primary", { dbs: [{ path: source }] });
  const between = await scope.start("middle", {
    dbs: [{ path: middle, upstream: { url: primary.url, path: source } }],
  });
  const last = await scope.start("last", {
    dbs: [{ path: copy, upstream: { url: between.url, path: middle } }],
  });
  last.reload({ dbs: [{ path: copy, upstream: { url: primary.url, path: source } }] });
  await last.logged(/config reloaded.*"changed"/);
  await last.healthy();
  await between.stop();
  assertUndisturbed(await writer.joinWriter());
  await assertSameContent(source, [copy]);
  await assertNoRepairs(last);
});

scopedTest("SIGHUP with a config that is wrong changes nothing and says so", async (scope) => {
  const [source] = await paths(scope, ["p/app.db"]) as [string];
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal");
  await app.exec("CREATE TABLE t(a)");
  const node = await scope.start("primary", { dbs: [{ path: source }] });
  node.reload({ dbs: [{ path: source, "no-such-key": 1 }] });
  await node.logged(/the config is not reloaded.*no-such-key/);
  await node.healthy();
  node.reload({ dbs: [{ path: source }], "log-level": "debug" });
  await node.logged(/a change that needs a restart.*log-level/);
  node.reload({ dbs: [{ path: source }] });
  await eventually(
    "three reloads were read",
    () => node.log.filter((line) => line.includes("config reloaded")).length === 2 || undefined,
  );
  assertEquals((await node.database()).state, "serving");
});
