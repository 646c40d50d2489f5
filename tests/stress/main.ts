/**
 * Several writers of the system's SQLite at full speed, our primary that checkpoints for them, a
 * replica, readers of both: `main.ts [--minutes M] [--writers N] [--pause MS] [--litestream PROGRAM [--truncate-page-n N]]`.
 * With --litestream, Litestream 0.5 backs the same database up meanwhile, and its backup is compared.
 * Says what was shown; a run without a finding proves no more than itself.
 * May import: tests/support, scripts/tools.
 * @module
 */
import { print, runScript, ScriptError } from "../../scripts/tools.ts";
import { eventuallyEqual } from "../support/content.ts";
import { Child, sleep } from "../support/process.ts";
import { primaryOf, replicaOf } from "../support/replication.ts";
import { Scope } from "../support/scope.ts";

const WORKER = new URL("worker.py", import.meta.url).pathname;
const SCHEMA = [
  "PRAGMA journal_mode=wal",
  "CREATE TABLE one(id INTEGER PRIMARY KEY, n INTEGER)",
  "CREATE TABLE log(n INTEGER PRIMARY KEY, pad BLOB)",
  "CREATE TABLE ring(slot INTEGER PRIMARY KEY, n INTEGER, pad BLOB)",
  "CREATE INDEX ring_n ON ring(n)",
  "INSERT INTO one VALUES(1, 1)",
  "INSERT INTO log VALUES(1, 1)",
  "INSERT INTO ring VALUES(1, 1, 1)",
];

interface Report {
  readonly role: string;
  readonly sqlite: string;
  readonly count: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
  readonly checks: number;
  readonly longest_ms: number;
}

interface Options {
  readonly seconds: number;
  readonly writers: number;
  readonly pauseMs: number;
  readonly litestream?: string;
  /** Its own limit for the log, in pages; what it has by itself if 0. */
  readonly truncatePages: number;
}

function parse(args: readonly string[]): Options {
  const values = new Map<string, string>();
  for (let at = 0; at < args.length; at += 2) values.set(args[at]!, args[at + 1] ?? "");
  const number = (name: string, otherwise: number): number => {
    const value = Number(values.get(name) ?? otherwise);
    if (value >= 0) return value;
    throw new ScriptError(`Cannot use ${name} ${values.get(name)}: must be a number`);
  };
  const litestream = values.get("--litestream");
  return {
    seconds: 60 * number("--minutes", 1),
    writers: number("--writers", 3),
    pauseMs: number("--pause", 0),
    truncatePages: number("--truncate-page-n", 0),
    ...(litestream === undefined ? {} : { litestream }),
  };
}

async function stress(scope: Scope, options: Options): Promise<number> {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const app = await scope.open(source);
  await app.exec(...SCHEMA);
  await app.close();
  const primary = await scope.start("primary", primaryOf(source));
  await scope.start("replica", replicaOf(copy, primary, source));
  const backup = options.litestream === undefined
    ? undefined
    : await startBackup(scope, options.litestream, source, options.truncatePages);
  const worker = (role: string, path: string, pause: number): Child =>
    scope.own(
      new Child({
        program: "python3",
        args: ["-B", WORKER, role, path, String(options.seconds), String(pause)],
      }),
    );
  const children = [
    ...Array.from(
      { length: options.writers },
      () => worker("writer", source, options.pauseMs / 1000),
    ),
    worker("reader", source, 0),
    worker("reader", copy, 0),
    worker("reader", copy, 0),
  ];
  let frames = 0;
  for (const until = Date.now() + 1000 * options.seconds; Date.now() < until;) {
    await sleep(1000);
    frames = Math.max(frames, (await primary.database()).walFrames ?? 0);
  }
  const reports: Report[] = [];
  for (const child of children) {
    const { code } = await child.wait(60_000);
    if (code !== 0) throw new ScriptError(`a worker failed:\n${child.stderr.kept.join("\n")}`);
    reports.push(JSON.parse(child.stdout.kept.join("")));
  }
  if (backup !== undefined) await stopBackup(backup); // it writes to a table of its own
  await eventuallyEqual(source, copy, 60_000);
  const checked = await scope.open(source);
  const integrity = String(await checked.value("PRAGMA integrity_check"));
  if (backup !== undefined) await compareBackup(scope, options.litestream!, checked);
  const { counters } = await primary.database();
  return tell(reports, { frames, integrity, ...counters });
}

async function startBackup(
  scope: Scope,
  program: string,
  source: string,
  truncatePages: number,
): Promise<Child> {
  const config = `${scope.folder}/litestream.yml`;
  const replica = `      - type: file\n        path: ${scope.folder}/backup\n`;
  const limit = truncatePages === 0 ? "" : `    truncate-page-n: ${truncatePages}\n`;
  await Deno.writeTextFile(config, `dbs:\n  - path: ${source}\n${limit}    replicas:\n${replica}`);
  return scope.own(new Child({ program, args: ["replicate", "-config", config] }));
}

async function stopBackup(backup: Child): Promise<void> {
  await sleep(5000);
  backup.signal("SIGTERM");
  await backup.wait(60_000);
}

/** Restores the backup, and compares the tables. */
async function compareBackup(
  scope: Scope,
  program: string,
  source: Awaited<ReturnType<Scope["open"]>>,
): Promise<void> {
  const out = `${scope.folder}/restored.db`;
  const args = ["restore", "-o", out, `file://${scope.folder}/backup`];
  await using restore = new Child({ program, args });
  const { code } = await restore.wait(120_000);
  if (code !== 0) throw new ScriptError(`restore failed:\n${restore.stderr.kept.join("\n")}`);
  const restored = await scope.open(out);
  for (const table of ["one", "log", "ring"]) {
    const sql = `SELECT count(*), sum(n), max(n) FROM ${table}`;
    const [ours, theirs] = [await source.rows(sql), await restored.rows(sql)];
    if (JSON.stringify(ours) !== JSON.stringify(theirs)) {
      throw new ScriptError(`the backup differs in ${table}: ${ours} and ${theirs}`);
    }
  }
  print("the restored backup holds the same rows");
}

function tell(
  reports: readonly Report[],
  end: {
    readonly frames: number;
    readonly integrity: string;
    readonly checkpoints: number;
    readonly logRestarts: number;
  },
): number {
  const sum = (role: string, key: "count" | "checks"): number =>
    reports.filter((one) => one.role === role).reduce((total, one) => total + one[key], 0);
  const errors = reports.flatMap((one) => Object.entries(one.errors));
  const violations = reports.flatMap((one) => one.violations);
  const longest = Math.max(...reports.map((one) => one.longest_ms));
  print(
    `SQLite ${reports[0]!.sqlite}, ${sum("writer", "count")} transactions of ` +
      `${reports.filter(({ role }) => role === "writer").length} writers, longest ${
        longest.toFixed(0)
      } ms`,
  );
  print(
    `${sum("reader", "count")} reads, ${sum("reader", "checks")} integrity checks while written`,
  );
  print(
    `${end.checkpoints} checkpoints of ours, ${end.logRestarts} restarts of the log, ` +
      `longest log ${end.frames} frames`,
  );
  print(`errors: ${errors.length === 0 ? "none" : JSON.stringify(errors)}`);
  print(`violations: ${violations.length === 0 ? "none" : violations.join("; ")}`);
  print(`integrity_check of the primary at the end: ${end.integrity}`);
  print("primary and replica hold the same pages");
  return violations.length === 0 && errors.length === 0 && end.integrity === "ok" ? 0 : 1;
}

if (import.meta.main) {
  await runScript(async () => {
    const options = parse(Deno.args);
    const scope = new Scope(await Deno.makeTempDir({ prefix: "litestream-live-stress-" }));
    try {
      return await stress(scope, options);
    } catch (error) {
      print(scope.logs());
      throw error;
    } finally {
      await scope.end();
    }
  });
}
