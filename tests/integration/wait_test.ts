import type { App } from "../support/app.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { EXECUTABLE, type LiveNode } from "../support/node.ts";
import { Child, eventually, sleep } from "../support/process.ts";
import { type Pair, primaryOf, replicaOf, startPair } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

interface Answer {
  readonly status: number;
  readonly result: string;
  readonly position: string;
  readonly replicas?: number;
}

async function ask(
  node: LiveNode,
  path: string,
  query: Record<string, string> = {},
): Promise<Answer> {
  const { status, text } = await node.getText(`/wait?${new URLSearchParams({ path, ...query })}`);
  return { status, ...JSON.parse(text) };
}

async function positionAt(node: LiveNode, path: string): Promise<string> {
  const { text } = await node.getText(`/position?${new URLSearchParams({ path })}`);
  return JSON.parse(text).position;
}

async function pairWithTable(scope: Scope): Promise<Pair & { readonly writer: App }> {
  const writer = await scope.open(await scope.path("primary/app.db"));
  await writer.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
  return { writer, ...await startPair(scope) };
}

async function cli(args: readonly string[]): Promise<{ code: number; out: string; error: string }> {
  await using child = new Child({ program: EXECUTABLE, args, clearEnv: true, env: {} });
  const { code } = await child.wait(20_000);
  return { code, out: child.stdout.kept.join("\n"), error: child.stderr.kept.join("\n") };
}

scopedTest("wait: what was written on the primary is read on the replica", async (scope) => {
  const { writer, source, copy, primary, replica } = await pairWithTable(scope);
  const first = await positionAt(primary, source);
  assertEquals((await ask(replica, copy, { txid: first })).status, 200);
  const reader = await scope.app();
  await reader.open(copy, { mode: "ro" });
  for (let row = 1; row <= 100; row++) {
    await writer.exec(`INSERT INTO t VALUES (${row})`);
    const txid = await positionAt(primary, source);
    assertEquals(await ask(replica, copy, { txid }).then(({ result }) => result), "ok");
    assertEquals(await reader.value("SELECT max(a) FROM t"), row);
  }
});

scopedTest(
  "wait: a replica that stands still is a timeout, and counts again when it goes on",
  async (scope) => {
    const { writer, source, copy, primary, replica } = await pairWithTable(scope);
    const second = await scope.start(
      "second",
      replicaOf(await scope.path("s/app.db"), primary, source),
    );
    const both = { replicas: "2", for: "durable" };
    assertEquals(await ask(primary, source, both).then(({ replicas }) => replicas), 2);
    second.pause();
    await writer.exec("INSERT INTO t VALUES (1)");
    const one = await ask(primary, source, { replicas: "1", for: "durable" });
    assertEquals([one.status, one.result, one.replicas], [200, "ok", 1]);
    const late = await ask(primary, source, { ...both, timeout: "300ms" });
    assertEquals([late.status, late.result, late.replicas], [504, "timeout", 1]);
    const waiting = ask(primary, source, { ...both, timeout: "15s" });
    second.resume();
    assertEquals((await waiting).result, "ok");
    assertEquals((await ask(replica, copy, { txid: late.position })).result, "ok");
  },
);

scopedTest("wait: an epoch that is over is told to who names it", async (scope) => {
  const { source, copy, primary, replica } = await pairWithTable(scope);
  const before = await positionAt(primary, source);
  await ask(replica, copy, { txid: before });
  await primary.kill();
  await Deno.remove(`${source}-live/state`); // as after a power cut
  primary.start();
  await primary.healthy();
  const txid = `${before.slice(0, 17)}0000ffffffffffff`;
  for (const [node, path] of [[primary, source], [replica, copy]] as const) {
    await node.until("streams again", ({ state }) => state === "serving" || state === "streaming", {
      path,
    });
    const named = await eventually("it knows", async () => {
      const answer = await ask(node, path, { txid, timeout: "100ms" });
      return answer.result === "timeout" ? undefined : answer;
    });
    assertEquals([named.status, named.result], [409, "epoch-changed"]);
    const unnamed = await ask(node, path, { txid: txid.slice(17), timeout: "100ms" });
    assertEquals(unnamed.result, "timeout");
  }
});

scopedTest("wait: on the command line, also before the node is there", async (scope) => {
  const source = await scope.path("p/app.db");
  const copy = await scope.path("r/app.db");
  const writer = await scope.open(source);
  await writer.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
  const primary = await scope.start("primary", primaryOf(source));
  const replica = scope.node("replica", replicaOf(copy, primary, source));
  const early = cli(["wait", `${replica.url}${copy}`, "-timeout", "15s"]);
  await sleep(500);
  replica.start();
  const { code, out } = await early;
  assertEquals(code, 0, out);
  assertMatch(out, /^ok [0-9a-f]{16}\/[0-9a-f]{16}$/);
  const config = ["wait", "-config", primary.configPath];
  assertEquals((await cli([...config, "-replicas", "1"])).out, `${out} replicas=1`);
  const late = await cli([...config, "-replicas", "2", "-timeout", "100ms", "-json"]);
  assertEquals([late.code, JSON.parse(late.out).result], [1, "timeout"]);
  assertEquals((await cli([...config, "-txid", "7"])).code, 2);
  assertEquals(
    (await cli(["wait", replica.url])).error,
    "litestream-live: -path: which database? Write -path /data/db",
  );
  const none = await cli(["wait", `${replica.url}/none`]);
  assertEquals([none.code, none.error.includes("No database of this path")], [1, true]);
  const away = await cli(["wait", "http://127.0.0.1:1/db", "-timeout", "300ms"]);
  assertEquals([away.code, away.error.includes("No node answers")], [1, true]);
});

scopedTest("the position file of a replica is never ahead of what a reader sees", async (scope) => {
  const { writer, source, copy, primary, replica } = await pairWithTable(scope);
  const file = `${copy}-live/position`;
  const txidNow = async (): Promise<number> =>
    Number.parseInt((await Deno.readTextFile(file)).slice(17), 16);
  await ask(replica, copy, { txid: await positionAt(primary, source) });
  await sleep(50);
  const base = await txidNow();
  const reader = await scope.app();
  await reader.open(copy, { mode: "ro" });
  let seen = 0;
  // Until the file has moved on, too: a busy machine writes it late.
  for (let row = 1; row <= 150 || (seen <= 50 && row <= 5000); row++) {
    await writer.exec(`INSERT INTO t VALUES (${row})`);
    const told = await txidNow() - base;
    const rows = Number(await reader.value("SELECT count(*) FROM t"));
    assert(rows >= told, `${rows} rows, and the file says ${told}`);
    seen = Math.max(seen, told);
  }
  assert(seen > 50, `the file has moved to ${seen}`);
  const last = await positionAt(primary, source);
  await eventually(
    "the file has the last position",
    async () => (await Deno.readTextFile(file)) === `${last}\n` || undefined,
  );
  await replica.stop();
  assertEquals(await Deno.readTextFile(file), `${last}\n`);
});
