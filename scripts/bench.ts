/**
 * Measures whole processes from the executable, always beside a baseline in the same run:
 * `bench.ts [work…] [--runs N] [--size MiB] [--seconds N] [--executable PATH] [--litestream PATH]
 * [--record] [--json]`. Results go to stdout, what is going on to stderr. Missed targets do not fail
 * it: a busy machine misses them, too. `--quick` only shows that every work works.
 * May import: scripts/bench, scripts/tools.
 * @module
 */
import { resolve } from "node:path";
import { parseArguments, type Request } from "./bench/arguments.ts";
import { pythonVersion } from "./bench/helper.ts";
import { Interrupt } from "./bench/interrupt.ts";
import { type Machine, machineLines, thisMachine } from "./bench/machine.ts";
import { pointLines, pointsOf, RESULTS_FILE } from "./bench/record.ts";
import { Stage } from "./bench/stage.ts";
import { tableLines } from "./bench/table.ts";
import { type Result, resultsOf, type Samples, type Work } from "./bench/work.ts";
import { WORKS } from "./bench/works.ts";
import { exists, print, ROOT, runOrFail, runScript, ScriptError } from "./tools.ts";

const INTERRUPTED = 130;

/** Undefined if it was interrupted. */
async function once(
  work: Work,
  nth: number,
  request: Request,
  interrupted: Promise<undefined>,
): Promise<Samples | undefined> {
  const folder = await Deno.makeTempDir({ prefix: "live-bench-" });
  const { seconds, executable, litestream, quick } = request;
  const options = {
    largeBytes: request.sizeMb * 2 ** 20,
    seconds,
    quick,
    // Both are started elsewhere.
    ...(executable === undefined ? {} : { executable: resolve(executable) }),
    ...(litestream === undefined ? {} : { litestream: resolve(litestream) }),
  };
  const stage = new Stage(folder, options);
  try {
    return await Promise.race([work.once(stage, nth), interrupted]);
  } catch (error) {
    tell(stage.logs());
    throw error;
  } finally {
    await stage.end();
  }
}

async function bench(request: Request): Promise<number> {
  const python = await pythonVersion();
  // In a process of its own: it prints to stdout, which may be JSON here.
  const build = ["run", "-A", `${ROOT}scripts/build.ts`];
  if (request.executable === undefined) await runOrFail("build", Deno.execPath(), build);
  for (const path of [request.executable, request.litestream]) {
    if (path === undefined || await exists(path)) continue;
    throw new ScriptError(`Cannot measure "${path}": no such file`);
  }
  const machine = await thisMachine(python);
  using interrupt = new Interrupt();
  const interrupted = interrupt.first.then(() => undefined);

  const results: Result[] = [];
  for (const work of WORKS.filter(({ name }) => request.works.includes(name))) {
    tell(`${work.name}: ${work.about}`);
    const runs: Samples[] = [];
    for (let nth = 0; nth < request.runs; nth++) {
      const began = performance.now();
      const samples = await once(work, nth, request, interrupted);
      if (samples === undefined) return INTERRUPTED;
      runs.push(samples);
      const seconds = Math.round((performance.now() - began) / 1000);
      tell(`  run ${nth + 1} of ${request.runs}, ${seconds} s`);
    }
    results.push(...resultsOf(work, runs));
  }
  if (request.record) {
    const text = pointLines(pointsOf(machine, results));
    await Deno.writeTextFile(RESULTS_FILE, text, { append: true, create: true });
    tell(`appended to ${RESULTS_FILE}; deno task bench:chart draws it`);
  }
  show(request, machine, results);
  return 0;
}

function show(request: Request, machine: Machine, results: readonly Result[]): void {
  if (request.json) return print(JSON.stringify({ machine, request, results }, undefined, 2));
  tell("");
  const { runs, seconds, sizeMb, executable } = request;
  const which = executable === undefined ? "" : `, ${executable}`;
  print(
    `${runs} ${runs === 1 ? "run" : "runs"} of ${seconds} s, large database ${sizeMb} MiB${which}`,
  );
  for (const line of machineLines(machine)) print(line);
  print("");
  for (const line of tableLines(results)) print(line);
}

function tell(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) {
  await runScript(() => bench(parseArguments(Deno.args, WORKS.map(({ name }) => name))));
}
