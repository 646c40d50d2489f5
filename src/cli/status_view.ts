/**
 * A node's status as a table for people. JSON of /status in, text out: pure. May import: base/.
 * @module
 */
import { formatDuration } from "../base/duration.ts";

/** What is read of /status; an older or newer node may lack any of it. */
export interface StatusJson {
  readonly version?: string;
  readonly databases?: readonly DatabaseJson[];
}

export interface DatabaseJson {
  readonly path?: string;
  readonly role?: string;
  readonly state?: string;
  readonly reason?: string;
  readonly epoch?: string;
  readonly txid?: string;
  readonly hash?: string;
  readonly pageSize?: number;
  readonly pageCount?: number;
  readonly upstream?: {
    readonly url?: string;
    readonly path?: string;
    readonly connected?: boolean;
    readonly lag?: { readonly txids?: number; readonly bytes?: number; readonly ms?: number };
    readonly progress?: {
      readonly doneBytes?: number;
      readonly totalBytes?: number;
      readonly etaMs?: number;
    };
  };
  readonly replicas?: readonly ReplicaJson[];
}

interface ReplicaJson {
  readonly id?: string;
  readonly address?: string;
  readonly connected?: boolean;
  readonly sent?: string;
  readonly received?: string;
  readonly durable?: string;
  readonly applied?: string;
  readonly silentMs?: number;
  readonly replicas?: readonly ReplicaJson[];
}

const CODES = { red: 31, green: 32, yellow: 33, grey: 90 } as const;
export type Paint = (colour: keyof typeof CODES, text: string) => string;

/** What another machine says must not move the cursor of this one. */
function shown(text: string | undefined): string {
  // deno-lint-ignore no-control-regex -- these are what is taken out
  return (text ?? "?").replace(/[\x00-\x1f\x7f-\x9f]/g, "?");
}

export function coloured(colour: keyof typeof CODES, text: string): string {
  return `\x1b[${CODES[colour]}m${text}\x1b[0m`;
}
export function plain(_colour: keyof typeof CODES, text: string): string {
  return text;
}

const LIVE: readonly string[] = ["serving", "streaming"];

/** Rows of cells as lines; a cell's colour does not count for its width. */
function table(rows: readonly (readonly string[])[], paint: (cell: string) => string): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length))
  );
  return rows.map((row) =>
    row.map((cell, column) => {
      const padding = column === row.length - 1 ? "" : " ".repeat(widths[column]! - cell.length);
      return paint(cell) + padding;
    }).join("  ").trimEnd()
  );
}

/** The whole text: databases, then the replicas of each that has any. */
export function statusText(status: StatusJson, paint: Paint): string {
  const databases = status.databases ?? [];
  const header = ["DATABASE", "ROLE", "STATE", "TXID", "SIZE", "LAG", "UPSTREAM"];
  const rows = databases.map((database) => [
    shown(database.path),
    shown(database.role),
    stateOf(database),
    shortTxid(database.txid),
    database.pageCount === undefined
      ? "-"
      : bytesText(database.pageCount * (database.pageSize ?? 0)),
    lagOf(database),
    database.upstream === undefined
      ? "-"
      : shown(`${database.upstream.url}${database.upstream.path}`),
  ]);
  const colour = (cell: string): string => {
    if (header.includes(cell)) return paint("grey", cell);
    const state = cell.split(" ")[0]!;
    if (LIVE.includes(state)) return paint("green", cell);
    if (state === "failed") return paint("red", cell);
    return STATES.includes(state) ? paint("yellow", cell) : cell;
  };
  const lines = table([header, ...rows], colour);
  for (const database of databases) {
    if (database.reason === undefined) continue;
    const how = LIVE.includes(database.state ?? "") ? "yellow" : "red";
    lines.push("", `${shown(database.path)}: ${paint(how, shown(database.reason))}`);
  }
  for (const database of databases) lines.push(...replicaLines(database, paint));
  return `${lines.join("\n")}\n`;
}

const STATES: readonly string[] = [
  "waiting",
  "opening",
  "copying",
  "repairing",
  "connecting",
  "catching-up",
];

function replicaLines(database: DatabaseJson, paint: Paint): string[] {
  const replicas = database.replicas ?? [];
  if (replicas.length === 0) return [];
  const header = ["REPLICA", "CONNECTED", "SENT", "RECEIVED", "DURABLE", "APPLIED", "HEARD"];
  const rows = indented(replicas).map(({ replica, depth }) => [
    `${"  ".repeat(depth)}${shown(replica.address)}`,
    replica.connected === true ? "yes" : "no",
    shortTxid(replica.sent),
    shortTxid(replica.received),
    shortTxid(replica.durable),
    shortTxid(replica.applied),
    `${msText(replica.silentMs ?? 0)} ago`,
  ]);
  const colour = (cell: string): string => {
    if (header.includes(cell)) return paint("grey", cell);
    if (cell === "yes") return paint("green", cell);
    return cell === "no" ? paint("red", cell) : cell;
  };
  return ["", `replicas of ${shown(database.path)}`, ...table([header, ...rows], colour)];
}

/** Replicas of replicas below them. */
function indented(
  replicas: readonly ReplicaJson[],
  depth = 0,
): { readonly replica: ReplicaJson; readonly depth: number }[] {
  return replicas.flatMap((replica) => [
    { replica, depth },
    ...indented(replica.replicas ?? [], depth + 1),
  ]);
}

function stateOf({ state: said, upstream }: DatabaseJson): string {
  const state = shown(said);
  const progress = upstream?.progress;
  const { doneBytes = 0, totalBytes = 0, etaMs } = progress ?? {};
  if (totalBytes === 0) return state;
  const eta = etaMs === undefined ? "" : ` ETA ${msText(etaMs)}`;
  return `${state} ${Math.floor(100 * doneBytes / totalBytes)} %${eta}`;
}

function lagOf({ upstream }: DatabaseJson): string {
  if (upstream === undefined) return "-";
  const { txids = 0, bytes = 0, ms = 0 } = upstream.lag ?? {};
  if (txids === 0 && ms === 0) return "none";
  const parts = [`${txids} tx`, msText(ms)];
  if (bytes > 0) parts.splice(1, 0, bytesText(bytes));
  return parts.join(", ");
}

/** Without leading zeros, which a column of 16 digits is full of. */
function shortTxid(txid: string | undefined): string {
  return txid === undefined ? "-" : shown(txid).replace(/^0+(?=.)/, "");
}

/** "340ms", "12s", "1h2m3s". */
function msText(ms: number): string {
  return formatDuration(ms < 1000 ? Math.round(ms) : 1000 * Math.round(ms / 1000));
}

/** "12 KB", "3.4 GB": thousands. */
export function bytesText(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
