import { assertEquals, assertMatch } from "../support/assert.ts";
import type { LiveNode } from "../support/node.ts";
import { Child, eventually } from "../support/process.ts";
import { primaryOf, replicaOf } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

/** The machine may have other things to do. */
const LIMIT_MS = 120_000;
const LOWER = 10;

/** It gives a node much to do: a third of a processor, without a replica. */
const WRITER = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
db.execute("PRAGMA synchronous=normal")
db.execute("INSERT INTO t VALUES(1)")
while True:
    db.execute("UPDATE t SET x = randomblob(20000)")
`;

function python(scope: Scope, script: string, ...args: readonly string[]): Child {
  return scope.own(new Child({ program: "python3", args: ["-c", script, ...args] }));
}

/** The nice values of its threads, each once; without the one that watches over the others. */
function nices({ child }: LiveNode): number[] {
  const found = new Set<number>();
  for (const { name } of Deno.readDirSync(`/proc/${child.pid}/task`)) {
    let stat: string;
    try {
      stat = Deno.readTextFileSync(`/proc/${child.pid}/task/${name}/stat`);
    } catch {
      continue; // it has ended meanwhile
    }
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (!stat.includes("(priority)")) found.add(Number(fields[16]));
  }
  return [...found];
}

async function allAt(node: LiveNode, nice: number): Promise<void> {
  const ask = (): true | undefined => nices(node).every((one) => one === nice) || undefined;
  await eventually(`${node.name} at nice ${nice}`, ask, LIMIT_MS);
}

/** False where other programs of the machine leave it so little that it does not: that is right, too. */
async function givesWay(node: LiveNode): Promise<boolean> {
  const path = `/proc/${node.child.pid}/schedstat`;
  let [ran, waited, at] = [0, 0, 0];
  return await eventually(`${node.name} at nice ${LOWER}`, async () => {
    if (nices(node).every((one) => one === LOWER)) return true;
    if (Date.now() - at < 10_000) return undefined;
    const now = (await Deno.readTextFile(path)).split(" ").map(Number);
    const isScarce = at > 0 && now[1]! - waited > now[0]! - ran;
    [ran, waited, at] = [now[0]!, now[1]!, Date.now()];
    return isScarce ? false : undefined;
  }, LIMIT_MS);
}

async function gauge(node: LiveNode): Promise<number | undefined> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  const value = /^litestream_live_gives_way (.*)$/m.exec(text)?.[1];
  return value === undefined ? undefined : Number(value);
}

/** False where the system would not let a node come back: then it must stay as it is, and say so. */
async function mayGiveWay(node: LiveNode): Promise<boolean> {
  if (await gauge(node) !== undefined) return true;
  assertMatch(node.log.join("\n"), /the priority stays as it is/);
  return false;
}

scopedTest(
  "a busy node gives way, comes back, and starts hooks at full priority",
  async (scope) => {
    const [source, copy] = [await scope.path("p/app.db"), await scope.path("r/app.db")];
    const app = await scope.open(source);
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)");
    const [hook, told] = [`${scope.folder}/hook.sh`, `${scope.folder}/told`];
    await Deno.writeTextFile(hook, `#!/bin/sh\necho "$(nice)" >> ${told}\n`);
    await Deno.chmod(hook, 0o755);

    const fixed = await scope.start("fixed", { ...primaryOf(source), "give-way": false });
    const given = scope.node("given", replicaOf(await scope.path("g/app.db"), fixed, source));
    given.start({ wrapper: ["nice", "-n", "5"] });
    await given.healthy();
    const replica = await scope.start("replica", {
      ...replicaOf(copy, fixed, source),
      "log-level": "debug",
      "on-state-change": hook,
    });
    if (!await mayGiveWay(replica)) return;
    assertEquals([await gauge(fixed), await gauge(given)], [undefined, undefined]);
    const writer = python(scope, WRITER, source);
    if (!await givesWay(replica)) return;
    assertEquals([nices(fixed), nices(given)], [[0], [5]]);

    await Deno.writeTextFile(told, "");
    await fixed.kill(); // the replica's state changes
    const lines = await eventually("told", async () => await Deno.readTextFile(told) || undefined);
    assertMatch(lines, /^(0\n)+$/);
    await writer.kill();
    await allAt(replica, 0);
    assertEquals(await gauge(replica), 0);
  },
);

scopedTest("a node that gives way and gets no processor has its priority again", async (scope) => {
  const source = await scope.path("p/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)");
  const primary = await scope.start("primary", { ...primaryOf(source), "log-level": "debug" });
  if (!await mayGiveWay(primary)) return;
  python(scope, WRITER, source);
  if (!await givesWay(primary)) return;
  for (let nth = 0; nth < 6 * navigator.hardwareConcurrency; nth++) {
    python(scope, "while True: pass");
  }
  await eventually(
    "it has starved",
    () => /gives way no more: it got no processor/.test(primary.log.join("\n")) || undefined,
    LIMIT_MS,
  );
  assertEquals(await gauge(primary), 0);
  await allAt(primary, 0);
});
