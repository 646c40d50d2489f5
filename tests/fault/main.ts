/**
 * `deno task test:fault`: faults of disk, process, machine and network, from a seed.
 *
 *     --seeds K      K seeds from a fresh one (or from --seed N); 500 by default
 *     --seed N       alone: that one seed, with all that happened
 *     --strike S     one strike of the fixed course ("kill@17+reader"), with all that happened
 *     --no-fixed     without the fixed course
 *
 * May import: tests/fault, tests/support, scripts/tools.
 * @module
 */
import { countLine, print, runScript, ScriptError } from "../../scripts/tools.ts";
import { FaultFailure } from "./scenario.ts";
import { allStrikes, COURSE_SEED, formatStrike, parseStrike } from "./systematic.ts";
import { type Failure, type Job, type Report, runJob, type Share } from "./share.ts";

const SEEDS = 500;
const FRESH_BELOW = 1_000_000_000;

interface Arguments {
  readonly seed?: number;
  readonly seeds?: number;
  readonly strike?: string;
  readonly fixed: boolean;
}

function parseArguments(args: readonly string[]): Arguments {
  const values = new Map<string, string>();
  for (let at = 0; at < args.length; at++) {
    const [name = "", inline] = args[at]!.split("=", 2);
    if (name === "--no-fixed") values.set(name, "");
    else if (["--seed", "--seeds", "--strike"].includes(name)) {
      values.set(name, inline ?? args[++at] ?? "");
    } else throw new ScriptError(`Cannot read "${name}": see the head of tests/fault/main.ts`);
  }
  const number = (name: string): number | undefined => {
    const text = values.get(name);
    if (text === undefined) return undefined;
    if (/^\d+$/.test(text)) return Number(text);
    throw new ScriptError(`Cannot read "${name} ${text}": must be a whole number`);
  };
  const [seed, seeds, strike] = [number("--seed"), number("--seeds"), values.get("--strike")];
  return {
    ...(seed === undefined ? {} : { seed }),
    ...(seeds === undefined ? {} : { seeds }),
    ...(strike === undefined ? {} : { strike }),
    fixed: !values.has("--no-fixed"),
  };
}

/** One run, told step by step. */
async function tell(job: Job): Promise<number> {
  try {
    const { story, struck } = await runJob(job);
    for (const line of story) print(line);
    print(`faults: ${struck.join(", ") || "none"}`);
    print(countLine(1, 0));
    return 0;
  } catch (error) {
    if (!(error instanceof FaultFailure)) throw error;
    for (const line of error.story) print(line);
    print(error.message);
    print(countLine(0, 1));
    return 1;
  }
}

/** Every nth job to every nth process. */
async function runAll(jobs: readonly Job[]): Promise<Report[]> {
  const count = navigator.hardwareConcurrency;
  const shares = Array.from({ length: count }, (_, nth): Share => ({
    jobs: jobs.filter((_, at) => at % count === nth),
  }));
  return await Promise.all(shares.map(runElsewhere));
}

async function runElsewhere(share: Share): Promise<Report> {
  const script = new URL("./worker.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  await new Blob([JSON.stringify(share)]).stream().pipeTo(child.stdin);
  const { code, stdout } = await child.output();
  if (code !== 0) throw new ScriptError(`A process of ${share.jobs.length} runs failed`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

function again({ seed, strike }: Job): string {
  return strike === undefined ? `--seed ${seed}` : `--strike ${formatStrike(strike)}`;
}

async function runMany({ seed, seeds, fixed }: Arguments): Promise<number> {
  const first = seed ?? Math.floor(Math.random() * FRESH_BELOW);
  const count = seeds ?? SEEDS;
  const jobs: Job[] = Array.from({ length: count }, (_, nth) => ({ seed: first + nth }));
  const strikes = fixed ? await allStrikes() : [];
  for (const strike of strikes) jobs.push({ seed: COURSE_SEED, strike });
  print(`${strikes.length} strikes of the fixed course, seeds ${first} to ${first + count - 1}`);
  const started = performance.now();
  const reports = await runAll(jobs);
  const failures: Failure[] = reports.flatMap((report) => report.failures);
  for (const { job, message } of failures.slice(0, 20)) print(`${message}\nagain: ${again(job)}\n`);
  const struck = new Map<string, number>();
  for (const report of reports) {
    for (const [what, times] of Object.entries(report.struck)) {
      struck.set(what, (struck.get(what) ?? 0) + times);
    }
  }
  const faults = [...struck.values()].reduce((sum, times) => sum + times, 0);
  const commits = reports.reduce((sum, report) => sum + report.commits, 0);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  print(`${faults} faults of ${struck.size} kinds, ${commits} commits, ${seconds} s`);
  print(countLine(jobs.length - failures.length, failures.length));
  return failures.length === 0 ? 0 : 1;
}

if (import.meta.main) {
  await runScript(async () => {
    const args = parseArguments(Deno.args);
    if (args.strike !== undefined) {
      return await tell({ seed: COURSE_SEED, strike: parseStrike(args.strike) });
    }
    if (args.seed !== undefined && args.seeds === undefined) return await tell({ seed: args.seed });
    try {
      return await runMany(args);
    } catch (error) {
      if (!(error instanceof FaultFailure)) throw error; // the fixed course fails without a fault
      print(error.message);
      print(countLine(0, 1));
      return 1;
    }
  });
}
