import { SqlError } from "../support/app.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { describeFile } from "../support/content.ts";
import { eventually } from "../support/process.ts";
import {
  assertConsistent,
  assertInSync,
  assertNoRepairs,
  assertUndisturbed,
  primaryOf,
  replicaOf,
  startPair,
} from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

const ROWS = "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)";

scopedTest("a row committed on the primary is read on the replica", async (scope) => {
  const source = await scope.path("primary/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", ROWS, "INSERT INTO t VALUES(1, 'before')");
  const pair = await startPair(scope);
  const reader = await scope.app();
  await reader.open(pair.copy, { mode: "ro" });
  assertEquals(await reader.rows("SELECT * FROM t"), [[1, "before"]]);
  for (let n = 2; n <= 20; n++) {
    await app.rows("INSERT INTO t VALUES(?, ?)", [n, `row ${n}`]);
    await eventually(`row ${n} on the replica`, async () => {
      return (await reader.value(`SELECT b FROM t WHERE a = ${n}`)) === `row ${n}` || undefined;
    });
  }
  await assertInSync(pair);
  await assertNoRepairs(pair.replica);
});

scopedTest("a reader sees only whole states when the first copy arrives", async (scope) => {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const writer = await scope.app();
  await writer.startWriter({ path: source, pad_bytes: 4000 });
  const primary = await scope.start("primary", primaryOf(source));
  await eventually("commits", async () => (await writer.writerProgress()).n > 300 || undefined);
  const reader = await scope.app();
  await reader.startReader({ path: copy, check_every: 20 }); // before there is a file
  const replica = await scope.start("replica", replicaOf(copy, primary, source));
  await eventually("reads", async () => (await reader.readerProgress()).count > 200 || undefined);
  assertUndisturbed(await writer.stopWriter());
  await assertInSync({ source, copy, primary, replica });
  const read = await reader.stopReader();
  assertConsistent(read);
  assert(read.n > 300, "the first thing seen was a whole copy");
  assertEquals((await replica.database()).counters.firstCopies, 1);
});

scopedTest("the replica refuses writes and its readers get code 8", async (scope) => {
  const app = await scope.open(await scope.path("primary/app.db"));
  await app.exec("PRAGMA journal_mode=wal", ROWS, "INSERT INTO t VALUES(1, 'one')");
  const pair = await startPair(scope);
  const user = await scope.open(pair.copy); // read-write, as a careless application would
  for (
    const sql of [
      "INSERT INTO t VALUES(2, 'two')",
      "CREATE TABLE u(a)",
      "PRAGMA user_version = 3",
      "VACUUM",
    ]
  ) {
    const refused = await user.rows(sql).catch((error) => error);
    assert(refused instanceof SqlError, sql);
    assertEquals([refused.code & 255, refused.message], [
      8,
      "attempt to write a readonly database",
    ]);
  }
  assertEquals(await user.rows("SELECT * FROM t"), [[1, "one"]]);
  assertEquals((await describeFile(pair.copy)).byte18, 127);
  assertEquals((await describeFile(pair.source)).byte18, 2);
  await app.exec("INSERT INTO t VALUES(2, 'two')");
  await eventually("row 2", async () => {
    return (await user.value("SELECT count(*) FROM t")) === 2 || undefined;
  });
  await assertInSync(pair);
});

scopedTest("a node with port 0 tells the chosen port in its log", async (scope) => {
  const source = await scope.path("app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", ROWS);
  const config = { ...primaryOf(source), addr: "127.0.0.1:0" };
  const node = await scope.start("primary", config, false);
  await eventually("the port", () => node.address?.endsWith(":0") === false || undefined);
  await node.healthy();
  assertMatch(node.url, /^http:\/\/127\.0\.0\.1:[1-9]\d+$/);
});

scopedTest("many replicas of one primary follow the same stream", async (scope) => {
  const pair = await startPairWithRows();
  const copies = [pair.copy];
  for (const name of ["second", "third", "fourth"]) {
    const copy = await scope.path(`${name}/app.db`);
    await scope.start(name, replicaOf(copy, pair.primary, pair.source));
    copies.push(copy);
  }
  const writer = await scope.app();
  await writer.startWriter({ path: pair.source, count: 500 });
  assertUndisturbed(await writer.joinWriter());
  for (const [at, copy] of copies.entries()) {
    await assertInSync({ ...pair, copy, replica: scope.nodes[at + 1]! });
  }
  const { replicas } = await pair.primary.database();
  assertEquals(replicas.filter(({ connected }) => connected).length, 4);

  async function startPairWithRows() {
    const app = await scope.open(await scope.path("primary/app.db"));
    await app.exec("PRAGMA journal_mode=wal", ROWS);
    return await startPair(scope);
  }
});
