import { assert, assertEquals, assertMatch, assertRejects } from "../support/assert.ts";
import { SqlError } from "../support/app.ts";
import { describeFile } from "../support/content.ts";
import { EXECUTABLE, type LiveNode } from "../support/node.ts";
import { runToEnd } from "../support/process.ts";
import {
  assertConsistent,
  assertNoRepairs,
  assertSameContent,
  assertSamePosition,
  assertUndisturbed,
  positionOf,
  primaryOf,
  replicaOf,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

async function write(scope: Scope, path: string, count: number): Promise<void> {
  await using writer = await scope.app();
  await writer.startWriter({ path, count, pace_ms: 1 });
  assertUndisturbed(await writer.joinWriter());
}

interface Fleet {
  readonly paths: Readonly<Record<"old" | "next" | "sibling" | "last", string>>;
  readonly old: LiveNode;
  /** Two replicas of `old`, and one of `sibling`. */
  readonly next: LiveNode;
  readonly sibling: LiveNode;
  readonly last: LiveNode;
}

async function fleet(scope: Scope): Promise<Fleet> {
  const names = ["old", "next", "sibling", "last"] as const;
  const entries = await Promise.all(
    names.map(async (name) => [name, await scope.path(`${name}/app.db`)] as const),
  );
  const paths = Object.fromEntries(entries) as Fleet["paths"];
  await write(scope, paths.old, 200);
  const old = await scope.start("old", primaryOf(paths.old));
  const next = await scope.start("next", replicaOf(paths.next, old, paths.old));
  const sibling = await scope.start("sibling", replicaOf(paths.sibling, old, paths.old));
  const last = await scope.start("last", replicaOf(paths.last, sibling, paths.sibling));
  return { paths, old, next, sibling, last };
}

scopedTest("promote: siblings and their replicas go on by delta", async (scope) => {
  const { paths, old, next, sibling, last } = await fleet(scope);
  const reader = await scope.app();
  await reader.startReader({ path: paths.last, pace_ms: 1 });
  await write(scope, paths.old, 100);
  for (const node of [next, sibling, last]) await assertSamePosition(old, node);
  const before = await positionOf(next);
  await old.kill();
  const { status, result, position, parent } = await next.post("/promote", { path: paths.next });
  assertEquals([status, result, parent], [200, "promoted", before]);
  const { byte18, byte19 } = await describeFile(paths.next);
  assertEquals([byte18, byte19], [2, 2], "the guard is lifted");
  const primary = await next.database();
  assertEquals([primary.role, primary.state], ["primary", "serving"]);
  assertEquals(position!.split("/")[1], before.split("/")[1], "the txids go on");
  assert(position!.split("/")[0] !== before.split("/")[0], "in a new epoch");

  await write(scope, paths.next, 100);
  sibling.reload(replicaOf(paths.sibling, next, paths.next));
  await sibling.logged(/config reloaded.*changed/);
  for (const node of [next, sibling, last]) await node.healthy();
  await write(scope, paths.next, 100);
  await assertSameContent(paths.next, [paths.sibling, paths.last]);
  for (const node of [sibling, last]) {
    await assertSamePosition(next, node);
    await assertNoRepairs(node);
    assertEquals((await node.database()).counters.givenUp, 0);
  }
  for (const [node, path] of [[next, paths.next], [last, paths.last]] as const) {
    const wait = async (txid: string): Promise<number> =>
      (await node.getText(`/wait?${new URLSearchParams({ path, txid, timeout: "5s" })}`)).status;
    assertEquals(await wait(before), 200, "what was taken over is found by its old position");
    assertEquals(await wait(`${before.split("/")[0]}/00000000ffffffff`), 409);
  }
  const epoch = (await next.database()).epoch;

  // A second promotion in the row: who follows goes on, and the epochs before are known.
  await next.kill();
  const again = await sibling.post("/promote", { path: paths.sibling });
  assertEquals(again.parent?.split("/")[0], epoch);
  await write(scope, paths.sibling, 50);
  await assertSameContent(paths.sibling, [paths.last]);
  await assertNoRepairs(last);
  assertConsistent(await reader.stopReader());
});

scopedTest("promote: it stays a primary until the config names another upstream", async (scope) => {
  const { paths, old, next, sibling } = await fleet(scope);
  await old.kill();
  await next.post("/promote", { path: paths.next });
  await write(scope, paths.next, 20);
  const before = await positionOf(next);
  for (const end of ["stop", "kill"] as const) {
    await next[end]();
    next.start();
    await next.healthy();
    assertEquals((await next.database()).role, "primary");
    assertEquals(await positionOf(next), before, `the history goes on after ${end}`);
  }
  await next.logged(/this database was promoted: remove `upstream`/);
  next.reload(replicaOf(paths.next, old, paths.old));
  await next.logged(/config reloaded/);
  assertEquals((await next.database()).role, "primary", "the same config changes nothing");
  next.reload(primaryOf(paths.next));
  await next.logged(/config reloaded.*changed/);
  await next.healthy();
  assertEquals(await positionOf(next), before);
  sibling.reload(replicaOf(paths.sibling, next, paths.next));
  await assertSamePosition(next, sibling);
  // Restarted, it knows only what is newest: the sibling, behind that, compares hashes.
  assertEquals((await sibling.database()).counters.firstCopies, 0);

  // Another upstream ends it.
  await sibling.post("/promote", { path: paths.sibling });
  await write(scope, paths.sibling, 20);
  next.reload(replicaOf(paths.next, sibling, paths.sibling));
  await assertSamePosition(sibling, next);
  await assertSameContent(paths.sibling, [paths.next]);
});

scopedTest("promote: who has more than the promoted one gives it up and is told", async (scope) => {
  const { paths, old, next, sibling, last } = await fleet(scope);
  for (const node of [next, sibling, last]) await assertSamePosition(old, node);
  const before = await positionOf(next);
  await next.kill(); // stopped alone, it would find what was sent meanwhile
  await write(scope, paths.old, 7);
  await assertSamePosition(old, sibling);
  await old.kill();
  next.start();
  await next.until("knows where it is", ({ txid }) => txid !== undefined);
  const { parent } = await next.post("/promote", { path: paths.next });
  assertEquals(parent, before, "it never had the last transactions");
  sibling.reload(replicaOf(paths.sibling, next, paths.next));
  await assertSamePosition(next, sibling);
  await assertSameContent(paths.next, [paths.sibling, paths.last]);
  const { counters } = await sibling.database();
  assertEquals([counters.givenUp, counters.firstCopies], [7, 0]);
  await sibling.logged(/transactions are given up.*"count":7/);
});

scopedTest(
  "promote: an open connection stays read-only until it is opened again",
  async (scope) => {
    const { paths, next } = await fleet(scope);
    const insert = "INSERT INTO counter_log VALUES(100000, 'x')";
    const app = await scope.open(paths.next);
    const met = await assertRejects(() => app.exec(insert));
    assertEquals(met instanceof SqlError && met.code, 8);
    const { next: sentences } = await next.post("/promote", { path: paths.next });
    assertMatch(sentences!.join("\n"), /must open the database again/);
    const still = await assertRejects(() => app.exec(insert));
    assertEquals(still instanceof SqlError && still.code, 8);
    await app.close();
    await app.open(paths.next);
    await app.exec(insert);
  },
);

scopedTest("promote: the command, and what is refused", async (scope) => {
  const { paths, next, old } = await fleet(scope);
  const cli = (...args: string[]) => runToEnd(EXECUTABLE, ["promote", ...args]);
  const copying = await scope.start("copying", {
    dbs: [{
      path: await scope.path("copying/app.db"),
      upstream: { url: "http://127.0.0.1:9", path: "/nowhere" },
    }],
  }, false);
  await copying.until("waits", ({ state }) => state === "waiting");
  const early = await cli(copying.url, "-path", (await copying.database()).path);
  assertEquals(early.code, 1);
  assertMatch(early.error, /not promoted: .*127\.0\.0\.1:9/);
  const unknown = await cli(next.url, "-path", "/nowhere");
  assertMatch(unknown.error, /not promoted: No database of this path/);
  assertEquals(JSON.parse((await cli(`${old.url}${paths.old}`, "-json")).out).result, "already");

  const done = await cli("-config", next.configPath);
  assertEquals([done.code, done.error], [0, ""]);
  assertMatch(done.out, /is a primary now, at [0-9a-f]{16}\/[0-9a-f]{16}\n/);
  assertMatch(done.out, /- applications on this machine must open the database again/);
  const twice = await cli("-config", next.configPath, "-json");
  assertEquals(JSON.parse(twice.out).result, "already");
});

scopedTest("promote: a replica whose place is not known is promoted as it is", async (scope) => {
  const { paths, old, next, sibling } = await fleet(scope);
  for (const node of [next, sibling]) await assertSamePosition(old, node);
  await next.stop();
  await old.kill();
  await Deno.writeTextFile(
    `${paths.next}-live/state`,
    (await Deno.readTextFile(`${paths.next}-live/state`)).replaceAll(
      /"hash":"..../g,
      '"hash":"0000',
    ),
  );
  next.start();
  await next.until("connects", ({ state, epoch }) => state === "connecting" && epoch === undefined);
  const { parent } = await next.post("/promote", { path: paths.next });
  assertMatch(parent!, /\/0{16}$/);
  await write(scope, paths.next, 20);
  sibling.reload(replicaOf(paths.sibling, next, paths.next));
  await assertSamePosition(next, sibling);
  await assertSameContent(paths.next, [paths.sibling]);
  assertEquals((await sibling.database()).counters.firstCopies, 0);
});

scopedTest("promote: a disk that fails is told at once, and it follows on", async (scope) => {
  const { paths, old, next } = await fleet(scope);
  await assertSamePosition(old, next);
  await Deno.mkdir(`${paths.next}-live/history.new`); // its history cannot be written
  const { status, message } = await next.post("/promote", { path: paths.next });
  assertEquals(status, 503);
  assertMatch(message!, /Cannot write "[^"]+-live.history"/);
  await write(scope, paths.old, 20);
  await assertSamePosition(old, next);
  assertEquals((await next.database()).role, "replica");
  await Deno.remove(`${paths.next}-live/history.new`);
  await Deno.rename(`${paths.next}-live`, `${paths.next}-aside`); // it has no folder at all
  await Deno.writeTextFile(`${paths.next}-live`, "");
  const folder = await next.post("/promote", { path: paths.next });
  assertEquals(folder.status, 503);
  assertMatch(folder.message!, /-live/);
  await Deno.remove(`${paths.next}-live`);
  await Deno.rename(`${paths.next}-aside`, `${paths.next}-live`);
  await assertSamePosition(old, next);
  const again = await next.post("/promote", { path: paths.next });
  assertEquals([again.status, again.result], [200, "promoted"]);
  await write(scope, paths.next, 20);
});

scopedTest("promote: a history that cannot be read stops its database alone", async (scope) => {
  const paths = { torn: await scope.path("torn/app.db"), other: await scope.path("other/app.db") };
  for (const path of Object.values(paths)) await write(scope, path, 20);
  await Deno.mkdir(`${paths.torn}-live`);
  await Deno.writeTextFile(`${paths.torn}-live/history`, "\0\0\0");
  const dbs = [{ path: paths.torn }, { path: paths.other }];
  const node = await scope.start("node", { dbs }, false);
  const { reason } = await node.until("says so", ({ state }) => state === "failed", {
    path: paths.torn,
  });
  assertMatch(reason!, /Cannot read "[^"]+-live.history".+: remove it, and it is what/);
  await node.until("serves", ({ state }) => state === "serving", { path: paths.other });
  await Deno.remove(`${paths.torn}-live/history`);
  await node.healthy();
});
