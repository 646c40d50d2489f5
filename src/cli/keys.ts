/**
 * THE table of config keys, once: the check of a file, "did you mean", the documentation and a test
 * are made from it. Beside it the keys of relatives, recognised so that they can be explained.
 * May import: base/, node/options, cli/values.
 *
 * Names are dotted, `[]` is each item of a list. Litestream 0.4's names mean what they meant there.
 * @module
 */
import { formatDuration } from "../base/duration.ts";
import { COMPRESSIONS, DATABASE_DEFAULTS, LIMIT_DEFAULTS } from "../node/options.ts";
import type { Range } from "./values.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export const LOG_FORMATS = ["text", "json"] as const;
export const BOOLEANS = ["true", "false"] as const;

export type KeyType =
  | "address"
  | "choice"
  | "command"
  | "duration"
  | "integer"
  | "mode"
  | "path"
  | "rate"
  | "token"
  | "url"
  | "user";

export interface ConfigKey {
  readonly name: string;
  readonly type: KeyType;
  readonly choices?: readonly string[];
  /** Of numbers: pages, or for a duration milliseconds. */
  readonly range?: Range;
  readonly unit?: string;
  /** As one would write it. Absent: nothing, or what `help` says. */
  readonly default?: string;
  /** A list of such values is fine, too. */
  readonly list?: true;
  /** Of the map it stands in, if that is there at all. */
  readonly required?: true;
  /** A value that is fine, as one would write it. */
  readonly example: string;
  /** One sentence. */
  readonly help: string;
  /** Said as a warning to whoever uses it. */
  readonly note?: string;
}

const MIB = 1024 * 1024;
/** The most pages that a SQLite database has. */
const PAGES = { least: 0, most: 4_294_967_294 } as const;
const HOUR_MS = 3_600_000;

export const KEYS: readonly ConfigKey[] = [
  {
    name: "addr",
    type: "address",
    example: '":9090"',
    help: "Where to listen; a primary needs it, a replica only if others follow it or ask its " +
      'status; ":9090" is all addresses of IPv4 and IPv6, port 0 lets the system choose.',
  },
  {
    name: "auth.token",
    type: "token",
    example: "$LIVE_TOKEN",
    help:
      "What clients must send as `Authorization: Bearer …` for everything but /health and /; this or " +
      "`auth.token-file` is required below `auth`.",
  },
  {
    name: "auth.token-file",
    type: "path",
    example: "/etc/litestream-live/token",
    help: "The file that holds the token, instead of `auth.token`; read again at SIGHUP.",
  },
  {
    name: "auth.status-token",
    type: "token",
    example: "$LIVE_STATUS_TOKEN",
    help:
      "Opens what only shows (/status, /metrics, /wait), never data; the token opens it as well.",
  },
  {
    name: "auth.status-token-file",
    type: "path",
    example: "/etc/litestream-live/status-token",
    help: "The file that holds it, instead of `auth.status-token`; read again at SIGHUP.",
  },
  {
    name: "tls.cert",
    type: "path",
    required: true,
    example: "/etc/litestream-live/node.crt",
    help: "A file with this node's certificate (PEM), and those between it and its CA; makes " +
      "addr HTTPS; read again at SIGHUP.",
  },
  {
    name: "tls.key",
    type: "path",
    required: true,
    example: "/etc/litestream-live/node.key",
    help: "A file with the certificate's private key (PEM, not encrypted).",
  },
  {
    name: "exec",
    type: "command",
    example: "/usr/local/bin/app --port 8080",
    help:
      "The application: started once every replica of this file can be read, and its exit code " +
      "is this program's; run without a shell.",
  },
  {
    name: "on-promote",
    type: "command",
    example: "/usr/local/bin/promoted",
    help: "Run once a replica of this file has become a primary; without a shell, 30 s at most.",
  },
  {
    name: "on-state-change",
    type: "command",
    example: "/usr/local/bin/tell-state",
    help:
      "Run when the role or the state of a database of this file has changed; states that end " +
      "while it runs are not told; without a shell, 30 s at most.",
  },
  {
    name: "self-check-rate",
    type: "rate",
    default: "256KB/s",
    example: "1MB/s",
    help:
      "How much of the replicas' files is read again and compared with what is known of it, so " +
      "that bytes that went bad on the disk are found and fetched anew; 0 is none.",
  },
  {
    name: "copy-rate-limit",
    type: "rate",
    default: "0",
    example: "50MB/s",
    help:
      "How much this node sends as first copies and repairs, all of them together, so that a replica " +
      "that joins leaves the line to the live ones; 0 is as fast as it goes.",
  },
  {
    name: "give-way",
    type: "choice",
    choices: BOOLEANS,
    default: "true",
    example: "false",
    help:
      "Let other programs have the processor first while this node is busy and gets what it needs " +
      "all the same, so that a writer need not wait for it; not with `exec`.",
  },
  {
    name: "log-level",
    type: "choice",
    choices: LOG_LEVELS,
    default: "info",
    example: "debug",
    help: "The least important lines to log.",
  },
  {
    name: "log-format",
    type: "choice",
    choices: LOG_FORMATS,
    default: "text",
    example: "json",
    help: "Lines for people, or one JSON object a line.",
  },
  {
    name: "limits.streams",
    type: "integer",
    range: { least: 1, most: 100_000 },
    default: String(LIMIT_DEFAULTS.streams),
    example: "200",
    help: "The most replicas that are connected at the same time; one more gets 503.",
  },
  {
    name: "limits.requests",
    type: "integer",
    range: { least: 1, most: 100_000 },
    default: String(LIMIT_DEFAULTS.requests),
    example: "100",
    help: "The most other requests, but for /health, that are at work or not taken yet.",
  },
  {
    name: "limits.queued-memory",
    type: "integer",
    range: { least: 16, most: 65_536 },
    unit: "MiB",
    default: String(LIMIT_DEFAULTS.queuedBytes / MIB),
    example: "64",
    help: "The most that waits in memory for slow replicas; beyond it the slowest is cut.",
  },
  {
    name: "limits.stall-timeout",
    type: "duration",
    range: { least: 1000, most: 24 * HOUR_MS },
    default: formatDuration(LIMIT_DEFAULTS.stallMs),
    example: "10s",
    help: "A client that takes nothing of its answer for so long, or needs so long to send its " +
      "request's body, is cut.",
  },
  {
    name: "dbs[].path",
    type: "path",
    required: true,
    example: "/data/db",
    help: "The database file; a relative path begins at the working directory, ~ is $HOME.",
  },
  {
    name: "dbs[].upstream.url",
    type: "url",
    list: true,
    required: true,
    example: "http://$PRIMARY_HOSTNAME:9090",
    help: "The node to follow, http or https; a database with an upstream is a replica, one " +
      "without is a primary. A list is tried in its order, and whoever was promoted is preferred.",
  },
  {
    name: "dbs[].upstream.path",
    type: "path",
    example: "/data/db",
    help: "The database's absolute path on the upstream node; without it, the path is the same " +
      "as here, and it may as well be the path of the URL.",
  },
  {
    name: "dbs[].upstream.token",
    type: "token",
    example: "$LIVE_TOKEN",
    help: "The `auth.token` of the upstream node.",
  },
  {
    name: "dbs[].upstream.token-file",
    type: "path",
    example: "/etc/litestream-live/token",
    help: "The file that holds it, instead of `upstream.token`; read again at SIGHUP.",
  },
  {
    name: "dbs[].upstream.ca",
    type: "path",
    example: "/etc/litestream-live/ca.crt",
    help:
      "A file of CA certificates (PEM) to trust instead of the system's, for an https URL; read " +
      "again at SIGHUP.",
  },
  {
    name: "dbs[].upstream.compression",
    type: "choice",
    choices: COMPRESSIONS,
    default: "auto",
    example: "zstd",
    help:
      "Whether the upstream compresses what it sends; auto does where a round trip takes more " +
      "than 5 ms.",
  },
  {
    name: "dbs[].monitor-delay-interval",
    type: "duration",
    range: { least: 0, most: HOUR_MS },
    default: formatDuration(DATABASE_DEFAULTS.monitorDelayMs),
    example: "10ms",
    help: "Commits within this time are sent as one transaction; 0 sends each at once.",
  },
  {
    name: "dbs[].checkpoint-interval",
    type: "duration",
    range: { least: 0, most: 720 * HOUR_MS },
    default: formatDuration(DATABASE_DEFAULTS.checkpointIntervalMs),
    example: "1m30s",
    help: "The longest time between two checkpoint attempts while pages wait in the WAL.",
  },
  {
    name: "dbs[].min-checkpoint-page-count",
    type: "integer",
    range: { ...PAGES, least: 1 },
    unit: "pages",
    default: String(DATABASE_DEFAULTS.minCheckpointPageCount),
    example: "2000",
    help: "The length of the WAL from which checkpoints are tried; they block nobody.",
  },
  {
    name: "dbs[].max-checkpoint-page-count",
    type: "integer",
    range: PAGES,
    unit: "pages",
    default: String(DATABASE_DEFAULTS.maxCheckpointPageCount),
    example: "10000",
    help:
      "The length of the WAL from which the write lock may be taken for a moment; 0 is never. By " +
      "default at least min-checkpoint-page-count.",
  },
  {
    name: "dbs[].owner",
    type: "user",
    example: "app",
    help: "Of a replica: the user, by name or number, who owns the database, its -wal and -shm.",
  },
  {
    name: "dbs[].group",
    type: "user",
    example: "app",
    help: "Of a replica: the group, by name or number, of these files.",
  },
  {
    name: "dbs[].mode",
    type: "mode",
    example: '"0640"',
    help: "Of a replica: the permissions of these files; who may only read them sees live data.",
  },
  {
    name: "dbs[].allow-network-filesystem",
    type: "choice",
    choices: BOOLEANS,
    default: "false",
    example: "true",
    help: "Work on NFS, SMB, 9P, FUSE and the like, where SQLite's locks may not work.",
  },
  {
    name: "dbs[].shadow-retention-count",
    type: "integer",
    range: PAGES,
    example: "32",
    help: "Accepted for Litestream 0.4's sake, without effect.",
    note: "no effect: there is no shadow WAL",
  },
];

export interface RefusedKey {
  /** Where it stands in the relative's file. */
  readonly name: string;
  readonly origin: "Litestream 0.4" | "Litestream 0.5" | "LiteFS";
  /** What it is, and what to do: a sentence whose subject is the key. */
  readonly why: string;
}

function refuse(origin: RefusedKey["origin"], why: string, names: string): RefusedKey[] {
  return names.split(" ").map((name) => ({ name, origin, why }));
}

const BACKUP = "belongs to a backup, which is out of scope here; remove it and run Litestream " +
  "beside this program";
const NO_POLLING = "is of Litestream 0.5, which polls; commits are pushed here, so remove it";

export const REFUSED_KEYS: readonly RefusedKey[] = [
  ...refuse("Litestream 0.4", BACKUP, "dbs[].replicas access-key-id secret-access-key"),
  ...refuse(
    "Litestream 0.4",
    BACKUP,
    [
      "type name path url retention retention-check-interval sync-interval snapshot-interval",
      "validation-interval access-key-id secret-access-key region bucket endpoint",
      "force-path-style skip-verify account-name account-key host user password key-path",
    ].join(" ").replace(/\S+/g, "dbs[].replicas[].$&"),
  ),
  ...refuse(
    "Litestream 0.5",
    BACKUP,
    "dbs[].replica dbs[].restore-if-db-not-exists snapshot levels retention l0-retention validation",
  ),
  ...refuse("Litestream 0.5", NO_POLLING, "dbs[].monitor-interval"),
  ...refuse(
    "Litestream 0.5",
    "is of Litestream 0.5; state is kept in PATH-live beside the database, so remove it",
    "dbs[].meta-path dbs[].meta-dir",
  ),
  ...refuse(
    "Litestream 0.5",
    "is of Litestream 0.5; no lock is waited for here, so remove it",
    "dbs[].busy-timeout",
  ),
  ...refuse(
    "Litestream 0.5",
    "is of Litestream 0.5; write max-checkpoint-page-count instead",
    "dbs[].truncate-page-n dbs[].max-sync-wal-bytes",
  ),
  ...refuse(
    "Litestream 0.5",
    "is of Litestream 0.5, which can watch directories; list each database by its path",
    "dbs[].dir dbs[].pattern dbs[].recursive dbs[].watch",
  ),
  ...refuse(
    "Litestream 0.5",
    "is of Litestream 0.5; state is served over HTTP at addr, so remove it",
    "socket mcp-addr",
  ),
  ...refuse(
    "Litestream 0.5",
    "is of Litestream 0.5; write log-level and log-format instead",
    "logging",
  ),
  ...refuse(
    "Litestream 0.5",
    "is of Litestream 0.5; ask GET /health from outside instead",
    "heartbeat-url heartbeat-interval",
  ),
  ...refuse(
    "Litestream 0.5",
    "is of Litestream 0.5; there is no last upload to wait for when stopping, so remove it",
    "shutdown-sync-timeout shutdown-sync-interval",
  ),
  ...refuse(
    "LiteFS",
    "is of LiteFS; databases stay ordinary files where they are, so list their paths under dbs",
    "fuse data",
  ),
  ...refuse("LiteFS", "is of LiteFS; write addr instead", "http"),
  ...refuse(
    "LiteFS",
    "is of LiteFS; no request is redirected here, so send writes to the primary and remove it",
    "proxy",
  ),
  ...refuse(
    "LiteFS",
    "is of LiteFS; nothing is elected here, a database with an upstream is a replica, so remove it",
    "lease",
  ),
  ...refuse("LiteFS", "is of LiteFS; write log-level and log-format instead", "log"),
  ...refuse("LiteFS", "is of LiteFS; no trace is written here, so remove it", "tracing"),
  ...refuse("LiteFS", BACKUP, "backup"),
  ...refuse(
    "LiteFS",
    "is of LiteFS; nothing here is like it, so remove it",
    "exit-on-error skip-sync strict-verify",
  ),
];

/** A Markdown table of KEYS, laid out as `deno fmt` does. */
export function keysAsMarkdown(): string {
  return markdownTable(
    ["Key", "Value", "Default", "Meaning"],
    KEYS.map((key) => [
      `\`${key.name}\``,
      key.choices?.map((choice) => `\`${choice}\``).join(", ") ??
        (key.unit === undefined ? key.type : `${key.type}, ${key.unit}`),
      key.default === undefined ? key.required ? "required" : "" : `\`${key.default}\``,
      key.help,
    ]),
  );
}

/** A Markdown table of REFUSED_KEYS, those with the same reason in one row. */
export function refusedKeysAsMarkdown(): string {
  const rows = new Map<string, { names: string[]; origin: string; why: string }>();
  for (const { name, origin, why } of REFUSED_KEYS) {
    const row = rows.get(origin + why) ?? { names: [], origin, why };
    row.names.push(`\`${name}\``);
    rows.set(origin + why, row);
  }
  return markdownTable(
    ["Key", "Of", "Why it is refused"],
    [...rows.values()].map(({ names, origin, why }) => [names.join(", "), origin, `It ${why}.`]),
  );
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, nth) =>
    Math.max(cell.length, ...rows.map((row) => row[nth]!.length))
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, nth) => cell.padEnd(widths[nth]!)).join(" | ")} |\n`;
  return line(head) + line(widths.map((width) => "-".repeat(width))) + rows.map(line).join("");
}
