/**
 * The bench's command line. Pure. May import: scripts/tools.
 * @module
 */
import { ScriptError } from "../tools.ts";

export interface Request {
  /** Names of works; all in the order of the table if none was named. */
  readonly works: readonly string[];
  readonly json: boolean;
  readonly runs: number;
  /** Of the large database, MiB. */
  readonly sizeMb: number;
  /** Of each timed part. */
  readonly seconds: number;
  /** Measure this one, of another commit, instead of building; relative to where the bench was started. */
  readonly executable?: string;
  /** Litestream 0.5's executable, to be measured beside ours. */
  readonly litestream?: string;
  /** A small form of everything, which only shows that it works. */
  readonly quick: boolean;
  /** Append what comes out to docs/bench/results.jsonl. */
  readonly record: boolean;
}

const USUAL = { runs: 3, sizeMb: 1024, seconds: 10 } as const;
const QUICK = { runs: 1, sizeMb: 4, seconds: 0.2 } as const;

const NUMBERS = {
  "--runs": { key: "runs", least: 1 },
  "--size": { key: "sizeMb", least: 1 },
  "--seconds": { key: "seconds", least: 1 },
} as const;

const isNumber = (flag: string): flag is keyof typeof NUMBERS => flag in NUMBERS;

/** @throws {ScriptError} for what it does not know. */
export function parseArguments(args: readonly string[], known: readonly string[]): Request {
  const named: string[] = [];
  const numbers: { runs?: number; sizeMb?: number; seconds?: number } = {};
  const switches = { json: false, quick: false, record: false };
  const paths: { executable?: string; litestream?: string } = {};
  for (let at = 0; at < args.length; at++) {
    const [flag = "", inline] = args[at]!.split("=", 2);
    if (isNumber(flag)) {
      const { key, least } = NUMBERS[flag];
      numbers[key] = wholeNumber(flag, inline ?? args[++at] ?? "", least);
    } else if (flag === "--executable" || flag === "--litestream") {
      const path = inline ?? args[++at] ?? "";
      if (path === "") throw new ScriptError(`Cannot use ${flag}: say its path`);
      paths[flag === "--executable" ? "executable" : "litestream"] = path;
    } else if (args[at] === "--json") switches.json = true;
    else if (args[at] === "--quick") switches.quick = true;
    else if (args[at] === "--record") switches.record = true;
    else if (known.includes(args[at]!)) named.push(args[at]!);
    else {
      throw new ScriptError(
        `Cannot measure "${args[at]}": say any of ${known.join(", ")}, and --runs N, --size MiB, ` +
          "--seconds N, --executable PATH, --litestream PATH, --quick, --record, --json",
      );
    }
  }
  if (switches.quick && switches.record) {
    throw new ScriptError(
      "Cannot record figures of --quick: they say nothing; leave out one of both",
    );
  }
  const works = known.filter((name) => named.length === 0 || named.includes(name));
  return { works, ...switches, ...(switches.quick ? QUICK : USUAL), ...numbers, ...paths };
}

function wholeNumber(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least) return value;
  throw new ScriptError(
    `Cannot use "${text}" as ${flag}: must be a whole number from ${least} on`,
  );
}
