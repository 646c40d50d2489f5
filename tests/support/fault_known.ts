/**
 * Bugs that the fault tests have found and that are not cured yet: what provokes or checks them is left
 * out, so that the rest goes on. Delete the entry with the cure; `--all` ignores the list. May import:
 * nothing.
 * @module
 */

export type KnownBug =
  /** node/follow: an answer of an earlier connection is applied, and leads back to an older state. */
  | "late answer"
  /** node/replica: after a new epoch, a txid of the old one is reported as durable. */
  | "durable of an old epoch"
  /** wal/wal_index: a kill in restart(), before nBackfill is 0, leaves stale pages to readers. */
  | "kill in a log restart";

const KNOWN: readonly KnownBug[] = [];

let all = false;

/** From now on nothing is left out. */
export function leaveNothingOut(): void {
  all = true;
}

export function isKnown(bug: KnownBug): boolean {
  return !all && KNOWN.includes(bug);
}
