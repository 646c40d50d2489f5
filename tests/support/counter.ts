/**
 * The counter test: a writer commits n into three tables at once, stock readers elsewhere check at
 * every read that the three agree and that n never goes down, while nodes are killed.
 * May import: tests/support.
 * @module
 */
import type { App } from "./app.ts";
import { assert } from "./assert.ts";
import { eventually, sleep } from "./process.ts";
import {
  assertConsistent,
  assertSameContent,
  assertSamePosition,
  assertUndisturbed,
  primaryOf,
  replicaOf,
} from "./replication.ts";
import type { Scope } from "./scope.ts";

export interface CounterOptions {
  /** kill -9 of the replica and of the primary, each this often. */
  readonly kills: number;
  /** Pause of the writer after each commit; 0 = as fast as it can. */
  readonly paceMs: number;
  /** A second replica, of the first one. */
  readonly cascade: boolean;
}

/** A whole number from `low` to `high`, spread evenly over rounds: no test depends on chance. */
function spread(round: number, low: number, high: number): number {
  return low + Math.floor(((round * 0.618) % 1) * (high - low));
}

export async function counterTest(scope: Scope, options: CounterOptions): Promise<void> {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const last = await scope.path("last/app.db");
  const writer = await scope.app();
  await writer.startWriter({ path: source, pace_ms: options.paceMs });
  const primary = scope.node("primary", primaryOf(source));
  const replica = scope.node("replica", replicaOf(copy, primary, source));
  const nodes = [primary, replica];
  if (options.cascade) nodes.push(scope.node("last", replicaOf(last, replica, copy)));
  for (const node of nodes) node.start();
  for (const node of nodes) await node.healthy();

  const readers: App[] = [];
  const copies = options.cascade ? [copy, last] : [copy];
  for (const path of copies) {
    for (const reopen of [0, 50]) {
      const reader = await scope.app();
      await reader.startReader({ path, pace_ms: 1, check_every: 50, reopen_every: reopen });
      readers.push(reader);
    }
  }
  for (let round = 0; round < 2 * options.kills; round++) {
    const victim = round % 2 === 0 ? replica : primary;
    await sleep(spread(round, 100, 600));
    await victim.kill();
    await sleep(spread(round + 0.5, 0, 200));
    const { n } = await writer.writerProgress();
    victim.start();
    await victim.healthy();
    await replica.healthy();
    await eventually(`commit ${n} is read on each copy after kill ${round + 1}`, async () => {
      const reports = await Promise.all(readers.map((reader) => reader.readerProgress()));
      return reports.every((report) => report.n >= n) || undefined;
    });
  }
  const written = await writer.stopWriter();
  assertUndisturbed(written);
  await assertSameContent(source, copies);
  await assertSamePosition(primary, replica);
  for (const reader of readers) {
    const read = await reader.stopReader();
    assertConsistent(read);
    assert(read.n <= written.n, "nothing is read that was not written");
  }
}
