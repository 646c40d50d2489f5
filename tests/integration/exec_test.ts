import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { freePort, type LiveNode, type NodeConfig } from "../support/node.ts";
import { assertSameContent, primaryOf, replicaOf } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const COUNT = "SELECT count(*) FROM t";
const env = { PATH: Deno.env.get("PATH")! };

/** A node whose application is this shell script; started, nothing is waited for. */
function running(scope: Scope, name: string, config: NodeConfig, script: string): LiveNode {
  const node = scope.node(name, { ...config, exec: `sh -c "${script}"` });
  node.start({ env });
  return node;
}

/** For a script: waits for a file that the test makes. */
function untilThere(file: string): string {
  return `while ! test -e ${file}; do sleep 0.05; done`;
}

async function withRows(scope: Scope, path: string, rows: number): Promise<void> {
  await using app = await scope.open(path);
  await app.exec("PRAGMA journal_mode=wal");
  await app.exec("CREATE TABLE t(a)");
  for (let row = 0; row < rows; row++) await app.exec(`INSERT INTO t VALUES (${row})`);
}

scopedTest(
  "exec: the application starts when the replica can be read, and its code is ours",
  async (scope) => {
    const source = await scope.path("primary/app.db");
    const copy = await scope.path("replica/app.db");
    const primary = scope.node("primary", {
      ...primaryOf(source),
      addr: `127.0.0.1:${freePort()}`,
    });
    // Fails at once if the copy is not there: SQLite would not make a file in mode=ro.
    const read = `python3 -c 'import os,sqlite3; print(sqlite3.connect(\\"file:\\"+` +
      `os.environ[\\"LITESTREAM_DB_PATH\\"]+\\"?mode=ro\\",uri=True).execute(\\"${COUNT}\\")` +
      `.fetchone()[0], flush=True)' && exit 7`;
    const replica = running(scope, "replica", replicaOf(copy, primary, source), read);
    await replica.logged(/the application waits for its replicas/);
    await withRows(scope, source, 3);
    primary.start();
    const { code } = await replica.child.wait(20_000);
    assertEquals(code, 7);
    assertEquals(replica.log.filter((line) => line.startsWith("stdout")), ["stdout: 3"]);
  },
);

scopedTest(
  "exec: an application on an old copy starts although the upstream is away",
  async (scope) => {
    const source = await scope.path("primary/app.db");
    const copy = await scope.path("replica/app.db");
    await withRows(scope, source, 3);
    const primary = await scope.start("primary", primaryOf(source));
    const replica = await scope.start("replica", replicaOf(copy, primary, source));
    await replica.stop();
    await primary.stop();
    const again = running(scope, "again", replicaOf(copy, primary, source), "exit 3");
    assertEquals((await again.child.wait(20_000)).code, 3);
  },
);

scopedTest("exec: signals are the application's, and the node ends when it has", async (scope) => {
  const source = await scope.path("primary/app.db");
  const go = await scope.path("go/file");
  const script = `trap 'echo usr1' USR1; trap 'echo term; ${untilThere(go)}; exit 5' TERM; ` +
    "echo up; while :; do sleep 0.05; done";
  const node = running(scope, "primary", primaryOf(source), script);
  const said = (word: string): Promise<string> => node.logged(new RegExp(`^stdout: ${word}$`));
  await said("up");
  node.child.signal("SIGUSR1");
  await said("usr1");
  node.child.signal("SIGTERM");
  await said("term");
  await node.health(); // still serves
  await Deno.writeTextFile(go, "");
  assertEquals((await node.child.wait(10_000)).code, 5);
});

scopedTest(
  "exec: what the application committed last reaches the replica before the node ends",
  async (scope) => {
    const source = await scope.path("primary/app.db");
    const copy = await scope.path("replica/app.db");
    await withRows(scope, source, 1);
    const go = await scope.path("go/file");
    const script = `${untilThere(go)}; ` +
      `python3 -c 'import os,sqlite3; c=sqlite3.connect(os.environ[\\"LITESTREAM_DB_PATH\\"]);` +
      `c.execute(\\"INSERT INTO t VALUES (99)\\"); c.commit(); os._exit(0)'`;
    const primary = running(scope, "primary", primaryOf(source), script);
    const replica = await scope.start("replica", replicaOf(copy, primary, source));
    await Deno.writeTextFile(go, "");
    assertEquals((await primary.child.wait(10_000)).code, 0);
    await replica.logged(/waiting/);
    await assertSameContent(source, [copy], { limitMs: 1 });
  },
);

scopedTest("exec: an application that a signal ended has 128 and its number", async (scope) => {
  const source = await scope.path("primary/app.db");
  const exec = `python3 -c "import os; os.kill(os.getpid(), 9)"`;
  const node = scope.node("primary", { ...primaryOf(source), exec });
  node.start({ env });
  assertEquals((await node.child.wait(10_000)).code, 137);
});

scopedTest(
  "exec: a program that is not there is refused before anything is done",
  async (scope) => {
    const source = await scope.path("primary/app.db");
    await withRows(scope, source, 1);
    for (const program of ["no-such-program", "/etc/passwd", "./no-such"]) {
      const node = scope.node(`n${program.length}`, { ...primaryOf(source), exec: program });
      node.start({ env });
      assertEquals((await node.child.wait(10_000)).code, 2);
      assertMatch(node.log.join("\n"), /exec: ".*" is (in no directory|no file)/);
      assert(!node.log.some((line) => line.includes("listening")));
    }
  },
);

scopedTest("exec: SIGTERM before the application was started ends the node", async (scope) => {
  const copy = await scope.path("replica/app.db");
  const nobody = scope.node("nobody", primaryOf("/none"));
  const node = running(scope, "replica", replicaOf(copy, nobody, "/none"), "echo started");
  await node.logged(/the application waits/);
  node.child.signal("SIGTERM");
  assertEquals((await node.child.wait(10_000)).code, 0);
  assert(!node.log.some((line) => line.includes("started")));
});

scopedTest(
  "exec: the application has no descriptor of the database and no lock of the node",
  async (scope) => {
    const source = await scope.path("primary/app.db");
    await withRows(scope, source, 1);
    const go = await scope.path("go/file");
    const script = `${untilThere(go)}; ls -l /proc/self/fd`;
    const node = running(scope, "primary", primaryOf(source), script);
    await node.healthy();
    await Deno.writeTextFile(go, "");
    assertEquals((await node.child.wait(10_000)).code, 0);
    const listed = node.log.filter((line) => line.startsWith("stdout: ") && line.includes("->"));
    assert(listed.length >= 3, "it lists its descriptors");
    assertEquals(listed.filter((line) => /app\.db|memfd|lock/.test(line)), []);
  },
);
