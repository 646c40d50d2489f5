/**
 * `databases`: what a config names, and the state of each where the node runs. May import: base/,
 * node/options, cli/{ask,config}.
 * @module
 */
import { LiveError } from "../base/errors.ts";
import type { NodeOptions } from "../node/options.ts";
import { addressOf, askStatus } from "./ask.ts";
import type { LoadedConfig } from "./config.ts";

interface Row {
  readonly path: string;
  readonly role: "primary" | "replica";
  readonly upstream: string;
  readonly state: string;
}

/** The text to print: a table, or JSON. */
export async function listDatabases(loaded: LoadedConfig, json: boolean): Promise<string> {
  const { databases } = loaded.options;
  const { states, otherwise } = await statesOf(loaded.options);
  const rows = databases.map(({ path, upstream }): Row => ({
    path,
    role: upstream === undefined ? "primary" : "replica",
    upstream: upstream === undefined ? "" : `${upstream.url}${upstream.path}`,
    state: states.get(path) ?? otherwise,
  }));
  return json ? `${JSON.stringify(rows, null, 2)}\n` : table(rows);
}

function table(rows: readonly Row[]): string {
  const columns = ["path", "role", "upstream", "state"] as const;
  const width = (column: typeof columns[number]): number =>
    Math.max(column.length, ...rows.map((row) => row[column].length));
  const line = (cell: (column: typeof columns[number]) => string): string =>
    `${columns.map((column) => cell(column).padEnd(width(column))).join("  ").trimEnd()}\n`;
  return line((column) => column) + rows.map((row) => line((column) => row[column])).join("");
}

/** Path to state, of the node that listens at the config's address, and what else there is to say. */
async function statesOf(
  options: NodeOptions,
): Promise<{ states: ReadonlyMap<string, string>; otherwise: string }> {
  const states = new Map<string, string>();
  if (options.addr === undefined) return { states, otherwise: "unknown" };
  try {
    const { databases = [] } = await askStatus(addressOf(options));
    for (const { path = "", state = "?", reason } of databases) {
      states.set(path, reason === undefined ? state : `${state}: ${reason}`);
    }
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    // No node there, or another program; or one that may not be asked.
    if (error.code !== "upstream") return { states, otherwise: `unknown: ${error.message}` };
  }
  return { states, otherwise: "not running" };
}
