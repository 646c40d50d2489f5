/**
 * Which histories a history goes on from. A promotion begins a new epoch with the content of the old
 * one's last transaction that was there, and the txids go on: so a place of the old epoch, up to that
 * transaction, is a place of the new one, too. Values only. May import: base/.
 *
 * An *ancestor* is a position: an epoch, and the last transaction of it that the new history shares.
 * Txid 0: it descends from that epoch, but nobody knows from where.
 * @module
 */
import { LiveError } from "./errors.ts";
import { type Epoch, formatPosition, parsePosition, type Position, txid } from "./types.ts";

/** Promotions that are remembered; who is further behind compares hashes. */
export const MAX_ANCESTORS = 8;

export interface Lineage {
  readonly epoch: Epoch;
  /** Newest first. */
  readonly ancestors: readonly Position[];
}

/** Where `at` is in the history of `lineage`, or undefined if that does not go through it. */
export function placeIn(at: Position, { epoch, ancestors }: Lineage): Position | undefined {
  if (at.epoch === epoch) return at;
  const shared = ancestors.find((ancestor) => ancestor.epoch === at.epoch);
  return shared !== undefined && at.txid <= shared.txid ? { epoch, txid: at.txid } : undefined;
}

/** The ancestors of a history that begins at `parent`, which has `ancestors` itself. */
export function descend(parent: Position, ancestors: readonly Position[]): readonly Position[] {
  const older = ancestors.map(({ epoch, txid: shared }) => ({
    epoch,
    txid: txid(Math.min(shared, parent.txid)),
  }));
  return [parent, ...older].slice(0, MAX_ANCESTORS);
}

/** True if `lineage` goes on from `epoch`, so that `epoch` is over. */
export function supersedes({ ancestors }: Pick<Lineage, "ancestors">, epoch: Epoch): boolean {
  return ancestors.some((ancestor) => ancestor.epoch === epoch);
}

/** "epoch/txid,epoch/txid"; empty without ancestors. */
export function formatAncestors(ancestors: readonly Position[]): string {
  return ancestors.map(formatPosition).join();
}

/** @throws {LiveError} "bad_request". */
export function parseAncestors(text: string): readonly Position[] {
  const parts = text === "" ? [] : text.split(",");
  if (parts.length <= MAX_ANCESTORS) return parts.map(parsePosition);
  throw new LiveError("bad_request", `More than ${MAX_ANCESTORS} ancestors`);
}
