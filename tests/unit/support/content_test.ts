import { assert, assertEquals } from "../../support/assert.ts";
import { compareFiles, describeFile } from "../../support/content.ts";
import { type Scope, scopedTest } from "../../support/scope.ts";

/** Two copies of a database that was made by these statements, closed and checkpointed. */
async function twins(scope: Scope, ...statements: string[]): Promise<[string, string]> {
  const first = await scope.path("first.db");
  const second = await scope.path("second.db");
  const app = await scope.open(first);
  await app.exec(...statements);
  await app.close();
  await Deno.copyFile(first, second);
  return [first, second];
}

const FILLED = [
  "PRAGMA journal_mode=wal",
  "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)",
  "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<500) " +
  "INSERT INTO t SELECT n, zeroblob(300) FROM c",
];

async function flip(path: string, offset: number): Promise<void> {
  const bytes = await Deno.readFile(path);
  bytes[offset]! ^= 1;
  await Deno.writeFile(path, bytes);
}

scopedTest("compareFiles() says equal when files are the same", async (scope) => {
  const [first, second] = await twins(scope, ...FILLED);
  const answer = await compareFiles(first, second);
  assertEquals(answer.problems, []);
  assert(answer.equal && answer.pages > 30);
});

scopedTest("compareFiles() names the page when one bit differs", async (scope) => {
  const [first, second] = await twins(scope, ...FILLED);
  await flip(second, 4096 * 7 + 99);
  assertEquals((await compareFiles(first, second)).problems, ["page 8 differs from byte 99"]);
});

scopedTest("compareFiles() overlooks byte 18 of page 1, and no other", async (scope) => {
  const [first, second] = await twins(scope, ...FILLED);
  await flip(second, 18);
  assert((await compareFiles(first, second)).equal);
  await flip(second, 19);
  assertEquals((await compareFiles(first, second)).problems, ["page 1 differs from byte 19"]);
});

scopedTest("compareFiles() sees what is only in the WAL", async (scope) => {
  const [first, second] = await twins(scope, ...FILLED);
  const a = await scope.open(first);
  const b = await scope.open(second);
  await a.exec("UPDATE t SET b = zeroblob(299) WHERE a = 77");
  const differing = await compareFiles(first, second);
  assert(!differing.equal && differing.problems.some((one) => one.startsWith("page ")));
  await b.exec("UPDATE t SET b = zeroblob(299) WHERE a = 77");
  assertEquals((await compareFiles(first, second)).problems, []);
  // The same content by another way: one in the file, the other in the log.
  await b.value("PRAGMA wal_checkpoint(TRUNCATE)");
  assertEquals((await describeFile(second)).walFrames, 0);
  assert((await describeFile(first)).walFrames > 0);
  assertEquals((await compareFiles(first, second)).problems, []);
});

scopedTest("compareFiles() sees a size that differs after a shrink in the WAL", async (scope) => {
  const [first, second] = await twins(scope, ...FILLED);
  const a = await scope.open(first);
  await a.exec("DELETE FROM t", "VACUUM");
  assertEquals((await describeFile(first)).pages, 2);
  assert((await compareFiles(first, second)).problems[0]!.startsWith("pages: 2 and "));
});

scopedTest(
  "compareFiles() reads a log whose -shm is gone, up to its last commit",
  async (scope) => {
    const [first, second] = await twins(scope, ...FILLED);
    const a = await scope.open(first);
    await a.exec("UPDATE t SET b = zeroblob(299) WHERE a = 77");
    await Deno.copyFile(`${first}-wal`, `${second}-wal`); // its salts are proof enough
    assertEquals((await compareFiles(first, second)).problems, []);
    await flip(`${second}-wal`, 32 + 24 + 5);
    assertEquals((await compareFiles(first, second)).equal, false, "a broken frame counts no more");
  },
);
