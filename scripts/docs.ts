/**
 * Writes the tables of docs/OPERATING.md anew from the tables in the code: `docs.ts [--check]`.
 * With --check nothing is written, and a stale file is exit code 1.
 *
 *     <!-- generated: keys -->
 *     ...
 *     <!-- end -->
 *
 * May import: scripts/tools, src/cli (arguments, keys, topics), src/http (endpoints, metrics).
 * @module
 */
import { commandWords } from "../src/cli/arguments.ts";
import { HOOK_VARIABLES } from "../src/cli/hooks.ts";
import { keysAsMarkdown, refusedKeysAsMarkdown } from "../src/cli/keys.ts";
import { type Endpoint, ENDPOINTS, NEEDS, type Needs } from "../src/http/endpoints.ts";
import { METRICS } from "../src/http/metrics.ts";
import { EXIT_CODES, STATES } from "../src/cli/topics.ts";
import { print, ROOT, runScript, ScriptError } from "./tools.ts";

const FILE = "docs/OPERATING.md";
const BLOCK = /(<!-- generated: ([^>]*?) -->\n)[^]*?(\n<!-- end -->)/g;

/** What stands between the markers, by name; a Markdown table each, laid out as `deno fmt` does. */
export const GENERATED: Readonly<Record<string, () => string>> = {
  "keys": keysAsMarkdown,
  "refused keys": refusedKeysAsMarkdown,
  "hooks": hooksAsMarkdown,
  "flags": flagsAsMarkdown,
  "exit codes": exitCodesAsMarkdown,
  "states": statesAsMarkdown,
  "endpoints": endpointsAsMarkdown,
  "access": accessAsMarkdown,
  "metrics": metricsAsMarkdown,
};

/**
 * The text with every generated part made anew.
 * @throws {ScriptError} if a part is unknown, missing or there twice.
 */
export function regenerate(text: string): string {
  const found: string[] = [];
  const result = text.replace(BLOCK, (_all, begin: string, name: string, end: string) => {
    const generate = GENERATED[name];
    if (generate === undefined) throw new ScriptError(`${FILE}: nothing generates "${name}"`);
    found.push(name);
    return `${begin}\n${generate()}${end}`;
  });
  for (const name of Object.keys(GENERATED)) {
    const times = found.filter((one) => one === name).length;
    if (times !== 1) throw new ScriptError(`${FILE}: "${name}" is there ${times} times, not once`);
  }
  return result;
}

function flagsAsMarkdown(): string {
  const rows = commandWords().flatMap(({ name, help, arguments: given, flags }) => [
    [`\`${name}\``, "", help],
    ...given.map((
      one,
    ) => ["", `\`${one.required ? `<${one.name}>` : `[${one.name}]`}\``, one.help]),
    ...flags.map((flag) => [
      "",
      `\`-${flag.name}${flag.value === undefined ? "" : ` <${flag.value}>`}\``,
      flag.help,
    ]),
  ]);
  return markdownTable(["Command", "Argument or flag", "Meaning"], rows);
}

function hooksAsMarkdown(): string {
  const rows = Object.entries(HOOK_VARIABLES).map(([name, meaning]) => [`\`${name}\``, meaning]);
  return markdownTable(["Variable", "Meaning"], rows);
}

function statesAsMarkdown(): string {
  return markdownTable(
    ["State", "Of", "Meaning", "What to do"],
    Object.entries(STATES).map(([name, row]) => [`\`${name}\``, row.of, row.meaning, row.todo]),
  );
}

function exitCodesAsMarkdown(): string {
  return markdownTable(
    ["Exit code", "Meaning"],
    EXIT_CODES.map(({ code, meaning }) => [code, meaning]),
  );
}

function endpointsAsMarkdown(): string {
  const endpoints: readonly Endpoint[] = Object.values(ENDPOINTS);
  return markdownTable(
    ["Request", "Query", "Needs", "Answer"],
    endpoints.map(({ method, path, query, needs, sentence }) => [
      `\`${method} ${path}\``,
      Object.entries(query).map(([name, meaning]) => `\`${name}\`: ${meaning}`).join("; "),
      needs,
      sentence,
    ]),
  );
}

/** What opens what, where `auth.token` is set. */
function accessAsMarkdown(): string {
  const endpoints: readonly Endpoint[] = Object.values(ENDPOINTS);
  const cell = (needs: Needs, sent: Needs): string =>
    NEEDS.indexOf(sent) >= NEEDS.indexOf(needs) ? "open" : "401";
  return markdownTable(
    ["Request", "Without a token", "With `status-token`", "With `token`"],
    endpoints.map(({ method, path, needs }) => [
      `\`${method} ${path}\``,
      ...NEEDS.map((sent) => cell(needs, sent)),
    ]),
  );
}

function metricsAsMarkdown(): string {
  return markdownTable(
    ["Metric", "Type", "Unit", "Labels", "Meaning"],
    METRICS.map(({ name, type, unit, labels, sentence }) => [
      `\`${name}\``,
      type,
      unit,
      labels.map((label) => `\`${label}\``).join(", "),
      sentence,
    ]),
  );
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((_, nth) => Math.max(...cells.map((row) => row[nth]!.length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, nth) => cell.padEnd(widths[nth]!)).join(" | ")} |\n`;
  const [first, ...others] = cells;
  return line(first!) + line(widths.map((width) => "-".repeat(width))) +
    others.map(line).join("");
}

if (import.meta.main) {
  await runScript(async () => {
    const [flag, ...others] = Deno.args;
    if (others.length > 0 || (flag !== undefined && flag !== "--check")) {
      throw new ScriptError(`Cannot use "${Deno.args.join(" ")}": say --check or nothing`);
    }
    const path = `${ROOT}${FILE}`;
    const before = await Deno.readTextFile(path);
    const after = regenerate(before);
    if (after === before) {
      print(`${FILE} is up to date`);
      return 0;
    }
    if (flag === "--check") {
      print(`${FILE} is stale: run scripts/docs.ts`);
      return 1;
    }
    await Deno.writeTextFile(path, after);
    print(`${FILE} written`);
    return 0;
  });
}
