/**
 * Runs tests: `test.ts [unit|integration|slow|all] [--filter TEXT]`; all = unit and integration.
 * Builds what they need, streams their output and ends with `N passed, N failed`, steps included.
 * Unit tests run on every core; integration tests in two jobs, slow ones one by one.
 * May import: scripts/tools, scripts/build, scripts/build_sqlite.
 * @module
 */
import { build } from "./build.ts";
import { buildSqlite } from "./build_sqlite.ts";
import { countLine, filesBelow, print, readIfThere, run, runScript, ScriptError } from "./tools.ts";

const SUITES = ["unit", "integration", "slow"] as const;
type Suite = typeof SUITES[number];

const JOBS: Readonly<Record<Suite, number>> = {
  unit: navigator.hardwareConcurrency,
  integration: 2,
  slow: 1,
};

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly ignored: number;
}

/** Reads the counts out of the JUnit file that `deno test` writes; a step counts like a test. */
export function countsOf(junit: string): Counts {
  let tests = 0, failed = 0, ignored = 0;
  for (const [tag] of junit.matchAll(/<testsuite\s[^>]*>/g)) {
    const attribute = (name: string): number =>
      Number(tag.match(new RegExp(`\\s${name}="(\\d+)"`))?.[1] ?? 0);
    tests += attribute("tests");
    failed += attribute("failures") + attribute("errors");
    ignored += attribute("disabled");
  }
  return { passed: tests - failed - ignored, failed, ignored };
}

interface Request {
  readonly suites: readonly Suite[];
  readonly filter?: string;
}

/** @throws {ScriptError} for what it does not know. */
export function parseArguments(args: readonly string[]): Request {
  let suites: readonly Suite[] = ["unit", "integration"];
  let filter: string | undefined;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!;
    const suite = SUITES.find((name) => name === arg);
    if (suite !== undefined) suites = [suite];
    else if (arg.startsWith("--filter=")) filter = arg.slice("--filter=".length);
    else if (arg === "--filter" && at + 1 < args.length) filter = args[++at]!;
    else if (arg !== "all") {
      throw new ScriptError(
        `Cannot run "${arg}": say unit, integration, slow or all, and --filter TEXT`,
      );
    }
  }
  return filter === undefined ? { suites } : { suites, filter };
}

async function testFiles(suite: Suite): Promise<string[]> {
  const folder = suite === "unit" ? "tests/unit" : "tests/integration";
  const files = await filesBelow(folder);
  return files.filter((file) =>
    file.endsWith("_test.ts") && file.endsWith("_slow_test.ts") === (suite === "slow")
  );
}

async function runSuite(suite: Suite, filter: string | undefined): Promise<Counts> {
  const files = await testFiles(suite);
  if (files.length === 0) return { passed: 0, failed: 0, ignored: 0 };
  if (suite === "unit") await buildSqlite();
  else await build();
  const work = await Deno.makeTempDir({ prefix: "litestream-live-test-" });
  try {
    const junit = `${work}/junit.xml`;
    const args = ["test", "-A", "--no-check", "--quiet", "--parallel", `--junit-path=${junit}`];
    if (filter !== undefined) args.push("--filter", filter);
    const env: Record<string, string> = { DENO_JOBS: String(JOBS[suite]) };
    if (!Deno.stdout.isTerminal()) env["NO_COLOR"] = "1";
    const { code } = await run(Deno.execPath(), [...args, ...files], { env, show: true });
    const counts = countsOf(await readIfThere(junit) ?? "");
    // A module that throws while it is loaded, or a crash of the runner, is in no count.
    return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

if (import.meta.main) {
  await runScript(async () => {
    const { suites, filter } = parseArguments(Deno.args);
    let passed = 0, failed = 0, ignored = 0;
    for (const suite of suites) {
      const counts = await runSuite(suite, filter);
      passed += counts.passed;
      failed += counts.failed;
      ignored += counts.ignored;
    }
    if (ignored > 0) print(`${ignored} not run`);
    if (passed + failed === 0) print("no test was run");
    print(countLine(passed, failed));
    return failed === 0 && passed > 0 ? 0 : 1;
  });
}
