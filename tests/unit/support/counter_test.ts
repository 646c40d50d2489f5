import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { SqlError } from "../../support/app.ts";
import { eventually, sleep } from "../../support/process.ts";
import { scopedTest } from "../../support/scope.ts";

scopedTest("the counter reader finds nothing wrong with plain SQLite", async (scope) => {
  const path = await scope.path("app.db");
  const writer = await scope.app();
  const reader = await scope.app();
  await reader.startReader({ path, check_every: 20 }); // before the file exists
  await eventually("waits", async () => (await reader.readerProgress()).waits > 0 || undefined);
  await writer.startWriter({ path });
  await eventually("work", async () => {
    const [reads, writes] = [await reader.readerProgress(), await writer.writerProgress()];
    return (reads.count > 200 && reads.n > 0 && writes.count > 100) || undefined;
  });
  const written = await writer.stopWriter();
  const read = await reader.stopReader();
  assertEquals(written.errors, {});
  assertEquals([read.violations, read.errors], [[], {}], read.messages.join());
  assert(read.checks > 5 && read.n <= written.n);
});

scopedTest("the counter writer goes on where it was when it is killed", async (scope) => {
  const path = await scope.path("app.db");
  const first = await scope.app();
  await first.startWriter({ path });
  await eventually("writes", async () => (await first.writerProgress()).n > 50 || undefined);
  await first.child.kill();
  const second = await scope.app();
  await second.startWriter({ path, count: 10 });
  const report = await second.joinWriter();
  assertEquals([report.count, report.errors], [10, {}]);
  assert(report.n > 60);
});

scopedTest("the counter reader tells each kind of wrong content", async (scope) => {
  const path = await scope.path("app.db");
  const app = await scope.app();
  await app.startWriter({ path, count: 20 });
  await app.joinWriter();
  await app.open(path);
  const reader = await scope.app();
  await reader.startReader({ path });
  const violation = async (pattern: RegExp): Promise<void> => {
    await eventually(`violation ${pattern}`, async () => {
      const { violations } = await reader.readerProgress();
      return violations.some((one) => pattern.test(one)) || undefined;
    });
  };
  await eventually("reads", async () => (await reader.readerProgress()).n === 20 || undefined);
  await app.exec("UPDATE counter_row SET n = 19");
  await violation(/tables differ: 19 20 20/);
  await violation(/n went from 20 back to 19/);
  await app.exec("UPDATE counter_row SET n = 20", "DELETE FROM counter_log WHERE n = 3");
  await violation(/19 rows in the log at 20/);
  await Deno.remove(path);
  const again = await scope.app();
  await again.startReader({ path });
  await sleep(20);
  assertEquals((await again.stopReader()).seen, false);
});

scopedTest("the counter reader finds a damaged index", async (scope) => {
  const path = await scope.path("app.db");
  const app = await scope.app();
  await app.startWriter({ path, count: 20 });
  await app.joinWriter();
  await app.open(path);
  await app.exec(
    "PRAGMA writable_schema=on",
    "UPDATE sqlite_schema SET sql = 'CREATE INDEX counter_ring_n ON counter_ring(pad)' " +
      "WHERE name = 'counter_ring_n'",
  );
  await app.close();
  const reader = await scope.app();
  await reader.startReader({ path, check_every: 2 });
  const found = await eventually("violation", async () => {
    return (await reader.readerProgress()).violations.find((one) => /integrity_check/.test(one));
  });
  assertMatch(found, /integrity_check/);
});

scopedTest("App tells SQLite's result code when a statement is refused", async (scope) => {
  const path = await scope.path("app.db");
  const app = await scope.open(path);
  await app.exec("CREATE TABLE t(a)");
  await app.open(path, { as: "reader", mode: "ro" });
  const refused = await app.rows("INSERT INTO t VALUES(1)", [], "reader").catch((error) => error);
  assert(refused instanceof SqlError);
  assertEquals([refused.code, refused.message], [8, "attempt to write a readonly database"]);
});
