import { assert, assertEquals } from "../support/assert.ts";
import type { LiveNode } from "../support/node.ts";
import { processorMs } from "../support/processor.ts";
import { assertInSync, assertUndisturbed, replicaOf } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

/** A node with `count` primaries of databases that are there. */
async function primaries(scope: Scope, name: string, count: number) {
  const paths: string[] = [];
  const app = await scope.app();
  for (let nth = 0; nth < count; nth++) {
    const path = await scope.path(`${name}/${nth}.db`);
    await app.open(path);
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)");
    await app.close();
    paths.push(path);
  }
  const node = await scope.start(name, { dbs: paths.map((path) => ({ path })) });
  for (const [nth, path] of paths.entries()) await app.open(path, { as: `${nth}` });
  return { app, node, paths };
}

/** How often a node has read something new: commits that come close together are read at once. */
async function syncsOf(node: LiveNode): Promise<number> {
  const { databases } = await node.status();
  return databases.reduce((sum, { counters }) => sum + counters.syncs, 0);
}

const ROUNDS = 5;
const COMMITS = 400;
const MANY = 40;

scopedTest(
  "a commit costs a node with 40 primaries about what it costs one with 1",
  async (scope) => {
    const few = await primaries(scope, "few", 1);
    const many = await primaries(scope, "many", MANY);
    const spent = new Map([[few, 0], [many, 0]]);
    const syncs = new Map([[few, await syncsOf(few.node)], [many, await syncsOf(many.node)]]);
    for (let round = 0; round < ROUNDS; round++) { // side by side, so that the machine's load is the same
      for (const side of [few, many]) {
        const { ms } = await processorMs([side.node], async () => {
          for (let commit = 0; commit < COMMITS; commit++) {
            const nth = commit % side.paths.length;
            await side.app.rows("INSERT INTO t VALUES(1)", [], `${nth}`);
          }
        });
        spent.set(side, spent.get(side)! + ms[0]!);
      }
    }
    const each = async (side: typeof few): Promise<number> =>
      spent.get(side)! / (await syncsOf(side.node) - syncs.get(side)!);
    const ratio = await each(many) / await each(few);
    assert(ratio < 3, `it costs ${ratio.toFixed(1)} times as much`);
    for (const { node, paths } of [few, many]) {
      const seen = await Promise.all(paths.map((path) =>
        node.until(
          "has read all",
          ({ counters }) => counters.commits === ROUNDS * COMMITS / paths.length,
          { path },
        )
      ));
      assertEquals(seen.length, paths.length);
    }
  },
);

const noInotify = ["unshare", "--user", "--map-root-user", "sh", "-c"];
// Of the new user namespace alone; fs.inotify.max_user_instances would be the whole machine's.
const refuse = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$0" "$@"';
const canRefuse = await new Deno.Command(noInotify[0]!, {
  args: [...noInotify.slice(1), refuse, "true"],
  stdout: "null",
  stderr: "null",
}).output().then(({ success }) => success, () => false);

scopedTest(
  "commits are seen where the system gives no inotify, and the log says why",
  async (scope) => {
    const source = await scope.path("primary/app.db");
    const copy = await scope.path("replica/app.db");
    const primary = scope.node("primary", { dbs: [{ path: source }] });
    primary.start({ wrapper: [...noInotify, refuse] });
    const writer = await scope.app();
    await writer.startWriter({ path: source, pace_ms: 7, count: 200 });
    await primary.healthy();
    const replica = await scope.start("replica", replicaOf(copy, primary, source));
    assertUndisturbed(await writer.joinWriter());
    await assertInSync({ source, copy, primary, replica });
    const said = primary.log.filter((line) => line.includes("fs.inotify.max_user_instances"));
    assertEquals(said.length, 1);
  },
  { ignore: !canRefuse },
);
