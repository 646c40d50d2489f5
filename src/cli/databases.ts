/**
 * `databases`: what a config names, and the state of each where the node runs. May import: base/,
 * http/endpoints, node/options, cli/config (types).
 * @module
 */
import type { ListenAddress, NodeOptions } from "../node/options.ts";
import { ENDPOINTS } from "../http/endpoints.ts";
import { formatHost } from "../http/server.ts";
import type { LoadedConfig } from "./config.ts";

const LIMIT_MS = 2000;

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
  const { addr, token } = options;
  if (addr === undefined || addr.port === 0) return states;
  try {
    const response = await fetch(`http://${here(addr)}${ENDPOINTS.status.path}`, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    const { databases } = await response.json();
    for (const { path, state, reason } of databases) {
      states.set(path, reason === undefined ? state : `${state}: ${reason}`);
    }
  } catch { /* no node there, or another program: nothing is known */ }
  return states;
}

function here(addr: ListenAddress): string {
  const all = addr.hostname === "::" || addr.hostname === "0.0.0.0";
  return formatHost(all ? "127.0.0.1" : addr.hostname, addr.port);
}
