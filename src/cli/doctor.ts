/**
 * `doctor`: everything a node needs, looked at before it runs or beside one that does. May import:
 * base/, wal/checkpoint, pages/page_reader, node/{inspect,options},
 * cli/{ask,machine,secrets,status_view}.
 *
 * A finding that needs somebody ends in an action. It changes nothing, and locks nothing.
 * @module
 */
import { type LogFields, silentLog, systemClock } from "../base/env.ts";
import { codeOf, LiveError } from "../base/errors.ts";
import { GUARD_VERSION } from "../pages/page_reader.ts";
import { inspect, type Inspection } from "../node/inspect.ts";
import type { DatabaseOptions, NodeOptions } from "../node/options.ts";
import { isTooLong } from "../wal/checkpoint.ts";
import { addressOf, askStatus, type NodeAddress, roundTripMs } from "./ask.ts";
import { bytesText, type StatusJson } from "./status_view.ts";
import { Secrets, upstreamAccess } from "./secrets.ts";
import { type Machine, processName, thisMachine } from "./machine.ts";

export type Level = "ok" | "note" | "bad";

export interface Finding {
  /** The database's path, or "node". */
  readonly about: string;
  readonly what: string;
  readonly level: Level;
  readonly text: string;
  /** What to do, a sentence; of every "bad" one. */
  readonly action?: string;
}

export interface DoctorReport {
  readonly version: string;
  readonly config: string;
  readonly findings: readonly Finding[];
  readonly ok: boolean;
}

/** Room that a node should have beside what is there already. */
const LEAST_FREE_BYTES = 100_000_000;
const DESCRIPTORS_PER_DATABASE = 10;

type Add = (what: string, level: Level, text: string, action?: string) => void;

export async function examine(
  options: NodeOptions,
  version: string,
  config: string,
): Promise<DoctorReport> {
  const findings: Finding[] = [];
  const about = (name: string): Add => (what, level, text, action) =>
    findings.push({ about: name, what, level, text, ...(action && { action }) });
  const machine = thisMachine();
  lookAtSecrets(options, about("node"));
  const running = await lookAtNode(options, version, machine, about("node"));
  for (const database of options.databases) {
    const add = about(database.path);
    const seen = inspect(database.path);
    lookAtFile(database, seen, add);
    lookAtPlace(seen, database, machine, add);
    lookAtUse(seen, add);
    lookAtLog(seen, database, add);
    await lookAtUpstreams(database, seen, version, machine, add);
    lookAtState(running, database, add);
  }
  return { version, config, findings, ok: findings.every(({ level }) => level !== "bad") };
}

/** Tokens and certificates, as the node reads them. */
function lookAtSecrets(options: NodeOptions, add: Add): void {
  const say = (level: Level) => (message: string, fields: LogFields = {}): void => {
    const { file, cert, reason } = fields;
    const text = [file ?? cert, message, reason].filter((part) => part !== undefined).join(": ");
    add("secrets", level, text, "Correct that file.");
  };
  const log = { ...silentLog, warn: say("note"), error: say("bad") };
  try {
    new Secrets(log, systemClock).credentials(options);
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    add("secrets", "bad", error.message, "Correct that file, or the config.");
  }
}

async function lookAtNode(
  options: NodeOptions,
  version: string,
  machine: Machine,
  add: Add,
): Promise<StatusJson | undefined> {
  const { openFiles, watches } = machine.limits();
  const least = DESCRIPTORS_PER_DATABASE * options.databases.length + 1000;
  if (openFiles < least) {
    add(
      "limits",
      "bad",
      `${openFiles} open files at most`,
      `Raise the limit of open files to ${least} (LimitNOFILE= in the unit, ulimit -n).`,
    );
  } else add("limits", "ok", `${openFiles} open files, ${watches ?? "unknown"} inotify watches`);
  if (watches !== undefined && watches < 2 * options.databases.length) {
    add(
      "inotify",
      "bad",
      `${watches} watches at most, for ${options.databases.length} databases`,
      `Raise fs.inotify.max_user_watches above ${2 * options.databases.length} (sysctl).`,
    );
  }
  if (options.addr === undefined || options.addr.port === 0) {
    add("address", "note", "no fixed addr: whether a node runs cannot be asked");
    return undefined;
  }
  const node = addressOf(options);
  try {
    const status = await askStatus(node);
    const same = status.version === version;
    add(
      "address",
      same ? "ok" : "note",
      `a node of version ${status.version ?? "?"} answers at ${node.url}` +
        (same ? "" : `, this program is ${version}`),
    );
    return status;
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    if (codeOf(error) === "unauthorized") {
      add(
        "address",
        "bad",
        `${node.url} answers, and refuses the token of this config`,
        `Restart the node with this config, or give doctor the config that it runs with.`,
      );
    } else if (machine.canListen(options.addr)) {
      add("address", "note", `no node runs; ${node.url} is free`);
    } else {
      add(
        "address",
        "bad",
        `${node.url} is taken, and not by a node: ${error.message}`,
        `Choose another port for addr, or stop what listens at ${node.url}.`,
      );
    }
    return undefined;
  }
}

function lookAtFile(database: DatabaseOptions, seen: Inspection, add: Add): void {
  const isReplica = database.upstream !== undefined;
  const { path, bytes, header, writeVersion, unreadable } = seen;
  const name = `"${path}"`;
  if (bytes === undefined || bytes === 0) {
    const text = bytes === 0 ? "0 bytes" : "does not exist yet";
    add("file", "note", `${text}: ${isReplica ? "the first copy makes it" : "waited for"}`);
  } else if (unreadable !== undefined) {
    add("file", "bad", unreadable, `Let this user read ${name}, or run as the one who may.`);
  } else if (header === undefined) {
    add(
      "file",
      "bad",
      `${bytesText(bytes)}, no SQLite database, or an encrypted one`,
      `Correct the path ${name}; encrypted databases cannot be replicated.`,
    );
  } else if (!isReplica && writeVersion === GUARD_VERSION) {
    add(
      "file",
      "bad",
      `a replica's file (write guard), and this config says primary`,
      `Give ${name} an upstream, or make a primary of it: docs/OPERATING.md, "The primary is lost".`,
    );
  } else {
    const mode = header.rollback
      ? isReplica ? "rollback mode" : "rollback mode: the node sets it to WAL"
      : "WAL mode";
    const guard = writeVersion === GUARD_VERSION ? ", write guard" : "";
    add("file", "ok", `${bytesText(bytes)}, pages of ${header.pageSize} B, ${mode}${guard}`);
    if (isReplica && writeVersion !== GUARD_VERSION) {
      add("guard", "note", "no replica's file yet: taken if it shares pages with the upstream");
    }
  }
}

function lookAtPlace(
  seen: Inspection,
  database: DatabaseOptions,
  machine: Machine,
  add: Add,
): void {
  const folder = seen.path.slice(0, seen.path.lastIndexOf("/")) || "/";
  const place = machine.place(folder);
  if (place === undefined) {
    add("directory", "bad", `"${folder}" does not exist`, `Make the directory "${folder}".`);
    return;
  }
  const { unsafe, freeBytes } = place;
  if (unsafe !== undefined && !database.allowNetworkFilesystem) {
    add(
      "file system",
      "bad",
      `${unsafe}, where SQLite's locks may not work`,
      `Move "${seen.path}" to a local disk, or set allow-network-filesystem: true if only this ` +
        "machine uses it.",
    );
  } else add("file system", "ok", `${unsafe ?? "local"}, ${bytesText(freeBytes)} free`);
  const least = Math.max(LEAST_FREE_BYTES, Math.round((seen.bytes ?? 0) / 10));
  if (freeBytes < least) {
    add(
      "space",
      "bad",
      `${bytesText(freeBytes)} free`,
      `Make room in "${folder}": ${bytesText(least)} or more for the log.`,
    );
  }
  const closed = [folder, seen.path, `${seen.path}-wal`, `${seen.path}-shm`].filter((path) =>
    machine.isClosed(path)
  );
  if (closed.length === 0) add("permissions", "ok", `user ${machine.user} may write all files`);
  else {
    add(
      "permissions",
      "bad",
      `user ${machine.user} may not write ${closed.map((path) => `"${path}"`).join(", ")}`,
      `Run the node as the owner of "${seen.path}", the application's user, or give it these rights.`,
    );
  }
  const owner = machine.ownerOf(seen.path);
  if (owner !== undefined && owner !== machine.user && machine.user !== 0) {
    add(
      "owner",
      "note",
      `the file is user ${owner}'s: -wal and -shm that the node makes may be closed to it`,
    );
  }
}

function lookAtUse({ pids, bytes }: Inspection, add: Add): void {
  if (bytes === undefined) return;
  const names = pids.map(named);
  add("processes", "ok", names.length === 0 ? "none that this user can see" : names.join(", "));
}

function lookAtLog({ log, oldest, header }: Inspection, database: DatabaseOptions, add: Add): void {
  if (log === undefined || header === undefined) return;
  const { bytes, frames, backfilled } = log;
  const text = `${bytesText(bytes)}, ${frames} frames, ${backfilled} checkpointed`;
  const isLong = isTooLong(frames, database.maxCheckpointPageCount);
  if (oldest === undefined) {
    add("log", isLong ? "note" : "ok", text);
    return;
  }
  const who = oldest.pids.map(named).join(", ");
  const reader = `the oldest reader, ${who}, is at frame ${oldest.frame}`;
  if (!isLong) add("log", "note", `${text}; ${reader}`);
  else {add(
      "log",
      "bad",
      `${text}; ${reader}`,
      `End the transaction of ${who}: it holds the log up.`,
    );}
}

/** Of a list, one that is away is worth a note, as long as another one answers. */
async function lookAtUpstreams(
  database: DatabaseOptions,
  seen: Inspection,
  version: string,
  machine: Machine,
  add: Add,
): Promise<void> {
  const { upstream } = database;
  if (upstream?.others === undefined) {
    return await lookAtUpstream(database, seen, version, machine, add);
  }
  const all = [upstream, ...upstream.others];
  const failing = new Set<string>();
  for (const { url, path } of all) {
    const noted: Add = (what, level, text, action) => {
      if (level !== "bad") return add(what, level, text, action);
      failing.add(`${url}${path}`);
      add(what, "note", text);
    };
    await lookAtUpstream(
      { ...database, upstream: { ...upstream, url, path } },
      seen,
      version,
      machine,
      noted,
    );
  }
  if (failing.size < all.length) return;
  const action = `Start one of ${[...failing].join(", ")}, or correct upstream.url.`;
  add("upstream", "bad", "none of them can be followed", action);
}

async function lookAtUpstream(
  database: DatabaseOptions,
  seen: Inspection,
  version: string,
  machine: Machine,
  add: Add,
): Promise<void> {
  const { upstream } = database;
  if (upstream === undefined) return;
  let node: NodeAddress = upstream;
  let status: StatusJson;
  try {
    const settings = { url: "upstream.url", ca: "upstream.ca" };
    node = { url: upstream.url, settings, ...upstreamAccess(upstream) };
    status = await askStatus(node);
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    const action = codeOf(error) === "unauthorized"
      ? `Set upstream.token to the auth.token of ${node.url}.`
      : `Start the node at ${node.url}, open its port to this machine, or correct upstream.url.`;
    add("upstream", "bad", error.message, action);
    return;
  }
  const ms = await roundTripMs(node, systemClock);
  const trip = ms === undefined ? "" : `, round trip ${ms.toFixed(1)} ms`;
  add(
    "upstream",
    status.version === version ? "ok" : "note",
    `version ${status.version ?? "?"} at ${node.url}${trip}`,
  );
  const there = status.databases?.find(({ path }) => path === upstream.path);
  if (there === undefined) {
    const paths = (status.databases ?? []).map(({ path }) => path ?? "?").join(", ");
    add(
      "upstream",
      "bad",
      `serves no "${upstream.path}"; it has ${paths}`,
      `Correct upstream.path of "${database.path}": ${paths}.`,
    );
    return;
  }
  const needs = (there.pageCount ?? 0) * (there.pageSize ?? 0);
  const free = machine.place(seen.path.slice(0, seen.path.lastIndexOf("/")) || "/")?.freeBytes ?? 0;
  if (seen.bytes === undefined && free < needs + LEAST_FREE_BYTES) {
    add(
      "space",
      "bad",
      `the first copy has ${bytesText(needs)}, and ${bytesText(free)} are free`,
      `Make room for ${bytesText(needs + LEAST_FREE_BYTES)} at "${seen.path}".`,
    );
  }
}

function lookAtState(running: StatusJson | undefined, { path }: DatabaseOptions, add: Add): void {
  if (running === undefined) return;
  const database = running.databases?.find((one) => one.path === path);
  if (database === undefined) {
    add(
      "node",
      "bad",
      "the running node does not have it",
      "Let the node read this config: SIGHUP, or restart it.",
    );
    return;
  }
  const { state = "?", reason, upstream } = database;
  const lag = upstream?.lag?.ms ?? 0;
  const text = `${state}${lag > 0 ? `, lags ${lag} ms` : ""}`;
  if (reason === undefined) add("node", "ok", text);
  else if (state === "failed") add("node", "bad", `${text}: ${reason}`, reason);
  else add("node", "note", `${text}: ${reason}`);
}

function named(pid: number): string {
  return `${processName(pid) ?? "process"} (${pid})`;
}
