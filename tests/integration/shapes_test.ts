import type { App } from "../support/app.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { describeFile } from "../support/content.ts";
import { eventually } from "../support/process.ts";
import {
  assertConsistent,
  assertInSync,
  assertNoRepairs,
  assertUndisturbed,
  type Pair,
  startPair,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const FILL = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<3000) " +
  "INSERT INTO t SELECT n, randomblob(400) FROM c";

/** A primary with a filled table, and its replica. */
async function filled(scope: Scope, ...pragmas: string[]): Promise<Pair & { app: App }> {
  const app = await scope.open(await scope.path("primary/app.db"));
  await app.exec(...pragmas, "PRAGMA journal_mode=wal");
  await app.exec("CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)", FILL);
  return { ...await startPair(scope), app };
}

for (const pageSize of [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]) {
  scopedTest(`a database of ${pageSize}-byte pages is copied and followed`, async (scope) => {
    const { app, ...pair } = await filled(scope, `PRAGMA page_size=${pageSize}`);
    const writer = await scope.app();
    await writer.startWriter({ path: pair.source, count: 150, pad_bytes: 900 });
    assertUndisturbed(await writer.joinWriter());
    await app.exec(
      "DELETE FROM t WHERE a % 3 = 0",
      "UPDATE t SET b = randomblob(300) WHERE a % 5 = 0",
    );
    await assertInSync(pair);
    assertEquals((await describeFile(pair.copy)).pageSize, pageSize);
    await assertNoRepairs(pair.replica);
  });
}

scopedTest("VACUUM reaches the replica and shrinks it", async (scope) => {
  const { app, ...pair } = await filled(scope);
  const before = (await describeFile(pair.source)).pages;
  await app.exec("DELETE FROM t WHERE a > 100", "VACUUM");
  await assertInSync(pair);
  const after = (await describeFile(pair.copy)).pages;
  assert(after < before / 10, `${before} pages became ${after}`);
  await assertNoRepairs(pair.replica);
});

for (const mode of ["full", "incremental"]) {
  scopedTest(`a database with auto_vacuum=${mode} shrinks on the replica`, async (scope) => {
    const { app, ...pair } = await filled(scope, `PRAGMA auto_vacuum=${mode}`);
    for (let round = 0; round < 10; round++) {
      await app.exec(`DELETE FROM t WHERE a <= ${round * 250 + 250}`);
      await app.exec("PRAGMA incremental_vacuum(40)");
    }
    await assertInSync(pair);
    await assertNoRepairs(pair.replica);
  });
}

scopedTest("DROP TABLE and new tables reach the replica", async (scope) => {
  const { app, ...pair } = await filled(scope);
  for (let round = 0; round < 10; round++) {
    await app.exec(
      "CREATE TABLE u(a, b)",
      `CREATE INDEX u_a${round} ON u(a)`,
      "INSERT INTO u SELECT a, b FROM t",
      round % 2 === 0 ? "DROP TABLE u" : "ALTER TABLE u RENAME TO u" + round,
    );
  }
  await app.exec("DROP TABLE t");
  await assertInSync(pair);
  const reader = await scope.app();
  await reader.open(pair.copy, { mode: "ro" });
  assertEquals(await reader.value("PRAGMA integrity_check"), "ok");
  await assertNoRepairs(pair.replica);
});

scopedTest("a database that shrinks to one page does so on the replica", async (scope) => {
  const { app, ...pair } = await filled(scope);
  await app.exec("DROP TABLE t", "VACUUM");
  await assertInSync(pair);
  assertEquals((await describeFile(pair.copy)).pages, 1);
  await app.exec("CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)", FILL); // and grows again
  await assertInSync(pair);
  await assertNoRepairs(pair.replica);
});

scopedTest(
  "readers of the replica see whole states while the primary is vacuumed",
  async (scope) => {
    const writer = await scope.app();
    await writer.startWriter({
      path: await scope.path("primary/app.db"),
      vacuum_every: 100,
      pad_bytes: 2000,
    });
    await eventually("commits", async () => (await writer.writerProgress()).n > 200 || undefined);
    const pair = await startPair(scope);
    const reader = await scope.app();
    await reader.startReader({ path: pair.copy, check_every: 25 });
    const mapped = await scope.app(); // nothing may be cut under its map of the file
    await mapped.startReader({ path: pair.copy, check_every: 25, mmap_bytes: 2 ** 28 });
    await eventually("reads", async () => {
      const counts = [await reader.readerProgress(), await mapped.readerProgress()];
      const { n } = await writer.writerProgress();
      return (counts.every(({ count }) => count > 500) && n > 1500) || undefined;
    }, 40_000);
    assertUndisturbed(await writer.stopWriter());
    await assertInSync(pair);
    for (const one of [reader, mapped]) assertConsistent(await one.stopReader());
    await assertNoRepairs(pair.replica);
  },
);
