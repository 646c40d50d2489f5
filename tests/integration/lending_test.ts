import type { App } from "../support/app.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { lockHolder, locksOf } from "../support/locks.ts";
import { eventually, sleep } from "../support/process.ts";
import {
  assertConsistent,
  assertInSync,
  assertNoRepairs,
  assertSameContent,
  assertUndisturbed,
  startPair,
} from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

/** Small limits, so that a log is too long after a second. */
const LIMITS = { "min-checkpoint-page-count": 100, "max-checkpoint-page-count": 200 };
/** Litestream tells its users to switch off their own checkpoints. */
const PRAGMAS = ["journal_mode=wal", "synchronous=normal", "wal_autocheckpoint=0"];

/**
 * What Litestream does: stands in a read transaction, which it leaves only for a checkpoint of its own.
 * Returns how many of `tries` were done to the end.
 */
async function backup(app: App, path: string, tries: number, everyMs: number): Promise<number> {
  let done = 0;
  await app.open(path, { timeoutMs: 1000 });
  for (let n = 0; n < tries; n++) {
    await app.exec("BEGIN", "SELECT count(*) FROM sqlite_schema");
    await sleep(everyMs);
    await app.exec("COMMIT");
    const [row] = await app.rows("PRAGMA wal_checkpoint(TRUNCATE)");
    if (row?.[0] === 0) done++;
  }
  await app.close();
  return done;
}

scopedTest("the log beside a backup that stands in a transaction begins anew", async (scope) => {
  const writer = await scope.app();
  const path = await scope.path("primary/app.db");
  await writer.startWriter({ path, pace_ms: 0.5, pragmas: PRAGMAS });
  const pair = await startPair(scope, LIMITS);
  await pair.replica.healthy();
  const reader = await scope.app();
  await reader.startReader({ path: pair.copy, pace_ms: 1 });
  const { epoch } = await pair.primary.database();
  const done = await backup(await scope.app(), pair.source, 20, 300);
  assert(done > 0, "it was let through");
  const { counters, epoch: after } = await pair.primary.database();
  assert(counters.logRestarts > 0, "the log began anew");
  assertEquals(after, epoch, "nothing was missed");
  assertUndisturbed(await writer.stopWriter());
  await assertInSync(pair);
  assertConsistent(await reader.stopReader());
  await assertNoRepairs(pair.replica);
});

scopedTest("a commit that nobody saw while the log was let go is found out", async (scope) => {
  const path = await scope.path("primary/app.db");
  const app = await scope.open(path);
  await app.exec(
    "PRAGMA journal_mode=wal",
    "PRAGMA wal_autocheckpoint=0",
    "CREATE TABLE one(x)",
    "CREATE TABLE two(x)",
  );
  const pair = await startPair(scope, LIMITS);
  const { epoch } = await pair.primary.database();
  const reader = await scope.open(path);
  const hold = lockHolder(scope, `${path}-shm`);
  await eventually("WRITE and CKPT, and nobody is in the way any more", async () => {
    await reader.exec("BEGIN", "SELECT count(*) FROM one");
    for (let n = 0; n < 900; n++) await app.exec(`INSERT INTO one VALUES(${n})`);
    await eventually("CKPT is lent", async () => {
      const [row] = await app.rows("PRAGMA wal_checkpoint(PASSIVE)");
      return row?.[0] === 0 ? true : undefined;
    });
    await reader.exec("COMMIT");
    const [row] = await app.rows("PRAGMA wal_checkpoint(PASSIVE)");
    if (row?.[0] !== 0 || row[1] !== row[2]) return undefined; // it was the end of that second
    return await hold("lock 120 121 write") ? true : undefined;
  });
  await eventually("it lets the log go", async () => {
    const locks = await locksOf(pair.primary, `${path}-shm`);
    return locks.every((lock) => !/ 12[3-7]-/.test(lock)) || undefined; // the read marks
  });
  pair.primary.pause();
  await hold("unlock 120 121 write");
  await hold("lock 127 127 read"); // the next commit goes on with this log
  await app.exec("INSERT INTO one VALUES('unseen')", "PRAGMA wal_checkpoint(PASSIVE)");
  await hold("unlock 127 127 read");
  await app.exec("INSERT INTO two VALUES('in a new log')");
  pair.primary.resume();
  await pair.primary.until("a new history", (now) => now.epoch !== epoch);
  await assertSameContent(path, [pair.copy]);
});
