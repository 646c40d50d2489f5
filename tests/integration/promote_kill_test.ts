import { formatPosition } from "../../src/base/types.ts";
import { assertEquals, assertMatch } from "../support/assert.ts";
import { describeFile } from "../support/content.ts";
import {
  assertSameContent,
  assertSamePosition,
  primaryOf,
  replicaOf,
} from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";
import { type Call, Shim } from "../support/shim.ts";

interface Step {
  readonly file: string;
  readonly on: Call;
  readonly nth?: number;
  /** What the file is after a kill in place of this call. */
  readonly then: "replica" | "primary";
}

/** Every call that a promotion makes on files that last, in order. */
const STEPS: readonly Step[] = [
  { file: "-live/history.new", on: "open", then: "replica" },
  { file: "-live/history.new", on: "write", then: "replica" },
  { file: "-live/history.new", on: "sync", then: "replica" },
  { file: "-live/history", on: "link", then: "replica" },
  { file: "-live", on: "sync", then: "replica" },
  { file: "-live/state", on: "write", then: "replica" },
  { file: "-wal", on: "write", then: "replica" },
  { file: "-wal", on: "sync", then: "primary" },
  { file: "-live/state", on: "write", nth: 2, then: "primary" },
];

scopedTest("promote: killed at any step it is the replica or the primary", async (scope) => {
  const shim = await Shim.make(scope, STEPS.map((_, nth) => `${nth}`));
  const env = shim.env({ recorded: false });
  for (const [at, { file, on, nth = 1, then }] of STEPS.entries()) {
    const source = await scope.path(`primary${at}/app.db`);
    const app = await scope.open(source);
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
    const old = await scope.start(`old${at}`, primaryOf(source));
    const copy = await scope.path(`sibling${at}/app.db`);
    const sibling = await scope.start(`sibling${at}`, replicaOf(copy, old, source));
    const which = `killed at ${on} ${nth} of app.db${file}`;
    const path = `${shim.root}/${at}/app.db`;
    const node = scope.node(`${at}`, replicaOf(path, old, source));
    node.start({ env });
    await node.healthy();
    await app.exec(`INSERT INTO t VALUES(${at})`); // the log has frames
    for (const one of [node, sibling]) await assertSamePosition(old, one);
    const { id, epoch, txid } = await node.database();
    const before = formatPosition({ epoch: epoch!, txid: txid! });
    const rule = shim.rules.add({ path: `${path}${file}`, on, failure: "kill", from: nth });
    const answer = await node.post("/promote", { path }).catch(() => undefined);
    assertEquals(answer, undefined, `${which}: nobody is told that it is promoted`);
    await node.child.wait(5000);
    rule.end();
    node.start({ env });
    await node.healthy();
    const { role, counters } = await node.database();
    const { byte18 } = await describeFile(path);
    assertEquals([which, role, byte18], [which, then, then === "replica" ? 127 : 2]);
    if (then === "replica") {
      await app.exec(`INSERT INTO t VALUES(${at})`);
      await assertSamePosition(old, node);
      await assertSameContent(source, [path]);
      assertEquals([which, counters.repairs], [which, 0]);
      for (const one of [node, old, sibling]) await one.stop();
      continue;
    }
    const { result, parent } = await node.post("/promote", { path });
    assertEquals([which, result, parent], [which, "already", before]);
    const written = await scope.open(path);
    await written.exec("INSERT INTO t VALUES(-1)");
    sibling.reload(replicaOf(copy, node, path));
    await assertSamePosition(node, sibling);
    await assertSameContent(path, [copy]);
    assertEquals((await node.database()).id, id, "the same database");
    for (const one of [node, old, sibling]) await one.stop();
  }
  assertMatch(scope.logs(), /a promotion was interrupted, and did not happen/);
});
