import { assertEquals } from "../support/assert.ts";
import { eventually, sleep } from "../support/process.ts";
import {
  assertConsistent,
  assertNoRepairs,
  assertSameContent,
  assertSamePosition,
  assertUndisturbed,
  primaryOf,
  replicaOf,
} from "../support/replication.ts";
import type { LiveNode } from "../support/node.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

interface Chain {
  readonly paths: readonly [string, string, string];
  readonly nodes: readonly [LiveNode, LiveNode, LiveNode];
}

/** Three nodes, each the replica of the one before; none is started. */
async function chain(scope: Scope): Promise<Chain> {
  const first = await scope.path("first/app.db");
  const middle = await scope.path("middle/app.db");
  const last = await scope.path("last/app.db");
  const a = scope.node("first", primaryOf(first));
  const b = scope.node("middle", replicaOf(middle, a, first));
  const c = scope.node("last", replicaOf(last, b, middle));
  return { paths: [first, middle, last], nodes: [a, b, c] };
}

async function assertChain({ paths, nodes }: Chain): Promise<void> {
  await assertSameContent(paths[0], paths.slice(1));
  await assertSamePosition(nodes[0], nodes[1]);
  await assertSamePosition(nodes[0], nodes[2]);
}

scopedTest("a chain of three stays exact when its middle is restarted", async (scope) => {
  const three = await chain(scope);
  const [, middle, last] = three.nodes;
  const writer = await scope.app();
  await writer.startWriter({ path: three.paths[0], pace_ms: 1 });
  for (const node of three.nodes) node.start();
  for (const node of three.nodes) await node.healthy();
  const reader = await scope.app();
  await reader.startReader({ path: three.paths[2], pace_ms: 1 });
  for (const signal of ["SIGTERM", "SIGKILL", "SIGTERM", "SIGKILL"] as const) {
    await sleep(150);
    if (signal === "SIGTERM") await middle.stop();
    else await middle.kill();
    await sleep(100);
    middle.start();
    await middle.healthy();
    await last.healthy();
  }
  assertUndisturbed(await writer.stopWriter());
  await assertChain(three);
  assertConsistent(await reader.stopReader());
  await assertNoRepairs(middle); // what the last had not got yet, it finds by hashes
});

scopedTest(
  "the last of a chain follows when the middle is repaired after a new epoch",
  async (scope) => {
    const three = await chain(scope);
    const [first] = three.nodes;
    const writer = await scope.app();
    await writer.startWriter({ path: three.paths[0], count: 200 });
    await writer.joinWriter();
    for (const node of three.nodes) node.start();
    for (const node of three.nodes) await node.healthy();
    await assertChain(three);
    await first.stop();
    await writer.open(three.paths[0]);
    await writer.value("SELECT n FROM counter_row");
    await writer.close(); // the log is gone: nothing proves the history any more
    await writer.startWriter({ path: three.paths[0], count: 50 });
    await writer.joinWriter();
    first.start();
    for (const node of three.nodes) await node.healthy();
    await assertChain(three);
    for (const node of three.nodes.slice(1)) {
      assertEquals(
        (await node.database()).counters.firstCopies,
        1,
        "none was copied a second time",
      );
    }
  },
);

const ORDERS = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] as const;

for (const order of ORDERS) {
  const names = order.map((at) => ["first", "middle", "last"][at]);
  scopedTest(`a chain comes up when started as ${names.join(", ")}`, async (scope) => {
    const three = await chain(scope);
    const app = await scope.open(three.paths[0]);
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
    for (const at of order) {
      three.nodes[at]!.start();
      await sleep(200);
    }
    for (const node of three.nodes) await node.healthy();
    await app.exec("INSERT INTO t VALUES(2)");
    const reader = await scope.app();
    await reader.open(three.paths[2], { mode: "ro" });
    await eventually("both rows", async () => {
      return (await reader.value("SELECT count(*) FROM t")) === 2 || undefined;
    });
    await assertChain(three);
  });
}
