import type { Verified } from "../../src/cli/verify.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { EXECUTABLE } from "../support/node.ts";
import { Child } from "../support/process.ts";
import {
  assertSameContent,
  assertUndisturbed,
  type Pair,
  primaryOf,
  replicaOf,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const PAGE = 4096;

async function run(...args: readonly string[]): Promise<{ code: number; out: string }> {
  await using child = new Child({
    program: EXECUTABLE,
    args: ["verify", ...args],
    clearEnv: true,
    env: {},
  });
  const { code } = await child.wait(60_000);
  return { code, out: [...child.stdout.kept, ...child.stderr.kept].join("\n") };
}

async function verified(...args: readonly string[]): Promise<Verified & { readonly code: number }> {
  const { code, out } = await run(...args, "-json");
  assert(out.startsWith("{"), out);
  return { ...JSON.parse(out), code };
}

/** A pair with some hundred pages in both files; the log is empty, and the nodes know it. */
async function pairWithPages(scope: Scope, rate = "0"): Promise<Pair> {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  {
    await using app = await scope.open(source);
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE good(a)", "CREATE TABLE hurt(a)");
    await app.exec("INSERT INTO good VALUES (randomblob(400000))");
    await app.exec("INSERT INTO hurt VALUES (randomblob(400000))");
    await app.close(); // all of it is in the file now
  }
  const primary = await scope.start("primary", primaryOf(source));
  const replica = await scope.start("replica", {
    ...replicaOf(copy, primary, source),
    "self-check-rate": rate,
  });
  return { source, copy, primary, replica };
}

/** Turns a byte of a page as a bad disk would. */
async function damage(path: string, page: number): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  const at = (page - 1) * PAGE + 2000;
  const byte = new Uint8Array(1);
  await file.seek(at, Deno.SeekMode.Start);
  await file.read(byte);
  byte[0]! ^= 1;
  await file.seek(at, Deno.SeekMode.Start);
  await file.write(byte);
}

scopedTest(
  "verify: a replica and its upstream are equal, also while they are written",
  async (scope) => {
    const pair = await pairWithPages(scope);
    const still = await verified("-config", pair.replica.configPath);
    assertEquals([still.code, still.ok, still.meeting?.result], [0, true, "equal"]);
    assertEquals(still.nodes.map(({ path }) => path), [pair.copy, pair.source]);
    assertEquals(still.nodes.map(({ line }) => line.donePages), [
      still.nodes[0]!.line.pages,
      still.nodes[1]!.line.pages,
    ]);
    const alone = await run(pair.primary.url + pair.source);
    assertEquals(alone.code, 0);
    assertMatch(alone.out, /all as they must be, at .*\nnot compared .*\nOK$/);

    const writer = await scope.app();
    await writer.startWriter({ path: pair.source, pace_ms: 1 });
    for (let nth = 0; nth < 3; nth++) {
      const busy = await verified(pair.replica.url + pair.copy);
      assertEquals([busy.code, busy.meeting?.result], [0, "equal"]);
    }
    assertUndisturbed(await writer.stopWriter());
  },
);

scopedTest(
  "verify: names the page and the table that went bad, and has it fetched",
  async (scope) => {
    const pair = await pairWithPages(scope);
    const { pageCount } = await pair.replica.database();
    await damage(pair.copy, pageCount! - 3);
    const bad = await verified("-config", pair.replica.configPath);
    assertEquals([bad.code, bad.ok], [1, false]);
    const [looked] = bad.nodes;
    assertEquals([looked!.line.bad, looked!.names], [[pageCount! - 3], ["hurt"]]);
    const text = await run("-config", pair.replica.configPath, "-repair");
    assertEquals(text.code, 1);
    assertMatch(text.out, new RegExp(`1 changed without a commit: ${pageCount! - 3} \\(hurt\\)`));
    await pair.replica.until("repaired", ({ counters }) => counters.repairedPages > 0);
    await pair.replica.healthy();
    await assertSameContent(pair.source, [pair.copy]);
    assertEquals((await verified("-config", pair.replica.configPath)).code, 0);
  },
);

scopedTest(
  "verify: a primary's page that went bad is told, and nothing is done to it",
  async (scope) => {
    const pair = await pairWithPages(scope);
    const { epoch } = await pair.primary.database();
    await damage(pair.source, 20);
    const bad = await verified(pair.primary.url + pair.source, "-repair");
    assertEquals([bad.code, bad.nodes[0]!.line.bad], [1, [20]]);
    assertEquals((await pair.primary.database()).epoch, epoch);
  },
);

scopedTest("verify: two databases that differ are told from each other", async (scope) => {
  const pair = await pairWithPages(scope);
  const other = await scope.path("other/app.db");
  {
    await using app = await scope.open(other);
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE good(a)");
  }
  const third = await scope.start("third", primaryOf(other));
  const against = ["-against", third.url + other];
  const differ = await run("-config", pair.replica.configPath, ...against);
  assertEquals(differ.code, 1);
  assertMatch(differ.out, /not compared: the two were never seen at the same txid/);
  const none = await run(`${third.url}/none`);
  assertEquals([none.code, none.out.includes("No database of this path")], [1, true]);
});

scopedTest(
  "self-check: a page that goes bad on a replica's disk is found and fetched by itself",
  async (scope) => {
    const pair = await pairWithPages(scope, "400KB/s");
    const { pageCount } = await pair.replica.database();
    await damage(pair.copy, pageCount! - 3);
    await pair.replica.until(
      "found and repaired",
      ({ counters }) => counters.badPages > 0 && counters.repairedPages > 0,
    );
    await pair.replica.healthy();
    await assertSameContent(pair.source, [pair.copy]);
    const { counters } = await pair.replica.database();
    await pair.replica.until(
      "goes on",
      (now) => now.counters.checkedPages > counters.checkedPages + 50,
    );
    assertEquals((await pair.replica.database()).counters.badPages, counters.badPages);
  },
);

scopedTest("self-check: beside a writer finds nothing that is not there", async (scope) => {
  const pair = await pairWithPages(scope, "100MB/s");
  const writer = await scope.app();
  await writer.startWriter({ path: pair.source, count: 3000 });
  assertUndisturbed(await writer.joinWriter());
  const { counters } = await pair.replica.until(
    "has read it",
    (now) => now.counters.checkedPages > 300,
  );
  assertEquals([counters.badPages, counters.repairs], [0, 0]);
});
