/**
 * What a replica tells of itself, as JSON, and what it is told of those above. Pure. May import: base/,
 * changes/, node/status.
 * @module
 */
import { LiveError, messageOf } from "../base/errors.ts";
import { formatTxid, isId, parseEpoch, parseTxid } from "../base/types.ts";
import type { Report } from "../changes/source.ts";
import { type Above, MAX_ABOVE } from "../changes/tree.ts";
import type { UpstreamStatus } from "../node/status.ts";

export const MAX_REPORT_BYTES = 1000;
/** Of a list of them. */
export const MAX_REPORTS_BYTES = 65_536;
/** Of the answer: a chain of 32 hops is longer than a report. */
export const MAX_CHAINS_BYTES = 4 * MAX_REPORTS_BYTES;

/** A report in a list: of which database up there, and by whom. */
export interface Told {
  /** The upstream's. */
  readonly path: string;
  /** 16 hex digits. */
  readonly replica: string;
  readonly report: Report;
}

/** A database that takes reports. */
export interface Reported {
  readonly options: { readonly path: string };
  readonly chain: readonly string[];
  readonly downstreams: { report(id: string, report: Report): void };
}

export function formatReport(report: Report): string {
  return JSON.stringify(jsonOf(report));
}

/** At most MAX_REPORTS_BYTES if it has fits() of them. */
export function formatReports(all: readonly Told[]): string {
  return JSON.stringify(all.map(entryOf));
}

/** How many, from the first on, have room in one list; one always has. */
export function fits(all: readonly Told[]): number {
  let bytes = 2;
  for (const [nth, told] of all.entries()) {
    bytes += new TextEncoder().encode(JSON.stringify(entryOf(told))).length + 1;
    if (bytes > MAX_REPORTS_BYTES) return Math.max(1, nth);
  }
  return all.length;
}

/** @throws {LiveError} "bad_request". */
export function parseReport(text: string): Report {
  return reading(() => reportOf(JSON.parse(text)));
}

/**
 * Hands each report of a list to its database; one that is not here is left out. Returns the chain of
 * each, in order. @throws {LiveError} "bad_request", and then none was handed on.
 */
export function takeReports(text: string, databases: readonly Reported[]): string[] {
  const all = reading(() => {
    const list: unknown = JSON.parse(text);
    if (!Array.isArray(list)) throw new TypeError("must be a list");
    return list.map(toldOf);
  });
  const byPath = new Map(databases.map((database) => [database.options.path, database]));
  return all.map(({ path, replica, report }) => {
    const database = byPath.get(path);
    database?.downstreams.report(replica, report);
    return database?.chain.join() ?? "";
  });
}

/** Whom this node follows, nearest first. */
export function aboveOf({ url, path, connected, above = [] }: UpstreamStatus): readonly Above[] {
  return [{ url, path, connected }, ...above].slice(0, MAX_ABOVE);
}

function jsonOf({ epoch, lagMs, received, durable, applied }: Report): Record<string, unknown> {
  return {
    epoch,
    lagMs,
    received: formatTxid(received),
    durable: formatTxid(durable),
    applied: formatTxid(applied),
  };
}

function entryOf({ path, replica, report }: Told): Record<string, unknown> {
  return { path, replica, ...jsonOf(report) };
}

function toldOf(entry: unknown): Told {
  const { path, replica } = entry as { path?: unknown; replica?: unknown };
  if (typeof path !== "string") throw new TypeError("path must be a string");
  if (typeof replica !== "string" || !isId(replica)) {
    throw new TypeError("replica must be 16 hex digits");
  }
  return { path, replica, report: reportOf(entry as Record<string, unknown>) };
}

function reportOf({ epoch, received, durable, applied, lagMs }: Record<string, unknown>): Report {
  return {
    ...(typeof lagMs === "number" && Number.isSafeInteger(lagMs) && lagMs >= 0 ? { lagMs } : {}),
    epoch: parseEpoch(String(epoch)),
    received: parseTxid(String(received)),
    durable: parseTxid(String(durable)),
    applied: parseTxid(String(applied)),
  };
}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new LiveError("bad_request", `Cannot read the report: ${messageOf(error)}`);
  }
}
