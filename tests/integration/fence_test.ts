import { formatPosition } from "../../src/base/types.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { compareFiles, describeFile } from "../support/content.ts";
import { EXECUTABLE, type LiveNode } from "../support/node.ts";
import { runToEnd, sleep } from "../support/process.ts";
import {
  assertSameContent,
  assertSamePosition,
  assertUndisturbed,
  primaryOf,
  replicaOf,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

interface Trio {
  readonly paths: Readonly<Record<"old" | "next" | "sibling", string>>;
  readonly old: LiveNode;
  readonly next: LiveNode;
  readonly sibling: LiveNode;
}

/** A primary, and two replicas of it that are where it is. */
async function trio(scope: Scope): Promise<Trio> {
  const paths = {
    old: await scope.path("old/app.db"),
    next: await scope.path("next/app.db"),
    sibling: await scope.path("sibling/app.db"),
  };
  await write(scope, paths.old, 100);
  const old = await scope.start("old", primaryOf(paths.old));
  const next = await scope.start("next", replicaOf(paths.next, old, paths.old));
  const sibling = await scope.start("sibling", replicaOf(paths.sibling, old, paths.old));
  await write(scope, paths.old, 10); // the log has frames, by which a restart proves its history
  for (const node of [next, sibling]) await assertSamePosition(old, node);
  return { paths, old, next, sibling };
}

async function write(scope: Scope, path: string, count: number): Promise<void> {
  await using writer = await scope.app();
  await writer.startWriter({ path, count });
  assertUndisturbed(await writer.joinWriter());
}

const isFenced = ({ state, reason = "" }: { state: string; reason?: string }): boolean =>
  state === "failed" && reason.includes("is fenced");

async function asideOf(path: string): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(`${path}-live`), ({ name }) => name);
  return names.filter((name) => name.startsWith("aside-"));
}

scopedTest("fence: an old primary that comes back serves nobody, and is told so", async (scope) => {
  const { paths, old, next, sibling } = await trio(scope);
  await old.kill();
  await next.post("/promote", { path: paths.next });
  await write(scope, paths.next, 10);
  next.reload(primaryOf(paths.next)); // as it should be: the config does not name the old one any more
  await next.logged(/config reloaded.*changed/);
  await next.healthy();
  const { epoch } = await next.database();

  old.start();
  const { reason } = await old.until("is fenced", isFenced);
  assert(reason!.includes(epoch!), "the sentence names the newer epoch");
  assertMatch(reason!, /told by 127\.0\.0\.1/);
  const { status, text } = await old.health();
  assertEquals(status, 503);
  assertMatch(text, /is fenced/);
  const refused = await old.getText(`/v1/hashes?path=${paths.old}`);
  assertEquals([refused.status, JSON.parse(refused.text).code], [409, "guard"]);
  await sibling.until("is refused", (database) => /is fenced/.test(database.reason ?? ""));

  // The application is not disturbed, and has its own checkpoints.
  const app = await scope.open(paths.old);
  await app.exec("INSERT INTO counter_log VALUES(100001, 'x')");
  assertEquals((await app.rows("PRAGMA wal_checkpoint(PASSIVE)"))[0]![0], 0);

  // Also after a restart, with nobody to tell it.
  await next.stop();
  await old.stop();
  old.start();
  await old.until("is fenced", isFenced);
  assertEquals((await app.rows("PRAGMA wal_checkpoint(PASSIVE)"))[0]![0], 0);

  // A person may say that it goes on all the same: beside the newer one.
  const accepted = await runToEnd(EXECUTABLE, ["accept", paths.old]);
  assertEquals(accepted.code, 0);
  await old.healthy();
  next.start();
  await next.healthy();
  assert((await old.database()).epoch !== epoch);
  await sleep(2500); // it is told again
  await old.healthy();
});

scopedTest("fence: an old primary whose history is broken is fenced, too", async (scope) => {
  const { paths, old, next } = await trio(scope);
  const { epoch } = await old.database();
  await old.stop();
  await next.post("/promote", { path: paths.next });
  await next.stop();
  const app = await scope.open(paths.old);
  await app.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  await app.close(); // the log is gone: nothing proves where it was
  old.start();
  await old.healthy();
  assert((await old.database()).epoch !== epoch, "a new epoch");
  next.start();
  await old.until("is fenced", isFenced);
});

scopedTest(
  "fence: a replica that has followed the newer history tells the old one",
  async (scope) => {
    const { paths, old, next, sibling } = await trio(scope);
    old.pause();
    await next.post("/promote", { path: paths.next });
    sibling.reload(replicaOf(paths.sibling, next, paths.next));
    await assertSamePosition(next, sibling);
    const { epoch } = await next.database();
    await next.kill(); // it cannot tell
    old.resume();
    await old.healthy();

    // One that does not know its place cannot tell either, and still does not go back.
    await sibling.stop();
    const state = await Deno.readTextFile(`${paths.sibling}-live/state`);
    const spoilt = state.replaceAll(/"hash":"..../g, '"hash":"0000');
    await Deno.writeTextFile(`${paths.sibling}-live/state`, spoilt);
    const astray = scope.node("astray", replicaOf(paths.sibling, old, paths.old));
    astray.start();
    await astray.until("refuses", (database) => /which ended when/.test(database.reason ?? ""));
    await astray.stop();
    await old.healthy();
    await Deno.writeTextFile(`${paths.sibling}-live/state`, state);

    sibling.start();
    await sibling.until("knows its place", (database) => database.epoch === epoch);
    sibling.reload(replicaOf(paths.sibling, old, paths.old));
    await old.until("is fenced", isFenced);
    await sibling.until("is refused", (database) => /is fenced/.test(database.reason ?? ""));
    assertEquals((await sibling.database()).epoch, epoch, "its own history is not given up");
    assertEquals((await compareFiles(paths.next, paths.sibling)).equal, true);
  },
);

scopedTest("rejoin: what the old primary had alone is kept aside and counted", async (scope) => {
  const { paths, old, next, sibling } = await trio(scope);
  await sleep(1200); // where the log is, is written down each second
  for (const node of [next, sibling]) await node.stop();
  await write(scope, paths.old, 9); // nobody has these
  await old.kill();
  next.start();
  await next.until("is open", ({ readable }) => readable);
  await next.post("/promote", { path: paths.next });
  await write(scope, paths.next, 30);
  const before = await Deno.readFile(paths.old);
  await Deno.writeFile(`${scope.folder}/before.db`, before);
  const wal = await Deno.readFile(`${paths.old}-wal`);
  await Deno.writeFile(`${scope.folder}/before.db-wal`, wal);

  const rejoining = scope.node("old again", {
    ...replicaOf(paths.old, next, paths.next),
    addr: old.address!,
  });
  rejoining.start();
  await rejoining.healthy();
  await assertSamePosition(next, rejoining);
  await assertSameContent(paths.next, [paths.old]);
  const { counters } = await rejoining.database();
  assertEquals([counters.givenUp, counters.firstCopies, counters.repairs], [9, 0, 1]);
  await rejoining.logged(/transactions are given up.*"count":9/);
  assertEquals(await asideOf(paths.old), ["aside-1"]);
  const kept = `${paths.old}-live/aside-1/app.db`;
  const { equal, problems } = await compareFiles(`${scope.folder}/before.db`, kept);
  assertEquals([equal, problems], [true, []]);
  assertEquals((await describeFile(kept)).byte18, 2, "any SQLite writes to it");

  // It is an ordinary replica now: a restart keeps nothing more aside.
  await rejoining.kill();
  await write(scope, paths.next, 5);
  rejoining.start();
  await assertSamePosition(next, rejoining);
  assertEquals(await asideOf(paths.old), ["aside-1"]);
});

scopedTest("rejoin: an old primary that lost nothing goes on by delta", async (scope) => {
  const { paths, old, next } = await trio(scope);
  const { epoch, txid } = await old.database();
  await old.stop();
  const { parent } = await next.post("/promote", { path: paths.next });
  assertEquals(parent, formatPosition({ epoch: epoch!, txid: txid! }));
  await write(scope, paths.next, 30);
  const rejoining = scope.node("old again", replicaOf(paths.old, next, paths.next));
  rejoining.start();
  await rejoining.healthy();
  await assertSamePosition(next, rejoining);
  await assertSameContent(paths.next, [paths.old]);
  const { counters } = await rejoining.database();
  assertEquals([counters.givenUp, counters.repairs, counters.firstCopies], [0, 0, 0]);
  assertEquals(await asideOf(paths.old), []);
});
