import { type App, SqlError, type WriterReport } from "../support/app.ts";
import { apswFolder, havePip } from "../support/apsw.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../support/assert.ts";
import { describeFile } from "../support/content.ts";
import { EXECUTABLE, type LiveNode } from "../support/node.ts";
import { eventually, runToEnd } from "../support/process.ts";
import {
  assertNoRepairs,
  assertSameContent,
  assertSamePosition,
  primaryOf,
  replicaOf,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";
import { Shim } from "../support/shim.ts";

const pip = await havePip();
const READONLY = 8;

async function tally(scope: Scope, path: string): Promise<void> {
  await using app = await scope.open(path);
  await app.exec(
    "PRAGMA journal_mode=wal",
    "CREATE TABLE IF NOT EXISTS tally(name TEXT, k INTEGER, PRIMARY KEY(name, k))",
  );
}

/** Writers in processes of their own, of several versions of SQLite, at nearly full speed. */
async function writers(scope: Scope): Promise<Map<string, App>> {
  const all = new Map<string, App>();
  for (const name of ["stock 1", "stock 2"]) all.set(name, await scope.app());
  if (!pip) return all;
  all.set("3.46", await scope.app({ apsw: await apswFolder("3.46.1.0") }));
  all.set("3.53", await scope.app({ apsw: await apswFolder("3.53.1.0") }));
  return all;
}

/** What SQLite told each writer to be committed is what `path` has. */
async function assertNothingLost(
  scope: Scope,
  path: string,
  reports: ReadonlyMap<string, WriterReport>,
): Promise<void> {
  await using app = await scope.app();
  await app.open(path, { mode: "ro" });
  for (const [name, { count }] of reports) {
    const [row] = await app.rows("SELECT count(*), max(k) FROM tally WHERE name = ?", [name]);
    assertEquals([name, ...row!], [name, count, count]);
  }
}

async function demote(node: LiveNode, path: string, to: string) {
  return await node.post("/demote", { path, to });
}

scopedTest(
  "demote: no transaction of several writers is lost, there and back",
  async (scope) => {
    const [a, b] = [await scope.path("a/app.db"), await scope.path("b/app.db")];
    const third = await scope.path("third/app.db");
    await tally(scope, a);
    const nodes = {
      a: await scope.start("a", primaryOf(a)),
      b: scope.node("b", { dbs: [] }),
    };
    const follow = replicaOf(b, nodes.a, a);
    nodes.b = await scope.start("b2", follow);
    const sibling = await scope.start("third", replicaOf(third, nodes.b, b));
    const apps = await writers(scope);
    for (
      const [from, to, path, other] of [["a", "b", a, b], ["b", "a", b, a], [
        "a",
        "b",
        a,
        b,
      ]] as const
    ) {
      for (const [name, app] of apps) await app.startTally({ path, name });
      await eventually("all write", async () => {
        for (const app of apps.values()) {
          if ((await app.writerProgress()).count < 10) return undefined;
        }
        return true;
      }, 60_000);
      const answer = await demote(nodes[from], path, `${nodes[to].url}${other}`);
      assertEquals([answer.status, answer.result], [200, "demoted"], answer.message ?? "");
      const reports = new Map<string, WriterReport>();
      for (const [name, app] of apps) reports.set(name, await app.joinWriter());
      for (const [name, { errors }] of reports) {
        assertEquals([name, errors[READONLY] ?? 0], [name, 1], "each was refused once, and ended");
        assert(
          Object.keys(errors).every((code) => (Number(code) & 255) === 5 || code === "8"),
          name,
        );
      }
      await assertNothingLost(scope, other, reports);
      assertEquals((await describeFile(path)).byte18, 127);
      assertEquals((await nodes[to].database()).role, "primary");
      await nodes[from].until(
        "follows",
        ({ role, state }) => role === "replica" && state === "streaming",
      );
      await assertSamePosition(nodes[to], nodes[from]);
      await assertSameContent(other, [path]);
      await assertNoRepairs(nodes[from], sibling);
      await assertSamePosition(nodes[to], sibling);
    }
    await assertSameContent(b, [third]);
  },
  { limitMs: 240_000 },
);

scopedTest(
  "demote: the demoted one follows after restarts, and the command says what is left",
  async (scope) => {
    const [a, b] = [await scope.path("a/app.db"), await scope.path("b/app.db")];
    await tally(scope, a);
    const old = await scope.start("a", { ...primaryOf(a), token: "secret" });
    const next = await scope.start("b", {
      dbs: [{ path: b, upstream: { url: old.url, path: a, token: "secret" } }],
      token: "secret",
    });
    const app = await scope.open(a);
    await app.exec("INSERT INTO tally VALUES('x', 1)");
    const { code, out, error } = await runToEnd(EXECUTABLE, [
      "demote",
      "-config",
      old.configPath,
      "-to",
      `${next.url}${b}`,
    ]);
    assertEquals([code, error], [0, ""]);
    assertMatch(out, /is a replica now; its last transaction is [0-9a-f]{16}\//);
    assertMatch(out, /- applications write at http:\/\/127/);
    const met = await assertRejects(() => app.exec("INSERT INTO tally VALUES('x', 2)"));
    assertEquals(met instanceof SqlError && met.code, READONLY);
    for (const end of ["stop", "kill"] as const) {
      await old[end]();
      old.start();
      await old.healthy();
      assertEquals((await old.database()).role, "replica");
    }
    await using writer = await scope.open(b);
    await writer.exec("INSERT INTO tally VALUES('x', 2)");
    await assertSamePosition(next, old);
    await assertSameContent(b, [a]);
    await assertNoRepairs(old);
    // Switched back, the config that always said "primary" is right again.
    const back = await runToEnd(EXECUTABLE, [
      "demote",
      `${next.url}${b}`,
      "-token",
      "secret",
      "-to",
      `${old.url}${a}`,
    ]);
    assertEquals([back.code, back.error], [0, ""]);
    await old.stop();
    old.start();
    await old.healthy();
    assertEquals((await old.database()).role, "primary");
  },
);

scopedTest("demote: what cannot be done is undone, and nobody is promoted", async (scope) => {
  const [a, b] = [await scope.path("a/app.db"), await scope.path("b/app.db")];
  await tally(scope, a);
  const old = await scope.start("a", primaryOf(a));
  const next = await scope.start("b", replicaOf(b, old, a));
  const other = await scope.path("other/app.db");
  await tally(scope, other);
  const stranger = await scope.start("stranger", primaryOf(other));
  const app = await scope.open(a);
  const insert = async (k: number): Promise<void> =>
    await app.exec(`INSERT INTO tally VALUES('x', ${k})`);
  await insert(1);

  const wrong = [
    `${stranger.url}${other}`,
    "http://127.0.0.1:9",
    "nonsense",
    `${next.url}/nowhere`,
  ];
  for (const [nth, to] of wrong.entries()) {
    const { status, message } = await demote(old, a, to);
    assert(status >= 400, `${to}: ${message}`);
    await insert(10 + nth); // the connection never met the guard
  }
  assertEquals((await demote(next, b, `${old.url}${a}`)).status, 409);

  // An application that is in the middle of a write.
  await app.exec("BEGIN IMMEDIATE");
  const busy = await demote(old, a, `${next.url}${b}`);
  assertEquals(busy.status, 503);
  assertMatch(busy.message!, /holds a write transaction/);
  await app.exec("INSERT INTO tally VALUES('x', 20)", "COMMIT");

  // A replica that does not get the last transaction: the node between stands still.
  const c = await scope.path("c/app.db");
  const last = await scope.start("c", replicaOf(c, next, b));
  next.pause();
  const late = await demote(old, a, `${last.url}${c}`);
  next.resume();
  assertEquals(late.status, 502);
  assertMatch(late.message!, /Not demoted: .* not applied .*; the guard is lifted again/);
  assertEquals((await last.database()).role, "replica");
  await next.healthy();
  assertEquals([(await old.database()).role, (await next.database()).role], ["primary", "replica"]);
  assertEquals((await describeFile(a)).byte18, 2);
  await using again = await scope.open(a);
  await again.exec("INSERT INTO tally VALUES('x', 30)");
  await assertSamePosition(old, next);
  await assertSameContent(a, [b]);
});

scopedTest("demote: killed at any step it is the primary or the replica", async (scope) => {
  const steps = [
    { file: "-live/history", on: "link", then: "primary" },
    { file: "-wal", on: "write", then: "primary" },
    // As long as somebody has the database open, a frame that is not published does not exist.
    { file: "-wal", on: "sync", then: "primary" },
    { file: "-wal", on: "sync", then: "replica", alone: true },
  ] as const;
  const shim = await Shim.make(scope, steps.map((_, nth) => `${nth}`));
  for (const [at, { file, on, then, ...step }] of steps.entries()) {
    const which = `killed at ${on} of app.db${file}, ${at}`;
    const path = `${shim.root}/${at}/app.db`;
    const copy = await scope.path(`copy${at}/app.db`);
    await tally(scope, path);
    const node = scope.node(`${at}`, primaryOf(path));
    const env = shim.env({ recorded: false });
    node.start({ env });
    await node.healthy();
    const next = await scope.start(`next${at}`, replicaOf(copy, node, path));
    const app = await scope.open(path);
    await app.exec("INSERT INTO tally VALUES('x', 1)");
    await assertSamePosition(node, next);
    if ("alone" in step) await app.close();
    const rule = shim.rules.add({ path: `${path}${file}`, on, failure: "kill", from: 1 });
    const answer = await demote(node, path, `${next.url}${copy}`).catch(() => undefined);
    assertEquals(answer, undefined, which);
    await node.child.wait(5000);
    rule.end();
    node.start({ env });
    await node.until("is open", ({ readable }) => readable);
    assertEquals([which, (await node.database()).role], [which, then]);
    if (then === "replica") {
      // Nobody was promoted, and both follow: a person says who it is.
      assertEquals((await node.post("/promote", { path })).status, 200);
    }
    await node.healthy();
    await using again = await scope.open(path);
    await again.exec("INSERT INTO tally VALUES('x', 2)");
    await assertSamePosition(node, next);
    await assertSameContent(path, [copy]);
    await node.stop();
    node.start({ env });
    await node.healthy();
    assertEquals([which, (await node.database()).role], [which, "primary"]);
    for (const one of [node, next]) await one.stop();
  }
});
