/**
 * The words of the design as types. Values only: no I/O, no state. May import: base/errors.
 *
 * A *position* is `epoch/txid`: a place in one unbroken history. The epoch is a random 64-bit id of
 * that history, the txid counts its commits. Both print as 16 hex digits.
 * @module
 */
import { LiveError } from "./errors.ts";

/** Transaction id, +1 per commit of the primary. A safe integer: 285 years at a million a second. */
export type Txid = number & { readonly brand: "Txid" };
/** SQLite page number, from 1. Index slot = pgno - 1. */
export type Pgno = number & { readonly brand: "Pgno" };
/** Random 64-bit id of one unbroken history, as 16 hex digits. Never all zeros. */
export type Epoch = string & { readonly brand: "Epoch" };
/** Random 64-bit id of a database, the same on a primary and all that replicate it; 16 hex digits. */
export type DatabaseId = string & { readonly brand: "DatabaseId" };

/** A place in a history. */
export interface Position {
  readonly epoch: Epoch;
  readonly txid: Txid;
}

/** SQLite's largest database: 2^32 - 2 pages. */
export const MAX_PGNO = 0xfffffffe;
/** Byte offset of SQLite's lock bytes; the page that holds them has no content and is never sent. */
export const PENDING_BYTE = 0x40000000;

/** @throws {RangeError} unless `value` is a safe integer >= 0. */
export function txid(value: number): Txid {
  if (Number.isSafeInteger(value) && value >= 0) return value as Txid;
  throw new RangeError(`Cannot use ${value} as a txid: must be a safe integer >= 0`);
}

export const ZERO_TXID: Txid = txid(0);

/** The page number that SQLite's lock bytes fall on, for one page size in bytes. */
export function lockPage(pageSize: number): Pgno {
  return (PENDING_BYTE / pageSize + 1) as Pgno;
}

const HEX16 = /^[0-9a-f]{16}$/;

/** An id as Random.id() makes them: 16 hex digits. */
export function isId(text: string): boolean {
  return HEX16.test(text);
}

export function formatTxid(value: Txid): string {
  return value.toString(16).padStart(16, "0");
}

/** "1f2e…/00…2a"; what logs, JSON, URLs and position files show. */
export function formatPosition(position: Position): string {
  return `${position.epoch}/${formatTxid(position.txid)}`;
}

/** @throws {LiveError} "bad_request" unless `text` is 16 hex digits within the safe integers. */
export function parseTxid(text: string): Txid {
  const value = HEX16.test(text) ? Number.parseInt(text, 16) : NaN;
  if (Number.isSafeInteger(value)) return value as Txid;
  throw new LiveError("bad_request", `Cannot read "${text}" as a txid: must be 16 hex digits`);
}

/** @throws {LiveError} "bad_request" unless `text` is 16 hex digits, not all zero. */
export function parseEpoch(text: string): Epoch {
  if (HEX16.test(text) && !/^0+$/.test(text)) return text as Epoch;
  throw new LiveError("bad_request", `Cannot read "${text}" as an epoch: must be 16 hex digits`);
}

/** @throws {LiveError} "bad_request" unless `text` is "epoch/txid". */
export function parsePosition(text: string): Position {
  const [epoch = "", id = "", ...rest] = text.split("/");
  if (rest.length > 0) {
    throw new LiveError("bad_request", `Cannot read "${text}" as a position: must be epoch/txid`);
  }
  return { epoch: parseEpoch(epoch), txid: parseTxid(id) };
}

export function samePosition(a: Position | undefined, b: Position | undefined): boolean {
  return a !== undefined && b !== undefined && a.epoch === b.epoch && a.txid === b.txid;
}
