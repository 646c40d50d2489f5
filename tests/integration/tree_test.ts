import { assertEquals, assertMatch } from "../support/assert.ts";
import { EXECUTABLE, type LiveNode } from "../support/node.ts";
import { eventually, runToEnd } from "../support/process.ts";
import { primaryOf, replicaOf } from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

interface Shown {
  readonly address: string;
  readonly connected: boolean;
  readonly applied: string;
  readonly replicas?: readonly Shown[];
}

async function shown(
  node: LiveNode,
): Promise<{ replicas: Shown[]; upstream?: { above?: unknown } }> {
  return JSON.parse((await node.getText("/status")).text).databases[0];
}

scopedTest("the tree: the primary knows the last replica, and that the primary", async (scope) => {
  const paths = [];
  for (const name of ["a", "b", "c", "d"]) paths.push(await scope.path(`${name}/app.db`));
  const [a, b, c, d] = paths as [string, string, string, string];
  const app = await scope.open(a);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)", "INSERT INTO t VALUES(1)");
  const primary = await scope.start("a", primaryOf(a));
  const second = await scope.start("b", replicaOf(b, primary, a));
  const third = await scope.start("c", replicaOf(c, second, b));
  const last = await scope.start("d", replicaOf(d, third, c));
  const deepest = async (): Promise<Shown | undefined> =>
    (await shown(primary)).replicas[0]?.replicas?.[0]?.replicas?.[0];
  await eventually("the primary shows all", deepest);
  await app.exec("INSERT INTO t VALUES(2)");
  const { txid } = JSON.parse((await primary.getText("/status")).text).databases[0];
  await eventually("it moves", async () => (await deepest())?.applied === txid ? true : undefined);
  const above = await eventually("the last one knows whom all follow", async () => {
    const { upstream } = await shown(last);
    return Array.isArray(upstream?.above) && upstream.above.length === 2
      ? upstream.above
      : undefined;
  });
  assertEquals(above, [
    { url: second.url, path: b, connected: true },
    { url: primary.url, path: a, connected: true },
  ]);
  const { out } = await runToEnd(EXECUTABLE, ["status", primary.url]);
  assertMatch(out, /\n127\.[^\n]*yes[^\n]*\n {2}127\.[^\n]*yes[^\n]*\n {4}127\.[^\n]*yes/);

  await last.kill();
  await eventually(
    "the primary shows that the last one is gone",
    async () => (await deepest())?.connected === false ? true : undefined,
    5000,
  );
  await second.kill(); // and nobody knows of those below it
  await eventually("what is below it is not known", async () => {
    const [one] = (await shown(primary)).replicas;
    return one?.connected === false && one.replicas?.[0]?.connected === false ? true : undefined;
  });
});
