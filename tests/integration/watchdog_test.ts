import { assertEquals, assertMatch } from "../support/assert.ts";
import { Child } from "../support/process.ts";
import { primaryOf } from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

scopedTest("a primary that hangs ends itself, and the application checkpoints", async (scope) => {
  const source = await scope.path("primary/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
  // Opening a FIFO that nobody writes to stops the event loop, as a dead network disk would.
  await Deno.mkdir(`${source}-live`);
  await using fifo = new Child({ program: "mkfifo", args: [`${source}-live/state`] });
  await fifo.wait(5000);
  const primary = await scope.start("primary", primaryOf(source), false);
  const { code } = await primary.child.wait(40_000);
  assertEquals(code, 70);
  assertMatch(primary.log.join("\n"), /event loop hangs/);
  await app.exec("INSERT INTO t VALUES(1)");
  assertEquals((await app.rows("PRAGMA wal_checkpoint(TRUNCATE)"))[0], [0, 0, 0]);
});
