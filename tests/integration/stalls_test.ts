/** A loop that stands still is told within 5 s, in /health, /status, a metric and the log. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import type { LiveNode } from "../support/node.ts";
import { eventually } from "../support/process.ts";
import { assertInSync, type Pair, primaryOf, replicaOf } from "../support/replication.ts";
import { Shim } from "../support/shim.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

async function pairUnderShim(scope: Scope): Promise<Pair & { shim: Shim; write(): Promise<void> }> {
  const shim = await Shim.make(scope, ["primary", "replica"]);
  const source = `${shim.root}/primary/app.db`;
  const copy = `${shim.root}/replica/app.db`;
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
  const env = shim.env({ recorded: false });
  const rest = { "min-checkpoint-page-count": 20 };
  const primary = scope.node("primary", primaryOf(source, rest));
  primary.start({ env });
  await primary.healthy();
  const config = replicaOf(copy, primary, source);
  const replica = scope.node("replica", { dbs: [{ ...config.dbs[0]!, ...rest }] });
  replica.start({ env });
  await replica.healthy();
  const write = (): Promise<void> => app.exec("INSERT INTO t VALUES(randomblob(200000))");
  return { source, copy, primary, replica, shim, write };
}

/** It says why everywhere. */
async function assertStalled(node: LiveNode, reason: RegExp, cause: string): Promise<void> {
  const text = await eventually(`${node.name} is not healthy: ${reason}`, async () => {
    const { status, text } = await node.health();
    return status === 503 && reason.test(text) ? text : undefined;
  }, 20_000);
  assertEquals(JSON.parse(text).databases[0].cause, cause);
  assertMatch((await node.database()).reason ?? "", reason);
  const metrics = (await node.getText("/metrics")).text;
  assertMatch(metrics, /^litestream_live_healthy\{[^}]*\} 0$/m);
  assertMatch(
    metrics,
    new RegExp(`^litestream_live_unhealthy\\{[^}]*cause="${cause}"[^}]*\\} 1$`, "m"),
  );
  await node.logged(new RegExp(`"stalled".*${reason.source}`));
}

async function assertGoesOn(pair: Pair & { write(): Promise<void> }): Promise<void> {
  await pair.write();
  for (const node of [pair.primary, pair.replica]) await node.healthy();
  await assertInSync(pair);
  const metrics = (await pair.replica.getText("/metrics")).text;
  assertMatch(metrics, /^litestream_live_healthy\{[^}]*\} 1$/m);
}

const HANGS: readonly (readonly [
  name: string,
  side: "primary" | "replica",
  file: string,
  reason: RegExp,
])[] = [
  ["an fsync of the replica's log", "replica", "-wal", /fsync of the replica's log has not ended/],
  ["the replica's checkpoint", "replica", "", /checkpoint of the replica's log has not ended/],
  ["the primary's checkpoint", "primary", "", /a checkpoint has not ended/],
];

for (const [name, side, file, reason] of HANGS) {
  scopedTest(`${name} that hangs is told, and it goes on when that ends`, async (scope) => {
    const pair = await pairUnderShim(scope);
    const path = `${side === "primary" ? pair.source : pair.copy}${file}`;
    const rule = pair.shim.rules.add({ path, on: "sync", failure: "hang", from: 1 });
    try {
      await pair.write();
      await assertStalled(pair[side], reason, "trouble");
    } finally {
      rule.end();
    }
    await pair[side].logged(/"goes on"/);
    await assertGoesOn(pair);
  });
}

scopedTest(
  "a primary whose checkpoints fail tells it, long before its log is long",
  async (scope) => {
    const pair = await pairUnderShim(scope);
    const rule = pair.shim.rules.add({ path: pair.source, on: "sync", failure: "EIO", from: 1 });
    await pair.write(); // about 50 frames, once: the application may be quiet
    await assertStalled(
      pair.primary,
      /no checkpoint of the log succeeds.+: SQLite code 10/,
      "trouble",
    );
    rule.end();
    await pair.primary.logged(/"goes on"/);
    await assertGoesOn(pair);
  },
);

scopedTest(
  "a replica that was stopped does not call itself current when it wakes",
  async (scope) => {
    const pair = await pairUnderShim(scope);
    await pair.write();
    await assertInSync(pair);
    await pair.primary.kill(); // nothing that could bring it up to date
    pair.replica.pause();
    const answer = pair.replica.getText("/health?max-lag=3s"); // waits until it goes on
    await new Promise((resolve) => setTimeout(resolve, 4000));
    pair.replica.resume();
    const { status, text } = await answer;
    assertEquals(status, 503, text);
    assert(/it lags \d+ ms/.test(text), text);
    pair.primary.start({ env: pair.shim.env({ recorded: false }) });
    await assertGoesOn(pair);
  },
);
