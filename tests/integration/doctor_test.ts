import type { DoctorReport } from "../../src/cli/doctor.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { EXECUTABLE, type LiveNode, type NodeConfig } from "../support/node.ts";
import { Child } from "../support/process.ts";
import { primaryOf, replicaOf, startPair } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

interface Seen {
  readonly code: number;
  readonly report: DoctorReport;
  /** "level what: text" of each finding about the database. */
  readonly lines: readonly string[];
  readonly actions: readonly string[];
}

async function doctor(configPath: string, wrapper: readonly string[] = []): Promise<Seen> {
  const [program, ...args] = [...wrapper, EXECUTABLE, "doctor", "-config", configPath, "-json"];
  await using child = new Child({ program: program!, args, clearEnv: true, env: {} });
  const { code } = await child.wait(20_000);
  const text = child.stdout.kept.join("\n");
  assert(text.startsWith("{"), `${text}${child.stderr.kept.join("\n")}`);
  const report: DoctorReport = JSON.parse(text);
  const lines = report.findings.map(({ level, what, text }) => `${level} ${what}: ${text}`);
  const actions = report.findings.flatMap(({ action }) => action ?? []);
  assertEquals(code === 0, report.ok);
  assertEquals(report.ok, actions.length === 0, "what is bad has an action");
  return { code, report, lines, actions };
}

function configFile(scope: Scope, name: string, config: NodeConfig): LiveNode {
  const node = scope.node(name, config);
  node.write();
  return node;
}

async function table(scope: Scope, path: string): Promise<void> {
  await using app = await scope.open(path);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES (1)");
}

function has(lines: readonly string[], pattern: RegExp): void {
  assert(lines.some((line) => pattern.test(line)), `${pattern} in\n${lines.join("\n")}`);
}

scopedTest(
  "doctor: all is well before a primary starts, and beside a pair that runs",
  async (scope) => {
    const path = await scope.path("primary/app.db");
    await table(scope, path);
    const before = await doctor(configFile(scope, "early", primaryOf(path)).configPath);
    has(before.lines, /^ok file: .*pages of 4096 B, WAL mode$/);
    has(before.lines, /^note address: no node runs/);
    const pair = await startPair(scope);
    const primary = await doctor(pair.primary.configPath);
    has(primary.lines, /^ok address: a node of version/);
    has(primary.lines, /^ok node: serving$/);
    has(primary.lines, new RegExp(`^ok processes: .*\\(${pair.primary.child.pid}\\)`));
    const replica = await doctor(pair.replica.configPath);
    has(replica.lines, /^ok upstream: version .* round trip/);
    has(replica.lines, /^ok file: .*write guard$/);
    assertEquals([...primary.actions, ...replica.actions], []);
  },
);

scopedTest("doctor: disturbs neither the node nor the application", async (scope) => {
  await table(scope, await scope.path("primary/app.db"));
  const pair = await startPair(scope);
  const writer = await scope.app();
  await writer.startWriter({ path: pair.source, pace_ms: 1, count: 600 });
  for (let nth = 0; nth < 4; nth++) {
    await doctor(pair.primary.configPath);
    await doctor(pair.replica.configPath);
  }
  assertEquals((await writer.joinWriter()).errors, {});
  assertEquals((await pair.replica.database()).counters.repairs, 0);
});

scopedTest("doctor: names the process of the oldest reader when the log grows", async (scope) => {
  await table(scope, await scope.path("primary/app.db"));
  const pair = await startPair(scope, {
    "min-checkpoint-page-count": 5,
    "max-checkpoint-page-count": 10,
  });
  const writer = await scope.open(pair.source);
  await writer.exec("INSERT INTO t VALUES (2)");
  const reader = await scope.open(pair.source);
  await reader.exec("BEGIN", "SELECT count(*) FROM t");
  for (let row = 0; row < 100; row++) await writer.exec(`INSERT INTO t VALUES (${row})`);
  const { lines, actions, code } = await doctor(pair.primary.configPath);
  has(lines, new RegExp(`^bad log: .*oldest reader, .*\\(${reader.child.pid}\\), is at frame`));
  assertMatch(actions.join(), new RegExp(`End the transaction of .*\\(${reader.child.pid}\\)`));
  assertEquals(code, 1);
});

scopedTest(
  "doctor: says what is wrong with a file, a place, an upstream and an address",
  async (scope) => {
    const text = await scope.path("bad/text.db");
    await Deno.writeTextFile(
      text,
      "no database at all, but long enough to look like one\n".repeat(99),
    );
    const notSqlite = await doctor(configFile(scope, "text", primaryOf(text)).configPath);
    has(notSqlite.lines, /^bad file: .*no SQLite database/);
    const nowhere = await doctor(
      configFile(scope, "nowhere", primaryOf(`${scope.folder}/no/such/app.db`)).configPath,
    );
    has(nowhere.lines, /^bad directory: ".*\/no\/such" does not exist/);

    await table(scope, await scope.path("primary/app.db"));
    const pair = await startPair(scope);
    const guarded = await doctor(configFile(scope, "guarded", primaryOf(pair.copy)).configPath);
    has(guarded.lines, /^bad file: a replica's file/);
    const other = replicaOf(await scope.path("other/app.db"), pair.primary, "/no/such.db");
    const unserved = await doctor(configFile(scope, "other", other).configPath);
    has(unserved.lines, /^bad upstream: serves no "\/no\/such.db"; it has .*primary\/app.db/);
    const gone = {
      dbs: [{ path: `${scope.folder}/x.db`, upstream: { url: "http://127.0.0.1:1" } }],
    };
    const away = await doctor(configFile(scope, "away", gone).configPath);
    has(away.lines, /^bad upstream: No node answers at http:\/\/127.0.0.1:1: .*refused/);

    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const addr = `127.0.0.1:${taken.addr.port}`;
    const clash = await doctor(
      configFile(scope, "taken", { ...primaryOf(pair.source), addr }).configPath,
    );
    has(clash.lines, /^bad address: .* is taken/);
  },
);

scopedTest("doctor: says which files another user may not write", async (scope) => {
  const path = await scope.path("closed/app.db");
  await table(scope, path);
  await Deno.chmod(scope.folder, 0o755);
  await Deno.chmod(`${scope.folder}/closed`, 0o755);
  const config = configFile(scope, "closed", primaryOf(path)).configPath;
  await Deno.chmod(config, 0o644);
  const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const { lines, actions } = await doctor(config, nobody);
  has(lines, /^bad permissions: user 65534 may not write ".*\/closed", ".*app.db"/);
  assertMatch(actions.join(), /Run the node as the owner/);
}, { ignore: Deno.uid() !== 0 });
