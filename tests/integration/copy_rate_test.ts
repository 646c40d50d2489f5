import { assert, assertEquals } from "../support/assert.ts";
import type { LiveNode } from "../support/node.ts";
import { runToEnd } from "../support/process.ts";
import {
  assertInSync,
  assertNeverCut,
  type Pair,
  primaryOf,
  replicaOf,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";
import { EXECUTABLE } from "../support/node.ts";

const SLOW = "1MB/s";
const SLOW_BYTES = 1_000_000;
const FAST = "8MB/s";
const ROWS = 1500;
const PAGE_BYTES = 4096;
/** A row takes a page. */
const BYTES = ROWS * PAGE_BYTES;

const fill = (rows: number): string =>
  `WITH RECURSIVE c(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM c WHERE i<${rows}) ` +
  "INSERT INTO t SELECT randomblob(4000) FROM c";

/** A started primary of a database of so many pages, and a replica that is not started. */
async function slowPair(scope: Scope, rate: string, rows = ROWS): Promise<Pair> {
  const name = rate.replace("/s", "");
  const source = await scope.path(`${name}-primary/app.db`);
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", fill(rows));
  await app.close();
  const config = { ...primaryOf(source), "copy-rate-limit": rate };
  const primary = await scope.start(`${name}-primary`, config);
  const copy = await scope.path(`${name}-replica/app.db`);
  const replica = scope.node(`${name}-replica`, replicaOf(copy, primary, source));
  return { source, copy, primary, replica };
}

async function received(node: LiveNode): Promise<number> {
  return (await node.database()).counters.receivedBytes;
}

/** Starts both replicas; how long each took to be healthy, ms. */
async function race(slow: Pair, fast: Pair): Promise<number[]> {
  return await Promise.all([slow, fast].map(async ({ replica }) => {
    const started = performance.now();
    replica.start();
    await replica.healthy();
    const took = performance.now() - started;
    assert(await received(replica) > 0.8 * BYTES, "nothing was copied or repaired");
    return took;
  }));
}

/** A machine that is busy makes both slower: there is no upper bound. */
function assertLimited([slow, fast]: readonly number[]): void {
  const least = 0.7 * BYTES / SLOW_BYTES * 1000;
  assert(slow! > least && slow! > fast!, `${slow} ms, the fast one ${fast} ms`);
}

/** Other bytes in most pages, while nobody has the file open. */
async function spoil(path: string, pages: number): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.seek(10 * PAGE_BYTES, Deno.SeekMode.Start);
  const noise = crypto.getRandomValues(new Uint8Array(PAGE_BYTES));
  for (let page = 10; page < pages; page++) await file.write(noise);
}

scopedTest(
  "copy-rate-limit: first copies and repairs take as long as their rate says",
  async (scope) => {
    const slow = await slowPair(scope, SLOW);
    const fast = await slowPair(scope, FAST);
    assertLimited(await race(slow, fast));
    for (const pair of [slow, fast]) {
      await assertInSync(pair);
      await pair.replica.stop();
      await spoil(pair.copy, ROWS);
    }
    assertLimited(await race(slow, fast));
    for (const pair of [slow, fast]) await assertInSync(pair);
    const { counters } = await slow.replica.database();
    assertEquals(counters.repairs, 1);
    await assertNeverCut(slow.replica);
  },
);

scopedTest(
  "copy-rate-limit: live replicas go on while another makes its first copy",
  async (scope) => {
    const live = await slowPair(scope, SLOW, 20);
    live.replica.start();
    await live.replica.healthy();
    await live.replica.stop();
    await spoil(live.copy, 20);
    live.replica.start(); // its stream begins with a repair, and goes on live
    await live.replica.healthy();
    assertEquals((await live.replica.database()).counters.repairs, 1);
    const app = await scope.open(live.source);
    await app.exec(fill(ROWS));
    const joining = scope.node(
      "joining",
      replicaOf(await scope.path("joining/app.db"), live.primary, live.source),
    );
    joining.start();
    await joining.until(
      "copies",
      ({ state, counters }) => state === "copying" && counters.receivedBytes > 0,
    );
    const before = await received(live.replica);
    await app.exec(fill(ROWS)); // six seconds' worth
    const { txid } = await live.replica.database();
    for (let nth = 1; nth <= 20; nth++) { // the large one is between txid and the first of these
      await app.exec("INSERT INTO t VALUES('one more')");
      await live.replica.until(`has commit ${nth}`, (database) => database.txid! >= txid! + nth);
      if (nth > 1) continue;
      const { state, counters } = await joining.database();
      const [copied, came] = [counters.receivedBytes, await received(live.replica) - before];
      // In turn with the copy it would have got no more than that.
      assert(came > BYTES && copied < came, `live ${came} bytes, the copy ${copied}`);
      assertEquals(state, "copying", "all of that came before the copy was whole");
    }
    await joining.healthy();
    await assertInSync({ ...live, replica: joining, copy: `${scope.folder}/joining/app.db` });
    await assertInSync(live);
    await assertNeverCut(joining);
  },
);

scopedTest(
  "copy-rate-limit: a rate that leaves copies without a byte is refused",
  async (scope) => {
    const path = await scope.path("bad.yml");
    const lines = ['addr: ":0"', "copy-rate-limit: 900KB/s", "dbs: [{ path: /data/db }]"];
    await Deno.writeTextFile(path, `${lines.join("\n")}\n`);
    const { code, error } = await runToEnd(EXECUTABLE, ["databases", "-config", path]);
    assertEquals([code, error.split("\n")[0]], [
      2,
      `litestream-live: ${path}:2:18: copy-rate-limit: is 900KB/s, too little for 1000 replicas ` +
      "(limits.streams) that give up without a byte for 3s; write 1MB/s or more, lower " +
      "limits.streams, or write 0 for no limit",
    ]);
  },
);
