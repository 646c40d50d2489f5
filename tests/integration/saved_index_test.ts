import { assert, assertEquals } from "../support/assert.ts";
import type { LiveNode } from "../support/node.ts";
import {
  assertInSync,
  assertNoRepairs,
  assertUndisturbed,
  type Pair,
  startPair,
} from "../support/replication.ts";
import { eventually } from "../support/process.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const ENDS = ["SIGTERM", "SIGKILL"] as const;
const FILL = "INSERT INTO filling(b) WITH RECURSIVE c(n) AS " +
  "(SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<9000) SELECT randomblob(3900) FROM c";

/** What the last opening of its database said. */
function hashesOf(node: LiveNode): string {
  const line = node.log.findLast((line) => line.includes('"hashes":'));
  assert(line !== undefined, `node ${node.name} has said where its hashes are from`);
  return JSON.parse(line).hashes;
}

/** A database large enough that its index is saved, and its copy. */
async function largePair(scope: Scope): Promise<Pair> {
  const source = await scope.path("primary/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "PRAGMA synchronous=off");
  await app.exec("CREATE TABLE filling(a INTEGER PRIMARY KEY, b BLOB)", FILL);
  await app.close(); // checkpoints, and deletes the log
  const pair = await startPair(scope);
  await pair.replica.healthy();
  return pair;
}

async function saved(database: string): Promise<void> {
  await eventually("the index is saved", async () => {
    return await Deno.stat(`${database}-live/index`).then(() => true, () => undefined);
  });
}

async function end(node: LiveNode, signal: typeof ENDS[number]): Promise<void> {
  if (signal === "SIGTERM") await node.stop();
  else await node.kill();
}

/** Started again; true if it did not read its file. */
async function again(node: LiveNode): Promise<boolean> {
  node.start();
  await node.healthy();
  return hashesOf(node) === "saved";
}

for (const signal of ENDS) {
  scopedTest(`after ${signal} a node does not read a large database again`, async (scope) => {
    const pair = await largePair(scope);
    assertEquals(hashesOf(pair.primary), "read from the file");
    assertEquals(hashesOf(pair.replica), "saved", "the first copy was hashed as it came");
    await saved(pair.source);
    const writer = await scope.app();
    await writer.startWriter({ path: pair.source, pace_ms: 1 });
    let believed = 0;
    for (let round = 0; round < 3; round++) {
      const { counters } = await pair.primary.database();
      await pair.primary.until(
        "a log has begun anew",
        (now) => now.counters.logRestarts > counters.logRestarts,
      );
      await end(pair.replica, signal);
      if (await again(pair.replica)) believed++;
    }
    assert(believed > 0, "the replica's index is saved"); // not if it is killed in a checkpoint
    assertUndisturbed(await writer.stopWriter());
    await pair.primary.until( // killed in a checkpoint, it would read its file, too
      "rests",
      ({ walFrames = 0, walBackfilled }) => walFrames < 1000 || walFrames === walBackfilled,
    );
    await assertInSync(pair);
    await end(pair.primary, signal);
    assert(await again(pair.primary), "the primary's index is saved");
    await assertInSync(pair);
    await assertNoRepairs(pair.primary, pair.replica);
  });
}

/** What may happen to a database while its node is down; `app` has been its only user. */
const MEANWHILE: Readonly<Record<string, (scope: Scope, path: string) => Promise<void>>> = {
  async "an application checkpoints"(scope, path) {
    const app = await scope.open(path);
    await app.exec("UPDATE filling SET b = zeroblob(3900) WHERE a % 900 = 0");
    await app.exec("PRAGMA wal_checkpoint(TRUNCATE)", "DELETE FROM filling WHERE a = 1");
  },
  async "an older file is copied over it, times kept"(_scope, path) {
    const { atime, mtime } = await Deno.stat(path);
    await copyOver(`${path}.backup`, path);
    await Deno.utime(path, atime!, mtime!);
  },
  async "it is written to without a log"(scope, path) {
    const app = await scope.open(path);
    await app.exec("PRAGMA journal_mode=delete", "DELETE FROM filling WHERE a % 1000 = 0");
    await app.exec("PRAGMA journal_mode=wal");
  },
};

for (const [what, happens] of Object.entries(MEANWHILE)) {
  scopedTest(`a primary reads its file again when ${what} meanwhile`, async (scope) => {
    const pair = await largePair(scope);
    await saved(pair.source);
    await pair.primary.stop();
    await Deno.copyFile(pair.source, `${pair.source}.backup`);
    const app = await scope.open(pair.source);
    await app.exec("UPDATE filling SET b = zeroblob(3900) WHERE a % 700 = 0");
    await app.close();
    assert(!await again(pair.primary), "the application has checkpointed");
    await saved(pair.source);
    await pair.primary.stop();
    await happens(scope, pair.source);
    assert(!await again(pair.primary), `a saved index was believed, although ${what}`);
    await assertInSync(pair);
  });
}

for (const role of ["primary", "replica"] as const) {
  scopedTest(`a ${role} reads its file again when a page was overwritten`, async (scope) => {
    const pair = await largePair(scope);
    const path = role === "primary" ? pair.source : pair.copy;
    const node = pair[role];
    await saved(path);
    await node.stop();
    {
      using file = await Deno.open(path, { write: true });
      await file.seek(5000 * 4096 + 100, Deno.SeekMode.Start);
      await file.write(new TextEncoder().encode("by hand"));
    }
    assert(!await again(node), "a saved index was believed, although a page was overwritten");
    await assertInSync(pair);
  });
}

/** The bytes alone: the file stays the one that it is. */
async function copyOver(from: string, to: string): Promise<void> {
  await Deno.writeFile(to, await Deno.readFile(from), { create: false });
}
