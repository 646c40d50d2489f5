/**
 * What the dashboard makes of /status and /events: words, shapes, history. Pure. These functions run
 * in the browser: http/page sends the source of all that are exported, so each may use only
 * these and http/page_view, and no constant outside itself. May import: nothing.
 * @module
 */

export interface ReplicaJson {
  /** Absent: a replica of a replica. */
  readonly id?: string;
  readonly address: string;
  readonly connected: boolean;
  readonly epoch: string;
  readonly applied: string;
  readonly lagMs?: number;
  readonly silentMs: number;
  readonly replicas?: readonly ReplicaJson[];
}

export interface AboveJson {
  readonly url: string;
  readonly path: string;
  readonly connected: boolean;
}

export interface DatabaseJson {
  readonly path: string;
  readonly role: string;
  readonly state: string;
  readonly reason?: string;
  readonly trouble?: string;
  readonly epoch?: string;
  readonly txid?: string;
  readonly pageSize?: number;
  readonly pageCount?: number;
  readonly upstream?: {
    readonly url: string;
    readonly path: string;
    readonly connected: boolean;
    readonly txid?: string;
    readonly lag: { readonly txids: number; readonly bytes: number; readonly ms: number };
    readonly progress?: { readonly doneBytes: number; readonly totalBytes: number };
    readonly error?: string;
    readonly above?: readonly AboveJson[];
  };
  readonly replicas: readonly ReplicaJson[];
  readonly counters?: { readonly walBytes: number };
}

export interface StatusJson {
  readonly version: string;
  readonly uptimeMs: number;
  readonly databases: readonly DatabaseJson[];
}

export interface EventJson {
  readonly event: string;
  readonly time: string;
  readonly path?: string;
  readonly [field: string]: unknown;
}

/** Never told by colour alone: each has its own shape and comes with a word. */
export type Shape = "ok" | "warn" | "bad" | "busy" | "gone";

export interface Mark {
  readonly shape: Shape;
  readonly word: string;
}

/** One look at a database; undefined is not known, and a gap in the chart. */
export interface Sample {
  /** Monotonic, ms. */
  readonly at: number;
  /** Of a replica, or for a primary of its slowest replica, ms. */
  readonly lag: number | undefined;
  /** Transactions a second since the sample before. */
  readonly rate: number | undefined;
  /** Bytes of WAL frames a second since the sample before. */
  readonly bytes: number | undefined;
  readonly epoch: string | undefined;
  readonly txid: number | undefined;
  readonly walBytes: number | undefined;
}

export type History = Map<string, Sample[]>;

/** What the charts show, ms. */
export function historyMs(): number {
  return 5 * 60 * 1000;
}

/** "0.4 s", "12 s", "3 min", "2 h 5 min", "4 d 1 h" */
export function ageText(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** "0 ms", "850 ms", then as ageText(). */
export function lagText(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : ageText(ms);
}

export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value < 10 && unit > 0 ? Math.round(value * 10) / 10 : Math.round(value)} ${
    units[unit]
  }`;
}

export function countText(value: number): string {
  return value < 10 && value % 1 !== 0 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
}

/** 16 hex digits as a number, which a txid always fits into. */
export function txidNumber(hex: string | undefined): number | undefined {
  return hex === undefined ? undefined : parseInt(hex, 16);
}

export function txidText(hex: string | undefined): string {
  const value = txidNumber(hex);
  return value === undefined ? "–" : value.toLocaleString("en");
}

export function databaseMark(database: DatabaseJson): Mark {
  const { state, trouble, upstream } = database;
  if (state === "failed") return { shape: "bad", word: "failed" };
  if (state !== "serving" && state !== "streaming") return { shape: "busy", word: state };
  if (trouble !== undefined) return { shape: "warn", word: `${state}, with trouble` };
  if ((upstream?.lag.ms ?? 0) > 5000) return { shape: "warn", word: `${state}, late` };
  return { shape: "ok", word: state };
}

/** Transactions that a replica has not applied; undefined across epochs. */
export function behind(database: DatabaseJson, replica: ReplicaJson): number | undefined {
  const ours = txidNumber(database.txid);
  if (ours === undefined || database.epoch !== replica.epoch) return undefined;
  return Math.max(0, ours - parseInt(replica.applied, 16));
}

/** They and all that follow them. */
export function withAll(replicas: readonly ReplicaJson[]): ReplicaJson[] {
  return replicas.flatMap((one) => [one, ...withAll(one.replicas ?? [])]);
}

export function replicaMark(database: DatabaseJson, replica: ReplicaJson): Mark {
  if (!replica.connected) return { shape: "gone", word: "gone" };
  const count = behind(database, replica);
  if (count === undefined) return { shape: "busy", word: "catching up" };
  if ((replica.lagMs ?? 0) > 5000) return { shape: "warn", word: "connected, late" };
  return { shape: "ok", word: "connected" };
}

/** The worst first, as a sentence for the top of the page. */
export function summary(status: StatusJson): Mark {
  const marks = status.databases.map(databaseMark);
  const total = marks.length;
  const noun = total === 1 ? "database" : "databases";
  const ofAll = (shape: Shape): number => marks.filter((mark) => mark.shape === shape).length;
  const failed = ofAll("bad");
  const troubled = ofAll("warn");
  const busy = ofAll("busy");
  if (failed > 0) return { shape: "bad", word: `${failed} of ${total} ${noun} failed` };
  if (troubled > 0) return { shape: "warn", word: `${troubled} of ${total} ${noun} with trouble` };
  if (busy > 0) return { shape: "busy", word: `${busy} of ${total} ${noun} not live yet` };
  const gone = status.databases.flatMap(({ replicas }) => withAll(replicas))
    .filter((one) => !one.connected);
  const replicas = gone.length === 1 ? "replica" : "replicas";
  const and = gone.length === 0 ? "" : `, ${gone.length} ${replicas} gone`;
  return { shape: "ok", word: `${total} ${noun} live${and}` };
}

/** ms: of a replica its own, of a primary that of its slowest connected replica. */
export function lagOf(database: DatabaseJson): number | undefined {
  if (database.role === "replica") return database.upstream?.lag.ms;
  const told = database.replicas.filter(({ connected }) => connected)
    .map(({ lagMs }) => lagMs).filter((ms) => ms !== undefined);
  return told.length === 0 ? undefined : Math.max(...told);
}

/** Of a count that grows, and begins anew with the process. */
export function perSecond(
  before: number | undefined,
  now: number | undefined,
  ms: number,
): number | undefined {
  if (before === undefined || now === undefined || now < before || ms <= 0) return undefined;
  return (now - before) * 1000 / ms;
}

/** One more sample of every database; undefined where the node did not answer. */
export function remember(history: History, status: StatusJson | undefined, at: number): void {
  for (const database of status?.databases ?? []) {
    const samples = history.get(database.path) ?? [];
    history.set(database.path, samples);
    const last = samples[samples.length - 1];
    const txid = txidNumber(database.txid);
    const known = last !== undefined && last.epoch === database.epoch && at > last.at;
    const rate = known && last.txid !== undefined && txid !== undefined
      ? Math.max(0, (txid - last.txid) * 1000 / (at - last.at))
      : undefined;
    const walBytes = database.counters?.walBytes;
    const bytes = perSecond(last?.walBytes, walBytes, at - (last?.at ?? at));
    const { epoch } = database;
    samples.push({ at, lag: lagOf(database), rate, bytes, epoch, txid, walBytes });
  }
  const paths = status?.databases.map(({ path }) => path);
  for (const [path, samples] of history) {
    if (paths === undefined) {
      const none = undefined;
      const gap = { lag: none, rate: none, bytes: none, epoch: none, txid: none, walBytes: none };
      samples.push({ at, ...gap });
    }
    while (samples.length > 0 && samples[0]!.at < at - historyMs()) samples.shift();
    if (paths?.includes(path) === false) history.delete(path);
  }
}

/** The top of a scale: 1, 2 or 5 times a power of ten. */
export function scaleTop(values: readonly (number | undefined)[], least: number): number {
  const most = Math.max(least, ...values.map((value) => value ?? 0));
  const power = 10 ** Math.floor(Math.log10(most));
  for (const step of [1, 2, 5]) if (most <= step * power) return step * power;
  return 10 * power;
}

/** A line for an SVG path in a box of `width` and `height`; what is not known is a gap. */
export function linePath(
  points: readonly { readonly at: number; readonly value: number | undefined }[],
  box: {
    readonly now: number;
    readonly top: number;
    readonly width: number;
    readonly height: number;
  },
): string {
  const { now, top, width, height } = box;
  let path = "";
  let pen = false;
  for (const { at, value } of points) {
    if (value === undefined) {
      pen = false;
      continue;
    }
    const x = width * (1 - (now - at) / historyMs());
    const y = height * (1 - Math.min(1, value / top));
    path += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    if (!pen) path += `h.1`; // one point alone is a dot
    pen = true;
  }
  return path;
}

/** Positions come ten times a second: the charts show them. */
export function isNews({ event }: EventJson): boolean {
  return !["position", "keep-alive"].includes(event);
}

/** A sentence. */
export function eventText(event: EventJson): string {
  const text = (name: string): string => String(event[name] ?? "");
  const why = text("trouble") || text("reason");
  if (event.event === "snapshot") return "this page listens to the node";
  if (event.event === "state") {
    const from = text("from");
    const change = from === text("state") ? text("state") : `${from} → ${text("state")}`;
    return why === "" ? change : `${change}: ${why}`;
  }
  if (event.event === "replica") return `replica ${text("address")} ${text("change")}`;
  if (event.event === "repair") {
    return Number(event["pages"]) === 1 ? "1 page repaired" : `${text("pages")} pages repaired`;
  }
  if (event.event === "added") return "database added";
  if (event.event === "removed") return "database removed";
  return text("message") || event.event;
}

export function eventMark(event: EventJson): Mark {
  const { event: kind } = event;
  if (kind === "error" || event["state"] === "failed") return { shape: "bad", word: "problem" };
  if (event["change"] === "gone") return { shape: "gone", word: "gone" };
  if (event["trouble"] !== undefined || kind === "repair") return { shape: "warn", word: "notice" };
  const live = ["serving", "streaming"].includes(String(event["state"]));
  if (kind === "state" && !live) return { shape: "busy", word: "not live" };
  return { shape: "ok", word: "fine" };
}
