import type { App, WriterOptions } from "../support/app.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { lockHolder } from "../support/locks.ts";
import type { DatabaseConfig } from "../support/node.ts";
import { eventually, sleep } from "../support/process.ts";
import {
  assertConsistent,
  assertInSync,
  assertNoRepairs,
  assertUndisturbed,
  type Pair,
  startPair,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

/** A pair under one writer and one reader of the replica, for `ms`. */
async function underLoad(
  scope: Scope,
  ms: number,
  options: Partial<WriterOptions>,
  primary: Partial<DatabaseConfig> = {},
): Promise<{ pair: Pair; writer: App; reader: App }> {
  const writer = await scope.app();
  await writer.startWriter({ path: await scope.path("primary/app.db"), ...options });
  // It makes its tables first: there a node may be in the way of who does not wait.
  await eventually("it writes", async () => (await writer.writerProgress()).n > 0 || undefined);
  const pair = await startPair(scope, primary);
  const reader = await scope.app();
  await reader.startReader({ path: pair.copy, pace_ms: 1 });
  await sleep(ms);
  return { pair, writer, reader };
}

const WRITERS: readonly (readonly [how: string, options: Partial<WriterOptions>])[] = [
  ["as it is", {}],
  ["without autocheckpoint", {
    pragmas: ["journal_mode=wal", "synchronous=normal", "wal_autocheckpoint=0"],
  }],
  ["with checkpoint(TRUNCATE) in a loop", { checkpoint_every: 20, checkpoint_mode: "TRUNCATE" }],
  ["with checkpoint(RESTART) in a loop", { checkpoint_every: 20, checkpoint_mode: "RESTART" }],
  ["with synchronous=full", { pragmas: ["journal_mode=wal", "synchronous=full"] }],
];

for (const [how, options] of WRITERS) {
  scopedTest(
    `a saturating writer ${how} lets the log begin anew and has an exact replica`,
    async (scope) => {
      const { pair, writer, reader } = await underLoad(scope, 2000, options);
      // How soon and how long depends on the disk's fsync, and is measured by the bench.
      await pair.primary.until(
        "the log began anew twice",
        ({ counters }) => counters.logRestarts > 1,
      );
      assertUndisturbed(await writer.stopWriter());
      await assertInSync(pair);
      assertConsistent(await reader.stopReader());
      await assertNoRepairs(pair.replica);
    },
  );
}

scopedTest("a writer of 500 commits a second with busy_timeout 0 gets no BUSY", async (scope) => {
  const impatient = { pace_ms: 1.5, timeout_ms: 0 };
  // A node that stood for a second finds a log so long that it may take the write lock: not here.
  const never = { "max-checkpoint-page-count": 0 };
  const { pair, writer, reader } = await underLoad(scope, 5000, impatient, never);
  const report = await writer.stopWriter();
  assertUndisturbed(report);
  await assertInSync(pair);
  assertConsistent(await reader.stopReader());
});

scopedTest("two writers at once make one history", async (scope) => {
  const source = await scope.path("primary/app.db");
  const { pair, writer, reader } = await underLoad(scope, 200, { pace_ms: 1 });
  const other = await scope.open(source);
  await other.exec("CREATE TABLE other(a INTEGER PRIMARY KEY, b BLOB)");
  for (let n = 0; n < 500; n++) await other.exec("INSERT INTO other(b) VALUES(randomblob(900))");
  assertUndisturbed(await writer.stopWriter());
  await assertInSync(pair);
  assertConsistent(await reader.stopReader());
  const copy = await scope.app();
  await copy.open(pair.copy, { mode: "ro" });
  assertEquals(await copy.value("SELECT count(*) FROM other"), 500);
});

for (const side of ["source", "copy"] as const) {
  scopedTest(`a long reader of the ${side} keeps its snapshot and delays nobody`, async (scope) => {
    const { pair, writer, reader } = await underLoad(scope, 300, { pace_ms: 1 });
    const long = await scope.app();
    await long.open(pair[side], { mode: "ro" });
    await long.exec("BEGIN");
    const seen = await long.value("SELECT n FROM counter_row");
    const written = (await writer.writerProgress()).n;
    await eventually("the replica goes on", async () => {
      return (await reader.readerProgress()).n > written + 1500 || undefined;
    });
    assertEquals(await long.value("SELECT n FROM counter_row"), seen);
    assertEquals(await long.value("SELECT max(n) FROM counter_log"), seen);
    assertEquals(await long.value("PRAGMA integrity_check"), "ok");
    await long.exec("COMMIT");
    await sleep(1500); // the log may begin anew now
    assertUndisturbed(await writer.stopWriter());
    await assertInSync(pair);
    assertConsistent(await reader.stopReader());
    await assertNoRepairs(pair.replica);
  });
}

scopedTest("the log of a saturating writer begins anew once a reader has gone", async (scope) => {
  const writer = await scope.app();
  const pragmas = ["journal_mode=wal", "synchronous=normal", "wal_autocheckpoint=0"];
  await writer.startWriter({ path: await scope.path("primary/app.db"), pragmas });
  const hard = 2000;
  const limits = { "min-checkpoint-page-count": 500, "max-checkpoint-page-count": hard };
  const pair = await startPair(scope, limits);
  const long = await scope.app();
  await long.open(pair.source, { mode: "ro" });
  await long.exec("BEGIN", "SELECT n FROM counter_row");
  const { counters } = await pair.primary.until(
    "the log grows beyond the length from which others may checkpoint it",
    ({ walFrames, walBackfilled }) => walFrames! > 10 * hard && walBackfilled! < walFrames!,
  );
  await sleep(1500); // a pass is held up
  await long.exec("COMMIT");
  await pair.primary.until(
    "the log began anew five times",
    (now) => now.counters.logRestarts >= counters.logRestarts + 5,
  );
  assertUndisturbed(await writer.stopWriter());
  await assertInSync(pair);
});

scopedTest("a writer that is killed in the middle blocks nobody", async (scope) => {
  const { pair, writer, reader } = await underLoad(scope, 100, {});
  let current = writer;
  for (let round = 0; round < 6; round++) {
    await sleep(150);
    await current.child.kill();
    current = await scope.app();
    await current.startWriter({ path: pair.source });
    await eventually("commits", async () => {
      return (await current.writerProgress()).count > 20 || undefined;
    });
  }
  assertUndisturbed(await current.stopWriter());
  await assertInSync(pair);
  assertConsistent(await reader.stopReader());
});

scopedTest("the application's log is checkpointed when the primary was killed", async (scope) => {
  const { pair, writer, reader } = await underLoad(scope, 300, {});
  await pair.primary.kill();
  await writer.stopWriter();
  const app = await scope.open(pair.source);
  const answer = (await app.rows("PRAGMA wal_checkpoint(TRUNCATE)"))[0];
  assertEquals(answer, [0, 0, 0], "nobody holds a lock any more");
  pair.primary.start();
  await pair.primary.healthy();
  await app.exec("UPDATE counter_row SET n = n");
  await assertInSync(pair);
  await reader.stopReader();
});

scopedTest(
  "a replica's checkpoint that is busy is tried again, and told once that lasts",
  async (scope) => {
    const app = await scope.open(await scope.path("primary/app.db"));
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)");
    const pair = await startPair(scope);
    await assertInSync(pair);
    const hold = lockHolder(scope, `${pair.copy}-shm`);
    assert(await hold("lock 121 121 read"), "CKPT, shared as the replica has it");
    for (let n = 0; n < 80; n++) await app.exec("INSERT INTO t VALUES(randomblob(100000))");
    const { counters } = await pair.replica.until(
      "it is told",
      ({ reason }) =>
        /no checkpoint of the replica's log succeeds.+: SQLite code 5/.test(reason ?? ""),
    );
    assert(counters.checkpointErrors > 3, `${counters.checkpointErrors} tries`);
    assert(!/checkpoint failed/.test(pair.replica.log.join("\n")), "nothing has failed");
    await hold("unlock 121 121 read");
    await pair.replica.until(
      "it goes on",
      ({ reason, walFrames, walBackfilled }) => reason === undefined && walBackfilled === walFrames,
    );
    await assertInSync(pair);
  },
);
