/**
 * The hazards that a second process on a SQLite file brings, each with real processes. What a power cut
 * does is in power_loss_test.ts; a hung node in watchdog_test.ts; backups and owners in guards_test.ts.
 */
import { APSW_VERSIONS, apswFolder, havePip } from "../support/apsw.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { describeFile } from "../support/content.ts";
import { locksOf } from "../support/locks.ts";
import { Child, eventually, sleep } from "../support/process.ts";
import {
  assertInSync,
  assertSameContent,
  assertUndisturbed,
  primaryOf,
  replicaOf,
  startPair,
} from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

/** Runs Python with these arguments; returns what it prints. */
async function python(script: string, args: readonly string[], env = {}): Promise<string> {
  await using child = new Child({ program: "python3", args: ["-c", script, ...args], env });
  const { code } = await child.wait(60_000);
  if (code !== 0) throw new Error(`python3 failed: ${child.stderr.kept.join("\n")}`);
  return child.stdout.kept.join("\n");
}

scopedTest("a file that appears during the first copy is not replaced", async (scope) => {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "PRAGMA synchronous=off", "CREATE TABLE t(a)");
  for (let part = 0; part < 10; part++) {
    await app.exec("INSERT INTO t VALUES(randomblob(20000000))");
  }
  // The copy takes five seconds, and who appears meanwhile is running already.
  const primary = await scope.start("primary", {
    ...primaryOf(source),
    "copy-rate-limit": "40MB/s",
  });
  const mine = await scope.app();
  const replica = await scope.start("replica", replicaOf(copy, primary, source), false);
  await eventually("a copy under way", async () => {
    return (await Deno.stat(`${copy}-live/copy`)).size > 0 || undefined;
  });
  await mine.open(copy);
  await mine.exec("CREATE TABLE precious(a)", "INSERT INTO precious VALUES('mine')");
  await replica.until("refuses it", ({ state }) => state === "failed");
  assertEquals(await mine.value("SELECT a FROM precious"), "mine");
  assertEquals(await mine.value("PRAGMA integrity_check"), "ok");
});

scopedTest("nobody else checkpoints, not even while our checkpoints run", async (scope) => {
  const writer = await scope.app();
  await writer.startWriter({ path: await scope.path("primary/app.db") });
  // On a busy machine the log may grow until others get their turn: from 4 times as much on.
  const pair = await startPair(scope, { "max-checkpoint-page-count": 100_000 });
  const other = await scope.app();
  await other.open(pair.source, { timeoutMs: 0 });
  const { counters: before } = await pair.primary.database();
  const answers = new Set<string>();
  await eventually("ten checkpoints of ours", async () => {
    for (const mode of ["PASSIVE", "FULL", "RESTART", "TRUNCATE"]) {
      answers.add(JSON.stringify(await other.rows(`PRAGMA wal_checkpoint(${mode})`)));
    }
    const { counters } = await pair.primary.database();
    return counters.checkpoints > before.checkpoints + 10 || undefined;
  });
  assertEquals([...answers], ["[[1,-1,-1]]"]);
  assertUndisturbed(await writer.stopWriter());
  await assertInSync(pair);
});

/** It commits in short gaps, and every so often waits until the log can begin anew. */
const ALONE = `
import os, sqlite3, struct, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
db.execute("CREATE TABLE IF NOT EXISTS alone(id INTEGER PRIMARY KEY, b BLOB)")
shm = open(sys.argv[1] + "-shm", "rb", buffering=0)  # stays open: a close() would end SQLite's locks
def frames():
    return [struct.unpack("=I", os.pread(shm.fileno(), 4, at))[0] for at in (16, 96)]
def restart():
    until, pause = time.monotonic() + 10, 0.02
    while time.monotonic() < until:
        length, backfilled = frames()
        if length < 100:
            return  # it has begun anew by itself, and nobody checkpoints so short a log
        if length == backfilled:
            time.sleep(pause)  # until the node lets the log go, too
            pause *= 2
            db.execute("INSERT INTO alone(b) VALUES(1)")
            if frames()[0] < length:
                return
        time.sleep(0.005)
version = db.execute("PRAGMA data_version").fetchone()
copy = sqlite3.connect(sys.argv[2])
steps = []
for n in range(3000):
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM alone").fetchone()
    db.execute("INSERT INTO alone(b) VALUES(randomblob(3000))")
    db.execute("COMMIT")
    if n % 20 == 0:
        db.execute("DELETE FROM alone WHERE id < ?", (n - 100,))
        time.sleep(0.004)
    if n % 600 == 599:
        restart()
db.backup(copy, pages=3, progress=lambda status, left, total: steps.append(left), sleep=0.001)
assert version == db.execute("PRAGMA data_version").fetchone(), "data_version changed"
assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
assert len(steps) < 500, "the backup began anew again and again"
print("ok")
`;

scopedTest(
  "a lone writer never meets BUSY_SNAPSHOT, a new data_version or a lost backup",
  async (scope) => {
    const app = await scope.open(await scope.path("primary/app.db"));
    await app.exec("PRAGMA journal_mode=wal");
    await app.close();
    // The node never takes the write lock: this writer does not wait.
    const limits = { "min-checkpoint-page-count": 100, "max-checkpoint-page-count": 0 };
    const pair = await startPair(scope, limits);
    assertEquals(await python(ALONE, [pair.source, `${scope.folder}/backup.db`]), "ok");
    const { counters } = await pair.primary.database();
    assert(counters.logRestarts > 2, `the log began anew ${counters.logRestarts} times`);
    await assertInSync(pair);
  },
);

scopedTest("the log begins anew after a reader that held it up has gone", async (scope) => {
  const writer = await scope.app();
  await writer.startWriter({ path: await scope.path("primary/app.db"), pace_ms: 1 });
  const pair = await startPair(scope);
  const reader = await scope.app();
  await reader.open(pair.source, { mode: "ro" });
  await reader.exec("BEGIN");
  await reader.value("SELECT n FROM counter_row");
  await pair.primary.until("a long log", ({ walFrames = 0 }) => walFrames > 3000);
  const { counters: held } = await pair.primary.database();
  await reader.exec("COMMIT");
  await pair.primary.until(
    "begins anew",
    ({ counters, walFrames = 0 }) => counters.logRestarts > held.logRestarts && walFrames < 3000,
  );
  assertUndisturbed(await writer.stopWriter());
  await assertInSync(pair);
});

scopedTest("our locks are still there after everything that a node does", async (scope) => {
  const writer = await scope.app();
  await writer.startWriter({ path: await scope.path("primary/app.db"), count: 3000 });
  const pair = await startPair(scope);
  assertUndisturbed(await writer.joinWriter());
  await assertInSync(pair);
  for (const path of ["/status", "/metrics", "/health"]) {
    for (const node of [pair.primary, pair.replica]) {
      await eventually(path, async () => (await node.getText(path)).status === 200 || undefined);
    }
  }
  await sleep(1200); // the checks of each second
  const primary = await locksOf(pair.primary, `${pair.source}-shm`);
  assert(primary.includes("READ 121-121"), `CKPT is held: ${primary}`);
  assert(primary.includes("READ 128-128"), `DMS is held: ${primary}`);
  assertEquals((await locksOf(pair.primary, pair.source)).length, 1, "SHARED on the database");
  const replica = await locksOf(pair.replica, `${pair.copy}-shm`);
  assert(replica.some((lock) => /^WRITE 120-120$/.test(lock)), `WRITE is held: ${replica}`);
  assert(replica.some((lock) => /^READ 121-121$/.test(lock)), `CKPT is held: ${replica}`);
});

scopedTest(
  "a log that begins anew twice between two looks is still the same history",
  async (scope) => {
    const app = await scope.open(await scope.path("primary/app.db"));
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
    const pair = await startPair(scope, { "min-checkpoint-page-count": 20 });
    await app.exec("INSERT INTO t VALUES(randomblob(200000))");
    await pair.primary.until(
      "all of the log is in the file",
      ({ walFrames = 0, walBackfilled }) => walFrames > 20 && walFrames === walBackfilled,
    );
    const { counters: before, epoch } = await pair.primary.database();
    pair.primary.pause();
    // It restarts the log and commits nothing: salt1 + 1, no frame.
    await app.exec("PRAGMA cache_size=5", "BEGIN", "INSERT INTO t VALUES(randomblob(500000))");
    await app.exec("ROLLBACK");
    // A connection that never restarted or recovered a log draws both salts of an empty one anew.
    const other = await scope.open(pair.source);
    await other.exec("INSERT INTO t VALUES(1)");
    pair.primary.resume();
    await assertInSync(pair);
    const after = await pair.primary.database();
    assertEquals([after.epoch, after.counters.newEpochs], [epoch, before.newEpochs]);
    assert(after.counters.logRestarts > before.logRestarts, "the log began anew");
  },
);

const BREAK_HEADER = `
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    memory = mmap.mmap(file.fileno(), 136)
    memory[8] = (memory[8] + 1) % 256
`;

scopedTest(
  "a header that a dying writer left broken is recovered, and nobody notices",
  async (scope) => {
    const app = await scope.open(await scope.path("primary/app.db"));
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES(0)");
    const pair = await startPair(scope);
    for (let n = 1; n <= 5; n++) {
      await python(BREAK_HEADER, [`${pair.source}-shm`]);
      // Whoever comes first recovers it: once it is the node.
      if (n === 1) await pair.primary.logged(/a writer died inside the wal-index header/);
      const reader = await scope.app();
      await reader.open(pair.source, { timeoutMs: 0 });
      assertEquals(await reader.value("SELECT max(a) FROM t"), n - 1);
      await app.exec(`INSERT INTO t VALUES(${n})`);
    }
    await assertInSync(pair);
  },
);

scopedTest("a replica survives a stale journal beside it", async (scope) => {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a, b)", "CREATE TABLE u(a)");
  await app.exec("INSERT INTO t VALUES(1, randomblob(50000))");
  const primary = await scope.start("primary", primaryOf(source));
  const [db] = replicaOf(copy, primary, source).dbs;
  const replica = await scope.start("replica", {
    dbs: [{ ...db!, "min-checkpoint-page-count": 1 }],
  });
  const pair = { source, copy, primary, replica };
  const old = `${scope.folder}/old.db`;
  await app.backup(old);
  await app.exec("UPDATE t SET b = randomblob(50000)");
  await assertInSync(pair);
  // The log begins anew, or its frames would hide what the journal does to the file.
  await replica.until(
    "its log is in the file",
    ({ walFrames, walBackfilled }) => walFrames === walBackfilled,
  );
  await app.exec("INSERT INTO u VALUES(1)");
  await assertInSync(pair);
  assert(((await replica.database()).walFrames ?? 0) < 10, "the log is short");
  await pair.replica.stop();
  // A hot journal of another time: an older, rollback-mode copy of the file that died in a transaction.
  // Whoever opens the replica's file puts its pages back.
  const script = `
import os, shutil, sqlite3, sys
source, target = sys.argv[1:]
db = sqlite3.connect(source, isolation_level=None)
db.execute("PRAGMA journal_mode=delete")
db.execute("PRAGMA cache_size=2")
db.execute("BEGIN")
db.execute("UPDATE t SET b = randomblob(50000)")
shutil.copy(source + "-journal", target + "-journal")
`;
  await python(script, [old, pair.copy]);
  pair.replica.start();
  await pair.replica.healthy();
  await app.exec("INSERT INTO t VALUES(2, 2)");
  await assertInSync(pair);
});

scopedTest("a replica that somebody wiped is repaired", async (scope) => {
  const apsw = await apswFolder(APSW_VERSIONS[0]);
  const app = await scope.open(await scope.path("primary/app.db"));
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a, b)");
  await app.exec("INSERT INTO t VALUES(1, randomblob(500000))");
  const pair = await startPair(scope);
  await assertInSync(pair);
  await pair.replica.stop();
  const script = `
import apsw, sys
db = apsw.Connection(sys.argv[1])
db.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 1)
db.execute("VACUUM")
db.config(apsw.SQLITE_DBCONFIG_RESET_DATABASE, 0)
`;
  await python(script, [pair.copy], { PYTHONPATH: apsw });
  assert((await describeFile(pair.copy)).pages < 10, "it was wiped");
  pair.replica.start();
  await pair.replica.healthy();
  await assertSameContent(pair.source, [pair.copy]);
}, { ignore: !(await havePip()), limitMs: 240_000 });

scopedTest("a node of root leaves -wal and -shm to the owner of the database", async (scope) => {
  const OWNER = 65534;
  const source = await scope.path("primary/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
  await app.close();
  await Deno.chown(source, OWNER, OWNER);
  await scope.start("primary", primaryOf(source));
  for (const suffix of ["", "-wal", "-shm"]) {
    assertEquals((await Deno.stat(`${source}${suffix}`)).uid, OWNER, suffix);
  }
}, { ignore: Deno.uid() !== 0 });
