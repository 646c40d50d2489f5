/**
 * Draws docs/bench/results.jsonl as docs/bench/index.html: `chart.ts [--check]`. With --check nothing
 * is written, and a stale page is exit code 1. May import: scripts/bench, scripts/tools.
 * @module
 */
import { pageOf } from "./bench/chart_page.ts";
import { parsePoints, RESULTS_FILE } from "./bench/record.ts";
import { WORKS } from "./bench/works.ts";
import { print, readIfThere, ROOT, runScript, ScriptError } from "./tools.ts";

const PAGE = "docs/bench/index.html";

async function chart(args: readonly string[]): Promise<number> {
  const check = args[0] === "--check";
  if (args.length > (check ? 1 : 0)) throw new ScriptError(`Cannot use "${args.at(-1)}": --check`);
  const points = parsePoints(await readIfThere(RESULTS_FILE) ?? "");
  const made = pageOf(WORKS, points);
  if (await readIfThere(`${ROOT}${PAGE}`) === made) return print(`${PAGE} is up to date`), 0;
  if (check) throw new ScriptError(`${PAGE} is stale: run deno task bench:chart`);
  await Deno.writeTextFile(`${ROOT}${PAGE}`, made);
  print(`${PAGE}: ${points.length} points`);
  return 0;
}

if (import.meta.main) await runScript(() => chart(Deno.args));
