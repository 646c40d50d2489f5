import type { App, WriterOptions } from "../support/app.ts";
import { assert, assertEquals } from "../support/assert.ts";
import type { DatabaseConfig, LiveNode } from "../support/node.ts";
import { eventually, sleep } from "../support/process.ts";
import {
  assertConsistent,
  assertInSync,
  assertNoRepairs,
  assertUndisturbed,
  type Pair,
  SILENCE,
  startPair,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const ENDS = ["SIGTERM", "SIGKILL"] as const;

async function end(node: LiveNode, signal: typeof ENDS[number]): Promise<void> {
  if (signal === "SIGTERM") await node.stop();
  else await node.kill();
}

async function startWriting(
  scope: Scope,
  options: Partial<WriterOptions> = {},
  primary: Partial<DatabaseConfig> = {},
): Promise<Pair & { writer: App }> {
  const writer = await scope.app();
  const path = await scope.path("primary/app.db");
  await writer.startWriter({ path, pace_ms: 1, ...options });
  return { ...await startPair(scope, primary), writer };
}

/** Nobody checkpoints, so the log does not begin anew, and proves its history. */
const KEEPS_ITS_LOG = {
  pragmas: ["journal_mode=wal", "synchronous=normal", "wal_autocheckpoint=0"],
} as const;
const NO_CHECKPOINTS = { "min-checkpoint-page-count": 1_000_000, "max-checkpoint-page-count": 0 };

for (const signal of ENDS) {
  scopedTest(`a replica catches up when it was down after ${signal}`, async (scope) => {
    const { writer, ...pair } = await startWriting(scope);
    const reader = await scope.app();
    await reader.startReader({ path: pair.copy, pace_ms: 1 });
    for (let round = 0; round < 3; round++) {
      await sleep(200);
      await end(pair.replica, signal);
      const before = (await writer.writerProgress()).n;
      await eventually("more commits", async () => {
        return (await writer.writerProgress()).n > before + 30 || undefined;
      });
      pair.replica.start();
      await pair.replica.healthy();
    }
    assertUndisturbed(await writer.stopWriter());
    await assertInSync(pair);
    assertConsistent(await reader.stopReader());
    await assertNoRepairs(pair.replica);
    const { counters } = await pair.replica.database();
    assertEquals(counters.firstCopies, 0, "the copy from before is used");
  });

  scopedTest(`a primary goes on in its history after ${signal} while written to`, async (scope) => {
    const { writer, ...pair } = await startWriting(scope, KEEPS_ITS_LOG, NO_CHECKPOINTS);
    const { epoch } = await pair.primary.database();
    for (let round = 0; round < 3; round++) {
      await sleep(200);
      await end(pair.primary, signal);
      await sleep(50); // a few commits that no node sees
      pair.primary.start();
      await pair.primary.healthy();
      await pair.replica.healthy();
    }
    assertUndisturbed(await writer.stopWriter());
    await assertInSync(pair);
    assertEquals((await pair.primary.database()).epoch, epoch, "the history is unbroken");
    assertEquals((await pair.replica.database()).counters.firstCopies, 1);
  });
}

scopedTest(
  "a replica follows when the log began anew while its primary was down",
  async (scope) => {
    const { writer, ...pair } = await startWriting(scope);
    await sleep(200);
    await writer.stopWriter();
    await pair.primary.stop();
    // The last connection checkpoints and deletes the log, then another one writes.
    const app = await scope.open(pair.source);
    await app.close();
    await app.open(pair.source);
    await app.exec("UPDATE counter_row SET n = n", "CREATE TABLE after_restart(a)");
    pair.primary.start();
    await pair.primary.healthy();
    await assertInSync(pair);
    const { counters } = await pair.replica.database();
    assertEquals(counters.firstCopies, 1, "only the first one was copied whole");
  },
);

scopedTest(
  "a replica notices within 5 s that its upstream hangs, and goes on after",
  async (scope) => {
    const { writer, ...pair } = await startWriting(scope);
    await sleep(100);
    pair.primary.pause();
    try {
      await pair.replica.until(
        "is not connected",
        ({ upstream }) => upstream?.connected === false,
      );
      await pair.replica.logged(SILENCE); // no other reason, and after 3 s
    } finally {
      pair.primary.resume();
    }
    await pair.replica.healthy();
    await writer.stopWriter();
    await assertInSync(pair);
  },
);

scopedTest("a primary notices within 5 s that a replica is gone", async (scope) => {
  const { writer, ...pair } = await startWriting(scope);
  await pair.primary.until(
    "has a replica",
    ({ replicas }) => replicas.some((one) => one.connected),
  );
  pair.replica.pause();
  try {
    await pair.primary.until(
      "misses it",
      ({ replicas }) => replicas.every((one) => !one.connected || one.silentMs > 2000),
      { limitMs: 8000 },
    );
  } finally {
    pair.replica.resume();
  }
  await pair.replica.healthy();
  assertUndisturbed(await writer.stopWriter());
  await assertInSync(pair);
});

scopedTest("a second node on the same database is refused", async (scope) => {
  const { writer, ...pair } = await startWriting(scope);
  await writer.stopWriter();
  const second = await scope.start("second", { dbs: [{ path: pair.source }] }, false);
  const { state, reason } = await second.until(
    "is refused",
    ({ state }) => state === "failed" || state === "waiting",
  );
  assert(reason !== undefined && reason.length > 0, `a reason in state ${state}`);
  await pair.primary.healthy();
  await assertInSync(pair);
});
