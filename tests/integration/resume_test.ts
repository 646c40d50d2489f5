import { assert, assertEquals } from "../support/assert.ts";
import { eventually } from "../support/process.ts";
import { assertInSync, primaryOf, replicaOf } from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

const FILL = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<200) " +
  "INSERT INTO t(b) SELECT randomblob(1000000) FROM c";

async function bytesOf(path: string): Promise<number> {
  return await Deno.stat(path).then(({ size }) => size, () => 0);
}

scopedTest("a first copy that was killed goes on where it was", async (scope) => {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "PRAGMA synchronous=off");
  await app.exec("CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)", FILL);
  // Four seconds are left once a part of it is there: it is killed before the end.
  const primary = await scope.start("primary", {
    ...primaryOf(source),
    "copy-rate-limit": "40MB/s",
  });
  const replica = await scope.start("replica", replicaOf(copy, primary, source), false);
  await eventually("a part of it", async () => {
    return (await bytesOf(`${copy}-live/copy`)) > 20_000_000 || undefined;
  });
  await replica.kill();
  assertEquals(await bytesOf(copy), 0, "nothing is readable before it is whole");
  const left = await bytesOf(`${copy}-live/copy`);
  assert(left < 190_000_000, `it was killed too late: ${left} bytes`);
  await app.exec("UPDATE t SET b = randomblob(1000000) WHERE a < 5");
  replica.start();
  await replica.healthy();
  await assertInSync({ source, copy, primary, replica });
  const { counters } = await replica.database();
  assertEquals(counters.firstCopies, 1);
  const most = 200_000_000 - left + 20_000_000;
  assert(counters.receivedBytes < most, `${counters.receivedBytes} bytes after ${left} were there`);
});
