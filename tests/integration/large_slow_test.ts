import { assert, assertEquals } from "../support/assert.ts";
import { describeFile } from "../support/content.ts";
import { eventually } from "../support/process.ts";
import {
  assertConsistent,
  assertInSync,
  assertNoRepairs,
  startPair,
} from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

const LIMIT = { limitMs: 600_000 };
const SLOWLY = { limitMs: 180_000 };

/** Inserts `rows` rows of 1 MB. */
const megabytes = (rows: number): string =>
  `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<${rows}) ` +
  "INSERT INTO big(b) SELECT randomblob(1000000) FROM c";

/** Memory that is the process's own now, MB. */
async function residentMegabytes(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(status.match(/VmHWM:\s+(\d+) kB/)?.[1]) / 1024;
}

scopedTest("a transaction of 300 MB arrives as one", async (scope) => {
  const writer = await scope.app();
  await writer.startWriter({ path: await scope.path("primary/app.db"), count: 200 });
  await writer.joinWriter();
  const app = await scope.open(await scope.path("primary/app.db"));
  await app.exec("CREATE TABLE big(id INTEGER PRIMARY KEY, b BLOB)");
  const pair = await startPair(scope);
  const reader = await scope.app();
  await reader.startReader({ path: pair.copy, pace_ms: 5, check_every: 1000 });
  const watcher = await scope.app();
  await watcher.open(pair.copy, { mode: "ro" });
  await app.exec(megabytes(300));
  const counts = new Set<unknown>();
  await eventually("300 rows", async () => {
    const count = await watcher.value("SELECT count(*) FROM big");
    counts.add(count);
    return count === 300 || undefined;
  }, 60_000);
  assert([...counts].every((count) => count === 0 || count === 300), `saw ${[...counts]}`);
  await assertInSync(pair, SLOWLY);
  assertConsistent(await reader.stopReader());
  await assertNoRepairs(pair.replica);
  for (const node of [pair.primary, pair.replica]) {
    const megabytes = await residentMegabytes(node.child.pid);
    assert(megabytes < 400, `node ${node.name} took ${Math.round(megabytes)} MB`);
  }
}, LIMIT);

scopedTest("a database of 1.1 GiB is copied and followed across the lock page", async (scope) => {
  const app = await scope.open(await scope.path("primary/app.db"));
  await app.exec(
    "PRAGMA journal_mode=wal",
    "PRAGMA synchronous=off",
    "CREATE TABLE big(id INTEGER PRIMARY KEY, b BLOB)",
  );
  for (let part = 0; part < 10; part++) await app.exec(megabytes(100));
  const pair = await startPair(scope);
  // Grows over the lock page at 1 GiB while it is followed.
  for (let part = 0; part < 4; part++) await app.exec(megabytes(50));
  await app.exec("UPDATE big SET b = randomblob(1000) WHERE id % 50 = 0");
  await assertInSync(pair, SLOWLY);
  const { pages, pageSize } = await describeFile(pair.copy);
  assert(pages * pageSize > 1.1 * 2 ** 30, `${pages} pages`);
  await pair.replica.stop();
  await app.exec("DELETE FROM big WHERE id <= 100");
  pair.replica.start();
  await pair.replica.healthy(120_000);
  await assertInSync(pair, SLOWLY);
  await assertNoRepairs(pair.replica);
}, LIMIT);

scopedTest("a 1.1 GiB database that exists is copied whole, once", async (scope) => {
  const app = await scope.open(await scope.path("primary/app.db"));
  await app.exec(
    "PRAGMA journal_mode=wal",
    "PRAGMA synchronous=off",
    "CREATE TABLE big(id INTEGER PRIMARY KEY, b BLOB)",
  );
  for (let part = 0; part < 12; part++) await app.exec(megabytes(100));
  await app.close();
  await app.open(`${scope.folder}/primary/app.db`);
  const pair = await startPair(scope);
  await assertInSync(pair, SLOWLY);
  const { counters } = await pair.replica.database();
  assertEquals([counters.firstCopies, counters.repairs], [1, 0]);
}, LIMIT);
