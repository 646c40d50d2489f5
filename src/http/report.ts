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
/** Numbers of a session: 0 to one less. */
export const MAX_NUMBERS = 10_000;
/** `[9999,9999],` and some. */
const MAX_RUN_BYTES = 16;
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

/** What a list says: a report, or that some are what was told under their numbers the last time. */
export type Item =
  | { readonly told: Told; readonly nth?: number }
  | { readonly first: number; readonly count: number };

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

/** An answer that is sent in a session: those that are not there are the same as the last time. */
export interface Numbered extends Answer {
  readonly nth?: number;
}

export function formatReport(report: Report): string {
  return JSON.stringify(jsonOf(report));
}

/** A list in the making: JSON of at most MAX_REPORTS_BYTES, though one report always has room. */
export class ListText {
  readonly #items: string[] = [];
  #bytes = 2;
  /** The last item, if it is numbers. */
  #run: { readonly first: number; count: number } | undefined;

  /** `told`: absent if that is what was told as `nth` the last time. False: there is no room. */
  add(nth: number, told?: Told): boolean {
    const run = this.#run;
    if (told === undefined && run !== undefined && run.first + run.count === nth) {
      run.count++;
      return true;
    }
    const item = told === undefined ? "" : itemText(nth, told);
    const bytes = told === undefined ? MAX_RUN_BYTES : bytesOf(item) + 1;
    if (this.#bytes > 2 && this.#bytes + bytes > MAX_REPORTS_BYTES) return false;
    this.#bytes += bytes;
    this.#endRun();
    if (told === undefined) this.#run = { first: nth, count: 1 };
    else this.#items.push(item);
    return true;
  }

  toString(): string {
    this.#endRun();
    return `[${this.#items.join()}]`;
  }

  #endRun(): void {
    if (this.#run !== undefined) this.#items.push(`[${this.#run.first},${this.#run.count}]`);
    this.#run = undefined;
  }
}

/** @throws {LiveError} "bad_request". */
export function parseReport(text: string): Report {
  return reading(() => reportOf(JSON.parse(text)));
}

/** @throws {LiveError} "bad_request". */
export function parseList(text: string): Item[] {
  return reading(() => {
    const list: unknown = JSON.parse(text);
    if (!Array.isArray(list)) throw new TypeError("must be a list");
    const items = list.map(itemOf);
    const count = items.reduce((sum, item) => sum + ("count" in item ? item.count : 1), 0);
    if (count > MAX_NUMBERS) throw new TypeError(`a list of ${count} reports`);
    return items;
  });
}

/** Hands a report to its database; undefined: it is not here. `beats`: the asker reads where that is. */
export function take(
  { replica, report }: Told,
  database: Reported | undefined,
  beats: boolean,
): Answer {
  database?.downstreams.report(replica, report);
  const beat = beats ? database?.beat(replica) : undefined;
  const chain = database?.chain.join() ?? "";
  return beat === undefined ? { chain } : { chain, beat };
}

/** Chains alone for who did not ask for more: so it was before there were beats. */
export function formatAnswers(answers: readonly Numbered[], beats: boolean): string {
  return JSON.stringify(answers.map(({ nth, chain, beat }) => {
    if (!beats) return chain;
    const number = nth === undefined ? {} : { nth };
    return beat === undefined ? { ...number, chain } : {
      ...number,
      chain,
      epoch: beat.epoch,
      txid: formatTxid(beat.txid),
      hash: formatWords(beat.hash),
      staleMs: beat.staleMs,
    };
  }));
}

/** Of this or an older upstream. @throws {LiveError} "upstream". */
export function parseAnswers(text: string): Numbered[] {
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

function itemText(nth: number, { path, replica, report }: Told): string {
  return JSON.stringify({ nth, path, replica, ...jsonOf(report) });
}

/** In UTF-8; nearly all are ASCII, which is not copied to be measured. */
function bytesOf(text: string): number {
  // deno-lint-ignore no-control-regex
  return /^[\x00-\x7f]*$/.test(text) ? text.length : new TextEncoder().encode(text).length;
}

function itemOf(item: unknown): Item {
  if (Array.isArray(item)) {
    const [first, count] = item;
    if (isNumber(first) && isNumber(count) && isNumber(first + count - 1)) return { first, count };
    throw new TypeError("numbers must be [first, count]");
  }
  const told = toldOf(item);
  const { nth } = item as { nth?: unknown };
  if (nth === undefined) return { told };
  if (!isNumber(nth)) throw new TypeError("nth must be a number");
  return { told, nth };
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < MAX_NUMBERS;
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

function answerOf(answer: unknown): Numbered {
  if (typeof answer === "string") return { chain: answer };
  const { nth, chain, epoch, txid, hash, staleMs } = answer as Record<string, unknown>;
  if (nth !== undefined && !isNumber(nth)) throw new TypeError("nth must be a number");
  const numbered = { ...(nth === undefined ? {} : { nth }), chain: String(chain) };
  if (epoch === undefined) return numbered;
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
  return { ...numbered, beat };
}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new LiveError("bad_request", `Cannot read the report: ${messageOf(error)}`);
  }
}
