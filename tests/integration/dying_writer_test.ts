/**
 * Writers that die at one exact place inside a commit, under the shim: what they leave must neither
 * end the history nor be shown.
 */
import { assertEquals } from "../support/assert.ts";
import { Child } from "../support/process.ts";
import { assertInSync, assertNoRepairs, primaryOf, replicaOf } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";
import { type Call, Shim } from "../support/shim.ts";

const INSERT = `
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("INSERT INTO t VALUES (randomblob(5000))")
`;

async function insert(path: string, env: Record<string, string> = {}): Promise<string | number> {
  await using child = new Child({ program: "python3", args: ["-c", INSERT, path], env });
  const { code, signal } = await child.wait(20_000);
  return signal ?? code;
}

/** A pair whose log is all checkpointed, so that the next writer begins it anew. */
async function restedPair(scope: Scope) {
  const shim = await Shim.make(scope, ["primary", "replica"]);
  const source = `${shim.root}/primary/app.db`;
  const copy = `${shim.root}/replica/app.db`;
  await using app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
  const limits = { "min-checkpoint-page-count": 1 };
  const primary = await scope.start("primary", primaryOf(source, limits));
  const replica = await scope.start("replica", replicaOf(copy, primary, source));
  await app.exec("INSERT INTO t VALUES (randomblob(20000))");
  await primary.until(
    "all is checkpointed",
    ({ walFrames, walBackfilled }) => walFrames! > 0 && walFrames === walBackfilled,
  );
  return { shim, source, copy, primary, replica };
}

const places: readonly { readonly what: string; readonly on: Call; readonly nth: number }[] = [
  { what: "before the new log has a header", on: "write", nth: 1 },
  { what: "before the first frame of the new log", on: "write", nth: 2 },
  { what: "between two frames of the new log", on: "write", nth: 5 },
];

for (const { what, on, nth } of places) {
  for (const frozen of [true, false]) {
    const how = frozen ? "while the node is stopped" : "beside the node";
    scopedTest(`a writer that dies ${what}, ${how}, ends no history`, async (scope) => {
      const { shim, ...pair } = await restedPair(scope);
      const { epoch, counters } = await pair.primary.database();
      if (frozen) pair.primary.pause();
      shim.rules.add({ path: `${pair.source}-wal`, on, failure: "kill", from: nth, to: nth });
      assertEquals(await insert(pair.source, shim.env({ recorded: false })), "SIGKILL");
      assertEquals(await insert(pair.source), 0);
      assertEquals(await insert(pair.source), 0);
      if (frozen) pair.primary.resume();
      await assertInSync(pair);
      const after = await pair.primary.database();
      assertEquals([after.epoch, after.counters.newEpochs], [epoch, counters.newEpochs]);
      await assertNoRepairs(pair.replica);
    });
  }
}
