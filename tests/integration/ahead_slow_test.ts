/**
 * Large transactions of several SQLite versions, in every order: they spill, write pages again, go back
 * to savepoints, roll back, are killed in the middle. After each round the replica has what they left,
 * by the same history and without a repair.
 */
import { APSW_VERSIONS, apswFolder, havePip } from "../support/apsw.ts";
import type { App } from "../support/app.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { SeededRandom } from "../support/fake_env.ts";
import { eventually, sleep } from "../support/process.ts";
import { assertNoRepairs, assertSamePosition, startPair } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const ROUNDS = 12;
/** The same statements again; where they are cut is chance. */
const SEED = Number(Deno.env.get("SEED") ?? Math.floor(Math.random() * 2 ** 31));
const drawn = `SEED=${SEED}`;
const pip = await havePip();

const insert = (rows: number, bytes: number): string =>
  `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<${rows}) ` +
  `INSERT INTO t(b, k) SELECT randomblob(${bytes}), abs(random()) % 100000 FROM c`;

function someStatement(random: SeededRandom): string {
  const one = <T>(all: readonly T[]): T => all[random.below(all.length)]!;
  return one([
    () => "SAVEPOINT s",
    () => "ROLLBACK TO s",
    () => insert(one([1, 20, 400, 3000]), one([50, 900, 4000, 9000])),
    () => insert(one([20, 400, 3000]), one([900, 4000])),
    () => `UPDATE t SET b = randomblob(800) WHERE a % 17 = ${random.below(17)}`,
    () => "UPDATE t SET k = k + 1 WHERE a IN (SELECT a FROM t ORDER BY random() LIMIT 200)",
    () => `DELETE FROM t WHERE a % 5 = ${random.below(5)}`,
  ])();
}

/** Transactions until it is killed. */
async function write(app: App, random: SeededRandom): Promise<void> {
  try {
    for (;;) {
      const cache = [4, 50, 500, 2000][random.below(4)]!;
      await app.exec(`PRAGMA cache_size=${cache}`, "BEGIN IMMEDIATE");
      for (let left = 1 + random.below(6); left > 0; left--) {
        const sql = someStatement(random);
        await app.exec(sql).catch((error: Error) => {
          if (sql !== "ROLLBACK TO s" || !error.message.includes("no such savepoint")) throw error;
        });
      }
      await app.exec(random.below(4) === 0 ? "ROLLBACK" : "COMMIT");
      if (Number(await app.value("SELECT count(*) FROM t")) > 20_000) {
        await app.exec("DELETE FROM t WHERE a % 2 = 0");
      }
    }
  } catch (error) {
    if (app.child.exit === undefined) throw error; // else it was killed
  }
}

async function round(scope: Scope, path: string, random: SeededRandom): Promise<void> {
  const nth = random.below(1 + APSW_VERSIONS.length);
  const version = APSW_VERSIONS[nth];
  const app = await scope.app(version === undefined ? {} : { apsw: await apswFolder(version) });
  await app.open(path);
  const writing = write(app, random);
  await sleep(2000 + random.below(4000));
  await app.child.kill();
  await writing;
}

const CONTENT = "SELECT count(*), sum(length(b)), sum(k), " +
  "group_concat(a || ':' || k || hex(substr(b, 1, 4))) FROM t";

for (const pageSize of [512, 4096, 65536]) {
  scopedTest(
    `large transactions in every order, pages of ${pageSize} bytes, ${drawn}`,
    async (scope) => {
      const random = new SeededRandom(SEED);
      const source = await scope.path("primary/app.db");
      const stock = await scope.open(source);
      await stock.exec(
        `PRAGMA page_size=${pageSize}`,
        "PRAGMA journal_mode=wal",
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB, k INT)",
        "CREATE INDEX by_k ON t(k)",
      );
      const pair = await startPair(scope);
      const copy = await scope.app();
      await copy.open(pair.copy, { mode: "ro" });
      const { epoch } = await pair.primary.database();
      for (let done = 0; done < ROUNDS; done++) {
        await round(scope, source, random);
        await eventually("the replica has it all", async () => {
          const [here, there] = [await stock.rows(CONTENT), await copy.rows(CONTENT)];
          assertEquals(there, here);
          return true;
        }, 60_000);
        assertEquals(await copy.value("PRAGMA integrity_check"), "ok");
        await assertSamePosition(pair.primary, pair.replica);
      }
      const now = await pair.primary.database();
      assertEquals(now.epoch, epoch);
      await assertNoRepairs(pair.replica);
      const { aheadFrames } = now.counters;
      assert(aheadFrames > 1000, `${aheadFrames} frames were read ahead`);
    },
    { limitMs: 600_000, ignore: !pip },
  );
}
