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
  const states = await statesOf(loaded.options);
  const rows = databases.map(({ path, upstream }): Row => ({
    path,
    role: upstream === undefined ? "primary" : "replica",
    upstream: upstream === undefined ? "" : `${upstream.url}${upstream.path}`,
    state: states.get(path) ?? (loaded.options.addr === undefined ? "unknown" : "not running"),
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

/** Path to state, of the node that listens at the config's address; empty if none does. */
async function statesOf(options: NodeOptions): Promise<Map<string, string>> {
  const states = new Map<string, string>();
  try {
    const { databases = [] } = await askStatus(addressOf(options));
    for (const { path = "", state = "?", reason } of databases) {
      states.set(path, reason === undefined ? state : `${state}: ${reason}`);
    }
  } catch (error) { // no node there, or another program: nothing is known
    if (!(error instanceof LiveError)) throw error;
  }
  return states;
}
