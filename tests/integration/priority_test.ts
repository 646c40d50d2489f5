import { assertEquals, assertMatch } from "../support/assert.ts";
import type { LiveNode } from "../support/node.ts";
import { Child, eventually } from "../support/process.ts";
import { primaryOf, replicaOf } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

/** The machine may have other things to do. */
const LIMIT_MS = 120_000;
const LOWER = { nice: 10, slice: 8_000_000 };

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

/** For WRITER; an application stays connected. */
async function database(scope: Scope): Promise<string> {
  const path = await scope.path("p/app.db");
  const app = await scope.open(path);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)");
  return path;
}

interface Thread {
  readonly nice: number;
  /** ns; undefined where the system does not tell. */
  readonly slice: number | undefined;
}

/** Of its threads, without the one that watches over the others. */
function threads({ child }: LiveNode): Thread[] {
  const found: Thread[] = [];
  for (const { name } of Deno.readDirSync(`/proc/${child.pid}/task`)) {
    const of = (file: string): string =>
      Deno.readTextFileSync(`/proc/${child.pid}/task/${name}/${file}`);
    try {
      const [stat, slice] = [of("stat"), HAS_SLICES ? sliceIn(of("sched")) : undefined];
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (!stat.includes("(priority)")) found.push({ nice: Number(fields[16]), slice });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) && !/os error 3/.test(String(error))) {
        throw error;
      }
      // it has ended meanwhile
    }
  }
  return found;
}

/** Linux 6.12 was the first to let a program choose. */
const HAS_SLICES = ((): boolean => {
  const [major = 0, minor = 0] = Deno.osRelease().split(".").map(Number);
  if (major < 6 || (major === 6 && minor < 12)) return false;
  try {
    return sliceIn(Deno.readTextFileSync("/proc/self/sched")) !== undefined;
  } catch {
    return false;
  }
})();

function sliceIn(sched: string): number | undefined {
  const text = /^se\.slice +: +(\d+)$/m.exec(sched)?.[1];
  return text === undefined ? undefined : Number(text);
}

function nices(node: LiveNode): number[] {
  return [...new Set(threads(node).map(({ nice }) => nice))];
}

function isLow({ nice, slice }: Thread): boolean {
  return nice === LOWER.nice && (slice === undefined || slice === LOWER.slice);
}

/** A longer slice is all that a node can do which may not raise its nice value again. */
function isLong({ nice, slice }: Thread): boolean {
  return nice === 0 && slice === LOWER.slice;
}

async function allFull(node: LiveNode): Promise<void> {
  const isFull = ({ nice, slice }: Thread): boolean => nice === 0 && slice !== LOWER.slice;
  const ask = (): true | undefined => threads(node).every(isFull) || undefined;
  await eventually(`${node.name} at its own priority`, ask, LIMIT_MS);
}

/** False where other programs of the machine leave it so little that it does not: that is right, too. */
async function givesWay(node: LiveNode, isGiven = isLow): Promise<boolean> {
  const path = `/proc/${node.child.pid}/schedstat`;
  let [ran, waited, at] = [0, 0, 0];
  return await eventually(`${node.name} gives way`, async () => {
    if (threads(node).every(isGiven)) return true;
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

/** False where the system would not let us come back from a higher nice value. */
async function mayComeBack(scope: Scope, wrapper: readonly string[] = []): Promise<boolean> {
  const [program, ...args] = [...wrapper, "python3", "-c", "import os; os.nice(1); os.nice(-1)"];
  return (await scope.own(new Child({ program: program!, args })).wait(LIMIT_MS)).code === 0;
}

/** Runs a program without CAP_SYS_NICE, as a container does. */
const WITHOUT = [
  "python3",
  "-c",
  `
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_SYS_NICE = 24, 23
ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_NICE, 0, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
`,
];

scopedTest(
  "a busy node gives way, comes back, and starts hooks at full priority",
  async (scope) => {
    const [source, copy] = [await database(scope), await scope.path("r/app.db")];
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
    if (!await mayComeBack(scope)) return;
    assertEquals([await gauge(fixed), await gauge(given)], [undefined, undefined]);
    const writer = python(scope, WRITER, source);
    if (!await givesWay(replica)) return;
    assertEquals([nices(fixed), nices(given)], [[0], [5]]);

    await Deno.writeTextFile(told, "");
    await fixed.kill(); // the replica's state changes
    const lines = await eventually("told", async () => await Deno.readTextFile(told) || undefined);
    assertMatch(lines, /^(0\n)+$/);
    await writer.kill();
    await allFull(replica);
    assertEquals(await gauge(replica), 0);
  },
);

scopedTest("a node that gives way and gets no processor has its priority again", async (scope) => {
  const source = await database(scope);
  const primary = await scope.start("primary", { ...primaryOf(source), "log-level": "debug" });
  if (!await mayComeBack(scope)) return;
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
  await allFull(primary);
});

scopedTest("a node that may not raise its priority has longer slices instead", async (scope) => {
  const source = await database(scope);
  if (await mayComeBack(scope, WITHOUT)) return;
  const primary = scope.node("primary", { ...primaryOf(source), "log-level": "debug" });
  primary.start({ wrapper: WITHOUT });
  await primary.healthy();
  if (!HAS_SLICES) {
    assertEquals(await gauge(primary), undefined);
    return assertMatch(primary.log.join("\n"), /the priority stays as it is/);
  }
  const writer = python(scope, WRITER, source);
  if (!await givesWay(primary, isLong)) return;
  assertEquals(await gauge(primary), 1);
  await writer.kill();
  await allFull(primary);
});
