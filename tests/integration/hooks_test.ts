import { fileURLToPath } from "node:url";
import { assertEquals, assertMatch } from "../support/assert.ts";
import { EXECUTABLE } from "../support/node.ts";
import { Child, eventually, runToEnd } from "../support/process.ts";
import { primaryOf, replicaOf } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

/** A program that writes one line each time it is run. */
async function teller(
  scope: Scope,
  name: string,
): Promise<{ program: string; told: () => string[] }> {
  const [program, file] = [`${scope.folder}/${name}.sh`, `${scope.folder}/${name}.txt`];
  const line = ["EVENT", "FROM", "ROLE", "STATE", "POSITION", "UPSTREAM"]
    .map((variable) => `$LITESTREAM_LIVE_${variable}`).join("|");
  await Deno.writeTextFile(program, `#!/bin/sh\necho "$LITESTREAM_DB_PATH|${line}" >> ${file}\n`);
  await Deno.chmod(program, 0o755);
  await Deno.writeTextFile(file, "");
  return { program, told: () => Deno.readTextFileSync(file).trim().split("\n") };
}

scopedTest("hooks: a lost upstream and a promotion are told to commands", async (scope) => {
  const [source, copy] = [await scope.path("p/app.db"), await scope.path("r/app.db")];
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)", "INSERT INTO t VALUES(1)");
  const [promoted, changed] = [await teller(scope, "promoted"), await teller(scope, "changed")];
  const primary = await scope.start("primary", primaryOf(source));
  const replica = await scope.start("replica", {
    ...replicaOf(copy, primary, source),
    "on-promote": promoted.program,
    "on-state-change": changed.program,
  });
  const told = (what: RegExp): Promise<string> =>
    eventually(`told ${what}`, () => changed.told().find((line) => what.test(line)));
  await told(/\|replica\|streaming\|/);
  await primary.kill();
  await told(/\|replica streaming\|replica\|connecting\|/);
  const { position } = await replica.post("/promote", { path: copy });
  const line = await eventually("told", () => promoted.told().find((line) => line !== ""));
  assertMatch(line, /^.*\/r\/app\.db\|promote\|replica .*\|primary\|serving\|/);
  assertEquals(line.split("|").slice(-2), [position, ""]);
  await told(/\|primary\|serving\|/);
  assertEquals(promoted.told().length, 1);
});

/** It tries to write, is refused, and opens the database again at SIGUSR1. */
const APPLICATION = `
import signal, sqlite3, sys, time
path, told = sys.argv[1:]
again = True
def reopen(*_):
    global again
    again = True
signal.signal(signal.SIGUSR1, reopen)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    if again:
        again = False
        db = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        db.execute("INSERT INTO t VALUES(2)")
        open(told, "a").write("written\\n")
    except sqlite3.OperationalError as error:
        open(told, "a").write(str(error) + "\\n")
    time.sleep(0.05)
`;

scopedTest(
  "examples/takeover.yml: the application writes once its node is promoted",
  async (scope) => {
    const [source, copy] = [await scope.path("p/app.db"), await scope.path("r/app.db")];
    const app = await scope.open(source);
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)", "INSERT INTO t VALUES(1)");
    const primary = await scope.start("primary", primaryOf(source));
    const [program, told] = [`${scope.folder}/app.py`, `${scope.folder}/told.txt`];
    await Deno.writeTextFile(program, APPLICATION);
    await Deno.writeTextFile(told, "");
    const example = fileURLToPath(new URL("../../examples/takeover.yml", import.meta.url));
    const config = `${scope.folder}/takeover.yml`;
    const text = (await Deno.readTextFile(example))
      .replace('addr: ":9090"', 'addr: "127.0.0.1:0"')
      .replace(/^exec: .*$/m, `exec: python3 -B ${program} ${copy} ${told}`)
      .replace("- path: /data/db", `- path: ${copy}`)
      .replace("http://a.internal:9090", `${primary.url}${source}`)
      .replace(
        /http:\/\/[bc]\.internal:9090/g,
        (_, at: number) => `http://127.0.0.1:${1 + at % 9}`,
      );
    await Deno.writeTextFile(config, text);
    const node = scope.own(
      new Child({ program: EXECUTABLE, args: ["replicate", "-config", config] }),
    );
    const says = (what: string): Promise<boolean> =>
      eventually(what, () => Deno.readTextFileSync(told).includes(what) || undefined);
    await says("readonly database");
    await primary.kill();
    const address = await eventually("its address", () => {
      const line = node.stderr.kept.find((line) => line.includes("listening"));
      return line?.match(/addr=(\S+)/)?.[1];
    });
    const { code, error } = await runToEnd(EXECUTABLE, ["promote", `http://${address}${copy}`]);
    assertEquals([code, error], [0, ""]);
    await says("written");
    node.signal("SIGTERM");
    assertEquals((await node.wait(10_000)).code, 0);
  },
);

scopedTest("hooks: one that fails or hangs is told, and holds nothing up", async (scope) => {
  const source = await scope.path("p/app.db");
  const node = await scope.start("primary", {
    ...primaryOf(source),
    "on-state-change": "sh -c 'echo no route >&2; exit 3'",
  }, false);
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)");
  await node.healthy();
  const failed = await node.logged(/on-state-change failed/);
  assertMatch(failed, /exit code 3: no route/);
  await node.stop();
  node.reload({ ...primaryOf(source), "on-state-change": "sleep 1000" });
  node.start();
  await node.healthy();
  await Deno.rename(source, `${source}.away`);
  await node.until("noticed", ({ state }) => state !== "serving");
  await node.stop(); // which ends the command
});

scopedTest("hooks: a program that is not there is an error at the start", async (scope) => {
  const config = `${scope.folder}/bad.yml`;
  const text = 'addr: "127.0.0.1:0"\non-promote: /no/such/program\ndbs:\n  - path: /tmp/none.db\n';
  await Deno.writeTextFile(config, text);
  const { code, error } = await runToEnd(EXECUTABLE, ["replicate", "-config", config]);
  assertEquals(code, 2);
  assertMatch(error, /on-promote: "\/no\/such\/program" is no file that can be executed/);
});
