/**
 * What a replica tells of itself, as JSON, and what it is told of those above. Pure. May import: base/,
 * changes/, node/status.
 * @module
 */
import { formatWords, parseWords } from "../base/bytes.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import { formatTxid, isId, parseEpoch, parseTxid } from "../base/types.ts";
import type { Beat } from "../changes/records.ts";
import type { Report } from "../changes/source.ts";
import { type Above, MAX_ABOVE } from "../changes/tree.ts";
import type { UpstreamStatus } from "../node/status.ts";

export const MAX_REPORT_BYTES = 1000;
/** Of a list of them. */
export const MAX_REPORTS_BYTES = 65_536;
/** Of the answer: a chain of 32 hops is longer than a report. */
export const MAX_ANSWERS_BYTES = 8 * MAX_REPORTS_BYTES;

/** A report in a list: of which database up there, and by whom. */
export interface Told {
  /** The upstream's. */
  readonly path: string;
  /** 16 hex digits. */
  readonly replica: string;
  readonly report: Report;
}

/** One that is sent. */
export interface Telling extends Told {
  /** It as an entry of a list, JSON. */
  readonly text: string;
}

/** A database that takes reports. */
export interface Reported {
  readonly options: { readonly path: string };
  readonly chain: readonly string[];
  readonly downstreams: { report(id: string, report: Report): void };
  /** Where it is, if there is a stream to that replica. */
  beat(replica: string): Beat | undefined;
}

/** What is answered to a report in a list. */
export interface Answer {
  /** The ids of the databases that the one up there follows, itself first; "" if it is not there. */
  readonly chain: string;
  readonly beat?: Beat;
}

export function formatReport(report: Report): string {
  return JSON.stringify(jsonOf(report));
}

export function telling({ path, replica, report }: Told): Telling {
  const text = JSON.stringify({ path, replica, ...jsonOf(report) });
  return { path, replica, report, text };
}

/** At most MAX_REPORTS_BYTES if it has fits() of them. */
export function formatReports(all: readonly Telling[]): string {
  return `[${all.map(({ text }) => text).join()}]`;
}

/** How many, from the first on, have room in one list; one always has. */
export function fits(all: readonly Telling[]): number {
  let bytes = 2;
  for (const [nth, { text }] of all.entries()) {
    bytes += bytesOf(text) + 1;
    if (bytes > MAX_REPORTS_BYTES) return Math.max(1, nth);
  }
  return all.length;
}

/** @throws {LiveError} "bad_request". */
export function parseReport(text: string): Report {
  return reading(() => reportOf(JSON.parse(text)));
}

/**
 * Hands each report of a list to its database; one that is not here is left out. Returns the answer to
 * each, in order. `beats`: who asks needs no heartbeats if it is told so.
 * @throws {LiveError} "bad_request", and then none was handed on.
 */
export function takeReports(
  text: string,
  databases: readonly Reported[],
  beats: boolean,
): Answer[] {
  const all = reading(() => {
    const list: unknown = JSON.parse(text);
    if (!Array.isArray(list)) throw new TypeError("must be a list");
    return list.map(toldOf);
  });
  const byPath = new Map(databases.map((database) => [database.options.path, database]));
  return all.map(({ path, replica, report }) => {
    const database = byPath.get(path);
    database?.downstreams.report(replica, report);
    const beat = beats ? database?.beat(replica) : undefined;
    return { chain: database?.chain.join() ?? "", ...(beat && { beat }) };
  });
}

/** Chains alone for who did not ask for more: so it was before there were beats. */
export function formatAnswers(answers: readonly Answer[], beats: boolean): string {
  return JSON.stringify(answers.map(({ chain, beat }) => {
    if (!beats) return chain;
    return beat === undefined ? { chain } : {
      chain,
      epoch: beat.epoch,
      txid: formatTxid(beat.txid),
      hash: formatWords(beat.hash),
      staleMs: beat.staleMs,
    };
  }));
}

/** Of this or an older upstream. @throws {LiveError} "upstream". */
export function parseAnswers(text: string): Answer[] {
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list)) return list.map(answerOf);
  } catch { /* below */ }
  throw new LiveError("upstream", "The answer to reports is no list of what it should be");
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

/** In UTF-8; nearly all are ASCII, which is not copied to be measured. */
function bytesOf(text: string): number {
  // deno-lint-ignore no-control-regex
  return /^[\x00-\x7f]*$/.test(text) ? text.length : new TextEncoder().encode(text).length;
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

function answerOf(answer: unknown): Answer {
  if (typeof answer === "string") return { chain: answer };
  const { chain, epoch, txid, hash, staleMs } = answer as Record<string, unknown>;
  if (epoch === undefined) return { chain: String(chain) };
  const words = parseWords(String(hash));
  if (words === undefined) throw new TypeError("hash must be 16 hex digits");
  if (typeof staleMs !== "number" || !(staleMs >= 0)) {
    throw new TypeError("staleMs must be a number");
  }
  const beat = {
    epoch: parseEpoch(String(epoch)),
    txid: parseTxid(String(txid)),
    hash: words,
    staleMs,
  };
  return { chain: String(chain), beat };
}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new LiveError("bad_request", `Cannot read the report: ${messageOf(error)}`);
  }
}
