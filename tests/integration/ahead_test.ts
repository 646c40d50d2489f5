/**
 * Transactions so large that they are written to the log long before they commit: the node reads them
 * ahead. And a log in which an older SQLite left committed frames without checksums.
 */
import { APSW_VERSIONS, apswFolder, havePip } from "../support/apsw.ts";
import { assert, assertEquals } from "../support/assert.ts";
import type { LiveNode } from "../support/node.ts";
import { eventually } from "../support/process.ts";
import {
  assertInSync,
  assertNoRepairs,
  assertSamePosition,
  startPair,
} from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

const counters = async (node: LiveNode) => (await node.database()).counters;

const rows = (count: number, bytes: number): string =>
  `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<${count}) ` +
  `INSERT INTO t(b) SELECT randomblob(${bytes}) FROM c`;

scopedTest("a large transaction is read before it commits", async (scope) => {
  const app = await scope.open(await scope.path("primary/app.db"));
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
  const pair = await startPair(scope);
  const epochs = (await counters(pair.primary)).newEpochs;
  const copy = await scope.app();
  await copy.open(pair.copy, { mode: "ro" });

  let before = 0;
  for (const end of ["COMMIT", "ROLLBACK", "COMMIT", "COMMIT; --"]) { // the last ones writes over what is left
    await app.exec("BEGIN");
    before = await eventually("frames that were read ahead", async () => {
      await app.exec(rows(1000, 4000));
      const now = (await counters(pair.primary)).aheadFrames;
      return now > before + 2000 ? now : undefined;
    });
    // Pages are written again in their place: from there on, what was read ahead is of no use.
    if (end === "COMMIT") await app.exec("UPDATE t SET b = randomblob(3000) WHERE a % 500 = 1");
    const { txid } = await pair.primary.database();
    const seen = await copy.value("SELECT count(*) FROM t");
    await app.exec(end);
    if (end === "ROLLBACK") {
      assertEquals(await copy.value("SELECT count(*) FROM t"), seen);
      await app.exec("INSERT INTO t(b) VALUES('after the rollback')");
    }
    await assertInSync(pair);
    assertEquals(BigInt(`0x${(await pair.primary.database()).txid}`) - BigInt(`0x${txid}`), 1n);
  }
  assertEquals((await counters(pair.primary)).newEpochs, epochs);
  await assertNoRepairs(pair.replica);
});

const OLD = APSW_VERSIONS[0];
const pip = await havePip();

/** A savepoint that is rolled back behind a page which was written again in its place in the log. */
const SAVEPOINT = [
  "PRAGMA cache_size=4",
  "BEGIN",
  rows(20, 400),
  "SAVEPOINT s",
  rows(200, 400),
  ...Array.from({ length: 20 }, () => [
    "UPDATE t SET b = randomblob(390) WHERE a BETWEEN 210 AND 215",
    "SELECT sum(length(b)) FROM t WHERE a < 20",
  ]).flat(),
  "ROLLBACK TO s",
  rows(5, 400),
  "COMMIT",
];

scopedTest(`frames that SQLite ${OLD} left without a checksum are followed`, async (scope) => {
  const app = await scope.app({ apsw: await apswFolder(OLD) });
  const source = await scope.path("primary/app.db");
  await app.open(source);
  await app.exec(
    "PRAGMA page_size=512",
    "PRAGMA journal_mode=wal",
    "PRAGMA wal_autocheckpoint=0",
    "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)",
  );
  const pair = await startPair(scope);
  const epochs = (await counters(pair.primary)).newEpochs;
  const copy = await scope.app();
  await copy.open(pair.copy, { mode: "ro" });
  /** What SQLite reads on both sides; who goes by the checksums alone sees less in this log. */
  const same = async (): Promise<void> => {
    const content = "SELECT group_concat(a || hex(b)) FROM t";
    await eventually("the same content", async () => {
      return (await copy.value(content)) === (await app.value(content)) || undefined;
    });
    await assertSamePosition(pair.primary, pair.replica);
  };
  await app.exec(...SAVEPOINT);
  await same();
  const said = (): boolean =>
    pair.primary.log.some((line) => line.includes("left frames without a checksum"));
  assert(said(), "the transaction had none such: this test shows nothing");
  // A crash would lose them, so the node does not wait for the log to be long.
  const alone = await scope.path("alone.db");
  const reader = await scope.app();
  await eventually("all of it is in the file itself", async () => {
    await Deno.copyFile(source, alone);
    await reader.open(alone);
    const count = await reader.value("SELECT count(*) FROM t");
    await reader.close();
    return count === 25 || undefined;
  });
  await app.exec(rows(3, 400), "UPDATE t SET b = 'changed' WHERE a = 3");
  await same();
  await pair.primary.healthy();
  assertEquals((await counters(pair.primary)).newEpochs, epochs);
  await assertNoRepairs(pair.replica);
}, { limitMs: 240_000, ignore: !pip });
