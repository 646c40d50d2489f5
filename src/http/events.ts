/**
 * What changes on a node, as it changes: /events. Views of a status and their difference are pure; the
 * generator looks while somebody listens. May import: base/, node/status.
 *
 *     snapshot | position, state, replica, repair, added, removed ... | keep-alive
 *
 * Invariants: without a client nothing runs. A client costs one view of the node, the one it was told
 * last: what happens while it does not read becomes one event of each kind, however long that takes.
 * Looks are shared by all clients, and take at most a tenth of the time.
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import type { Env } from "../base/env.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import { formatTxid, type Txid } from "../base/types.ts";
import type { DatabaseStatus, NodeStatus } from "../node/status.ts";

/** Between two looks: so many events a second of one kind and database are the most. */
export const LOOK_MS = 100;
/** A look that took long is followed by so many times its duration. */
const LOOK_SHARE = 10;
/** Silence after which a client hears that there is nothing new. */
export const KEEP_ALIVE_MS = 5000;
export const MAX_CLIENTS = 100;

/** A replica, smaller than /status tells it: what moves with each report is left out. */
interface ReplicaView {
  readonly id: string;
  readonly address: string;
  readonly connected: boolean;
}

/** A database, smaller than /status tells it. */
export interface DatabaseView {
  readonly path: string;
  readonly role: string;
  readonly state: string;
  readonly reason?: string;
  readonly trouble?: string;
  readonly epoch?: string;
  readonly txid?: Txid;
  /** Bytes of WAL frames read or written since the process started. */
  readonly walBytes: number;
  readonly sizeBytes?: number;
  readonly repairs: number;
  readonly repairedPages: number;
  readonly replicas: readonly ReplicaView[];
}

export interface NodeView {
  readonly version: string;
  readonly uptimeMs: number;
  readonly databases: readonly DatabaseView[];
}

/** One line; `event` is its kind, `path` the database that it is about. */
export interface LiveEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

export function viewOf(database: DatabaseStatus): DatabaseView {
  const { path, role, state, reason, trouble, epoch, txid, counters } = database;
  const { pageSize, pageCount, replicas } = database;
  return {
    path,
    role,
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(trouble === undefined ? {} : { trouble }),
    ...(epoch === undefined || txid === undefined ? {} : { epoch, txid }),
    walBytes: counters.walBytes,
    ...(pageSize === undefined || pageCount === undefined
      ? {}
      : { sizeBytes: pageSize * pageCount }),
    repairs: counters.repairs,
    repairedPages: counters.repairedPages,
    replicas: replicas.map(({ id, address, connected }) => ({ id, address, connected })),
  };
}

/** What a client is told first. */
export function snapshotEvent(view: NodeView): LiveEvent {
  return { event: "snapshot", ...view, databases: view.databases.map(databaseJson) };
}

/** What a client that knows `before` has to be told; empty if nothing. */
export function eventsBetween(before: NodeView, now: NodeView): LiveEvent[] {
  if (before.databases === now.databases) return [];
  const known = new Map(before.databases.map((database) => [database.path, database]));
  const events: LiveEvent[] = [];
  for (const database of now.databases) {
    const old = known.get(database.path);
    known.delete(database.path);
    if (old === database) continue;
    if (old === undefined) events.push({ event: "added", ...databaseJson(database) });
    else events.push(...databaseEvents(old, database));
  }
  for (const path of known.keys()) events.push({ event: "removed", path });
  return events;
}

function databaseEvents(before: DatabaseView, now: DatabaseView): LiveEvent[] {
  const { path } = now;
  const events: LiveEvent[] = [];
  if (standing(before) !== standing(now)) {
    const { role, state, reason, trouble } = now;
    events.push({ event: "state", path, role, state, from: before.state, reason, trouble });
  }
  if (before.repairs !== now.repairs) {
    const pages = since(before.repairedPages, now.repairedPages);
    events.push({ event: "repair", path, repairs: since(before.repairs, now.repairs), pages });
  }
  if (now.txid !== undefined && (before.txid !== now.txid || before.epoch !== now.epoch)) {
    const same = before.epoch === now.epoch && before.txid !== undefined;
    events.push({
      event: "position",
      path,
      epoch: now.epoch,
      txid: formatTxid(now.txid),
      commits: same ? now.txid - before.txid! : undefined,
      bytes: since(before.walBytes, now.walBytes),
      sizeBytes: now.sizeBytes,
    });
  }
  return [...events, ...replicaEvents(before, now)];
}

function replicaEvents(before: DatabaseView, now: DatabaseView): LiveEvent[] {
  const known = new Map(before.replicas.map((replica) => [replica.id, replica]));
  const events: LiveEvent[] = [];
  for (const { id, address, connected } of now.replicas) {
    if (known.get(id)?.connected === connected) continue;
    const change = connected ? "connected" : "gone";
    events.push({ event: "replica", path: now.path, id, address, change });
  }
  return events;
}

/** Counts begin anew when a database is closed and opened with other options. */
function since(before: number, now: number): number {
  return now >= before ? now - before : now;
}

/** State and sentences without their numbers: "for 5 s" is no news of "for 4 s". */
function standing({ role, state, reason = "", trouble = "" }: DatabaseView): string {
  return `${role} ${state} ${reason} ${trouble}`.replaceAll(/\d+/g, "#");
}

function databaseJson({ txid, ...database }: DatabaseView): Record<string, unknown> {
  return { ...database, ...(txid === undefined ? {} : { txid: formatTxid(txid) }) };
}

/** The view before where nothing that is told has changed: then it need not be compared again. */
export function keepEqual(before: NodeView | undefined, now: NodeView): NodeView {
  if (before === undefined) return now;
  const known = new Map(before.databases.map((database) => [database.path, database]));
  const databases = now.databases.map((database) => {
    const old = known.get(database.path);
    return old !== undefined && databaseEvents(old, database).length === 0 ? old : database;
  });
  const same = databases.length === before.databases.length &&
    databases.every((database, nth) => database === before.databases[nth]);
  return { ...now, databases: same ? before.databases : databases };
}

export type Format = "ndjson" | "sse";

export const CONTENT_TYPE: Readonly<Record<Format, string>> = {
  ndjson: "application/x-ndjson",
  sse: "text/event-stream",
};

/** Lines, unless the client asks for server-sent events as EventSource does. */
export function formatOf(accept: string | undefined): Format {
  return /\btext\/event-stream\b/i.test(accept ?? "") ? "sse" : "ndjson";
}

export function encodeEvents(events: readonly LiveEvent[], format: Format, time: string): Bytes {
  const text = events.map(({ event, ...fields }) => {
    const line = JSON.stringify({ event, time, ...fields });
    return format === "sse" ? `event: ${event}\ndata: ${line}\n\n` : `${line}\n`;
  });
  return new TextEncoder().encode(text.join(""));
}

export interface EventsRequest {
  /** Absent: all databases. */
  readonly path?: string;
  readonly format: Format;
}

/** All who listen, and the one look that they share. */
export class Events {
  readonly #status: () => NodeStatus;
  readonly #env: Env;
  #clients = 0;
  #view: NodeView | undefined;
  #lookedAt = -Infinity;
  #pauseMs = LOOK_MS;

  constructor(status: () => NodeStatus, env: Env) {
    this.#status = status;
    this.#env = env;
  }

  get clients(): number {
    return this.#clients;
  }

  /** Call the result when the client has gone. @throws {LiveError} "busy". */
  enter(): () => void {
    if (this.#clients >= MAX_CLIENTS) {
      throw new LiveError("busy", `${MAX_CLIENTS} clients listen to events: no more here`);
    }
    this.#clients++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      if (--this.#clients === 0) this.#view = undefined;
    };
  }

  /** Pieces of a body, until `signal` aborts. Whoever asks late gets the difference, not a queue. */
  async *listen(request: EventsRequest, signal: AbortSignal): AsyncGenerator<Bytes> {
    const { clock, log } = this.#env;
    const encode = (events: readonly LiveEvent[]): Bytes =>
      encodeEvents(events, request.format, new Date(clock.now()).toISOString());
    try {
      let known = only(this.#take(), request.path);
      yield encode([snapshotEvent(known)]);
      let saidAt = clock.monotonic();
      while (!signal.aborted) {
        await clock.sleep(this.#pauseMs, signal);
        if (signal.aborted) return;
        const now = only(this.#look(), request.path);
        const events = eventsBetween(known, now);
        known = now;
        if (events.length === 0 && clock.monotonic() - saidAt < KEEP_ALIVE_MS) continue;
        const alive = { event: "keep-alive", uptimeMs: now.uptimeMs };
        yield encode(events.length === 0 ? [alive] : events);
        saidAt = clock.monotonic();
      }
    } catch (error) {
      log.error("events failed", { error: messageOf(error) });
      yield encode([{ event: "error", message: "A bug: the log says more" }]);
    }
  }

  /** Never older than what any client was told. */
  #look(): NodeView {
    const age = this.#env.clock.monotonic() - this.#lookedAt;
    if (this.#view === undefined || age >= this.#pauseMs / 2) this.#take();
    return this.#view!;
  }

  /** Looks now. The result is all new, and what is not news in it stays as it was for #look(). */
  #take(): NodeView {
    const { clock } = this.#env;
    const began = clock.monotonic();
    const { version, uptimeMs, databases } = this.#status();
    const fresh = { version, uptimeMs, databases: databases.map(viewOf) };
    this.#view = keepEqual(this.#view, fresh);
    this.#lookedAt = began;
    this.#pauseMs = Math.max(LOOK_MS, LOOK_SHARE * (clock.monotonic() - began));
    return fresh;
  }
}

/** What a client sees that asks for one database. */
function only(view: NodeView, path: string | undefined): NodeView {
  if (path === undefined) return view;
  return { ...view, databases: view.databases.filter((database) => database.path === path) };
}
