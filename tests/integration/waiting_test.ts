import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { sleep } from "../support/process.ts";
import { assertInSync, primaryOf, replicaOf, startPair } from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

scopedTest("a rollback-mode database is set to WAL when the node starts", async (scope) => {
  const source = await scope.path("primary/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=delete", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
  const pair = await startPair(scope);
  await pair.primary.logged(/WAL/);
  await app.exec("INSERT INTO t VALUES(2)");
  assertEquals(await app.value("PRAGMA journal_mode"), "wal");
  await assertInSync(pair);
});

scopedTest("a rollback-mode database in use is waited for", async (scope) => {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=delete", "CREATE TABLE t(a)", "BEGIN IMMEDIATE");
  await app.exec("INSERT INTO t VALUES(1)");
  const primary = await scope.start("primary", primaryOf(source), false);
  await primary.until("waits", ({ state, reason }) => state === "waiting" && reason !== undefined);
  await app.exec("COMMIT");
  await primary.healthy();
  const replica = await scope.start("replica", replicaOf(copy, primary, source));
  await app.exec("INSERT INTO t VALUES(2)");
  await assertInSync({ source, copy, primary, replica });
});

scopedTest("a primary waits for its directory and its database", async (scope) => {
  const source = `${scope.folder}/later/deeper/app.db`;
  const primary = await scope.start("primary", primaryOf(source), false);
  const waiting = await primary.until("waits", ({ state }) => state === "waiting");
  assert(waiting.reason !== undefined, "it says what it waits for");
  assertEquals((await primary.health()).status, 503);
  await Deno.mkdir(`${scope.folder}/later/deeper`, { recursive: true });
  await sleep(300);
  const app = await scope.open(source);
  await sleep(300); // it may see an empty file
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
  await primary.healthy();
  const copy = `${scope.folder}/replica/also/later/app.db`;
  const replica = await scope.start("replica", replicaOf(copy, primary, source), false);
  await sleep(500);
  await Deno.mkdir(`${scope.folder}/replica/also/later`, { recursive: true });
  await replica.healthy();
  await assertInSync({ source, copy, primary, replica });
  const waits = primary.log.filter((line) => /"(info|warn|INFO|WARN|WARNING|warning)"/i.test(line));
  assert(waits.length < 20, `said once, not ${waits.length} times`);
});

scopedTest("a replica waits for its upstream and says so once", async (scope) => {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const primary = scope.node("primary", primaryOf(source));
  const replica = await scope.start("replica", replicaOf(copy, primary, source), false);
  await replica.until("waits", ({ state }) => state === "waiting" || state === "connecting");
  const { status, text } = await replica.health();
  assertEquals(status, 503);
  assertMatch(text, /app\.db/);
  await sleep(2000);
  assert(replica.log.length < 15, `quiet while it waits: ${replica.log.length} lines`);
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
  primary.start();
  await replica.healthy();
  await assertInSync({ source, copy, primary, replica });
});

scopedTest("an empty database is replicated", async (scope) => {
  const source = await scope.path("primary/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal");
  const pair = await startPair(scope);
  await app.exec("CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
  await assertInSync(pair);
});

scopedTest("a file of 0 bytes at the replica's path is filled in place", async (scope) => {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
  await Deno.writeFile(copy, new Uint8Array());
  const { ino } = await Deno.stat(copy);
  const primary = await scope.start("primary", primaryOf(source));
  const replica = await scope.start("replica", replicaOf(copy, primary, source));
  await assertInSync({ source, copy, primary, replica });
  assertEquals((await Deno.stat(copy)).ino, ino);
});

scopedTest("a primary's database that is moved away and back is followed", async (scope) => {
  const app = await scope.open(await scope.path("primary/app.db"));
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
  const pair = await startPair(scope);
  await app.close();
  for (const suffix of ["", "-wal", "-shm"]) {
    await Deno.rename(`${pair.source}${suffix}`, `${pair.source}.away${suffix}`).catch(() => {});
  }
  await pair.primary.until("waits", ({ state }) => state === "waiting");
  for (const suffix of ["", "-wal", "-shm"]) {
    await Deno.rename(`${pair.source}.away${suffix}`, `${pair.source}${suffix}`).catch(() => {});
  }
  await pair.primary.healthy();
  await app.open(pair.source);
  await app.exec("INSERT INTO t VALUES(2)");
  await assertInSync(pair);
});
