import { assert, assertEquals } from "../support/assert.ts";
import { describeFile } from "../support/content.ts";
import type { App } from "../support/app.ts";
import type { LiveNode } from "../support/node.ts";
import { eventually, sleep } from "../support/process.ts";
import { assertInSync, primaryOf, replicaOf, startPair } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const FILL = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<20000) " +
  "INSERT INTO t SELECT n, randomblob(400) FROM c";

interface Filled {
  readonly app: App;
  readonly source: string;
  readonly copy: string;
  readonly primary: LiveNode;
}

/** A primary of some 9 MB; its replica's path is still empty. */
async function filled(scope: Scope): Promise<Filled> {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)", FILL);
  return { app, source, copy, primary: await scope.start("primary", primaryOf(source)) };
}

scopedTest(
  "a backup at the replica's path is repaired by hashes, not copied whole",
  async (scope) => {
    const { app, source, copy, primary } = await filled(scope);
    await app.exec(`VACUUM INTO '${copy}'`);
    // A backup of the same pages: VACUUM INTO numbers them as the source, which was never fragmented.
    await app.exec("UPDATE t SET b = randomblob(400) WHERE a % 500 = 0");
    const replica = await scope.start("replica", replicaOf(copy, primary, source));
    await assertInSync({ source, copy, primary, replica });
    const { counters } = await replica.database();
    assertEquals(counters.firstCopies, 0);
    assert(counters.repairs > 0, "it was repaired");
    const { pages, pageSize } = await describeFile(copy);
    const limit = pages * pageSize / 4;
    assert(counters.receivedBytes < limit, `${counters.receivedBytes} bytes were received`);
  },
);

scopedTest("a replica whose file was changed behind its back is repaired", async (scope) => {
  const { app, source, copy, primary } = await filled(scope);
  const replica = await scope.start("replica", replicaOf(copy, primary, source));
  await assertInSync({ source, copy, primary, replica });
  await replica.stop();
  const reader = await scope.open(copy); // checkpoints and deletes the log when it closes
  await reader.value("SELECT count(*) FROM t");
  await reader.close();
  const bytes = await Deno.readFile(copy);
  bytes.fill(0xee, 4096 * 100 + 50, 4096 * 100 + 60);
  await Deno.writeFile(copy, bytes);
  replica.start();
  await replica.healthy();
  await app.exec("UPDATE t SET b = randomblob(400) WHERE a = 1");
  await assertInSync({ source, copy, primary, replica });
  const { counters } = await replica.database();
  assertEquals([counters.firstCopies, counters.repairs > 0], [0, true]);
});

scopedTest(
  "a replica survives a foreign checkpoint and a log deleted while it was down",
  async (scope) => {
    const { app, source, copy, primary } = await filled(scope);
    const replica = await scope.start("replica", replicaOf(copy, primary, source));
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await app.exec("UPDATE t SET b = randomblob(400) WHERE a % 1000 = 1");
      await assertInSync({ source, copy, primary, replica });
      if (signal === "SIGTERM") await replica.stop();
      else await replica.kill();
      const reader = await scope.open(copy);
      await reader.value("SELECT count(*) FROM t");
      await reader.rows("PRAGMA wal_checkpoint(TRUNCATE)");
      await reader.close();
      await app.exec("UPDATE t SET b = randomblob(400) WHERE a % 1000 = 2");
      replica.start();
      await replica.healthy();
      await assertInSync({ source, copy, primary, replica });
      assertEquals((await replica.database()).counters.firstCopies, 0);
    }
  },
);

scopedTest("a file that has nothing in common is refused and not touched", async (scope) => {
  const { source, copy, primary } = await filled(scope);
  const other = await scope.open(copy);
  await other.exec("PRAGMA journal_mode=wal", "CREATE TABLE precious(a)", "PRAGMA user_version=7");
  await other.exec("INSERT INTO precious VALUES(randomblob(30000))");
  await other.close();
  const before = await describeFile(copy);
  const replica = await scope.start("replica", replicaOf(copy, primary, source), false);
  const { reason } = await replica.until("refuses it", ({ state }) => state === "failed");
  assert(reason !== undefined && reason.length > 20, `a reason: ${reason}`);
  assertEquals((await replica.health()).status, 503);
  await sleep(500);
  assertEquals((await describeFile(copy)).sha256, before.sha256);
  const again = await scope.open(copy);
  assertEquals(await again.value("PRAGMA user_version"), 7);
  await again.exec("INSERT INTO precious VALUES('still mine')");
});

scopedTest("a database that an application writes to is never made a replica", async (scope) => {
  const { source, copy, primary } = await filled(scope);
  const app = await scope.app();
  await app.startWriter({ path: copy, pace_ms: 1 });
  await eventually("commits", async () => (await app.writerProgress()).n > 50 || undefined);
  const replica = await scope.start("replica", replicaOf(copy, primary, source), false);
  await replica.until("refuses it", ({ state }) => state === "failed");
  await sleep(300);
  const report = await app.stopWriter();
  assertEquals(report.errors, {}, report.messages.join());
});

scopedTest(
  "a replica is not wiped when the primary's file is deleted and made anew",
  async (scope) => {
    const app = await scope.open(await scope.path("primary/app.db"));
    await app.exec(
      "PRAGMA journal_mode=wal",
      "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)",
      FILL,
    );
    const pair = await startPair(scope);
    await assertInSync(pair);
    const before = await describeFile(pair.copy);
    await app.close();
    for (const suffix of ["", "-wal", "-shm"]) {
      await Deno.remove(`${pair.source}${suffix}`).catch(() => {});
    }
    await app.open(pair.source);
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE u(a)", "INSERT INTO u VALUES(1)");
    await pair.replica.until("refuses it", ({ state }) => state === "failed");
    assertEquals((await describeFile(pair.copy)).sha256, before.sha256);
  },
);

scopedTest(
  "a primary whose file is replaced by an older backup is followed again",
  async (scope) => {
    const { app, source, copy, primary } = await filled(scope);
    const backup = await scope.path("backup/app.db");
    await app.backup(backup);
    const replica = await scope.start("replica", replicaOf(copy, primary, source));
    await app.exec("UPDATE t SET b = randomblob(400) WHERE a % 100 = 0");
    await assertInSync({ source, copy, primary, replica });
    const { epoch } = await primary.database();
    await app.close();
    await primary.stop();
    for (const suffix of ["-wal", "-shm"]) await Deno.remove(`${source}${suffix}`).catch(() => {});
    await Deno.copyFile(backup, source);
    primary.start();
    await primary.healthy();
    await app.open(source);
    await app.exec("UPDATE t SET b = randomblob(400) WHERE a = 5");
    await assertInSync({ source, copy, primary, replica });
    assert((await primary.database()).epoch !== epoch, "a new epoch began");
    assertEquals((await replica.database()).counters.firstCopies, 1);
  },
);

scopedTest(
  "a replica's file that no SQLite can read is copied again from what is left",
  async (scope) => {
    const app = await scope.open(await scope.path("primary/app.db"));
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
    await app.exec("INSERT INTO t VALUES(randomblob(3000000))");
    const pair = await startPair(scope);
    await assertInSync(pair);
    await pair.replica.kill();
    // Its log deleted while it was down, and half of it was in the file: the schema makes no sense.
    for (const suffix of ["-wal", "-shm"]) {
      await Deno.remove(`${pair.copy}${suffix}`).catch(
        () => {},
      );
    }
    {
      using file = await Deno.open(pair.copy, { write: true });
      await file.seek(100, Deno.SeekMode.Start);
      await file.write(new Uint8Array(500).fill(0xff));
    }
    pair.replica.start();
    await pair.replica.healthy();
    await app.exec("INSERT INTO t VALUES(1)");
    await assertInSync(pair);
    await pair.replica.logged(/no SQLite can read the file/);
    const { counters } = await pair.replica.database();
    assert(
      counters.receivedBytes < 1_000_000,
      `${counters.receivedBytes} bytes came, not all again`,
    );
  },
);
