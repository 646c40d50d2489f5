/**
 * When to checkpoint, and when a log that begins anew is the one we expected. Rules only, pure
 * functions: node/ does what they say. May import: base/.
 *
 * The one invariant they guard: every frame <= nBackfill has been read, or the log is pinned. A log
 * can restart only at mxFrame == nBackfill, and only a holder of CKPT (we) raises nBackfill; so no
 * frame is overwritten before it was read. While CKPT is lent, node/lending guards it.
 * @module
 */

export interface LogState {
  /** Last committed frame. */
  readonly mxFrame: number;
  readonly backfilled: number;
  /** Frames without a checksum are in it: a crash would lose them, and all that follows. */
  readonly fragile?: boolean;
}

export interface CheckpointLimits {
  /** Frames from which a pass is made. */
  readonly soft: number;
  /** Frames from which the write lock may be taken for a moment; 0 = never. */
  readonly hard: number;
}

/** So few new frames are not worth two fsyncs. */
const WORTH_A_PASS = 250;
/** The gap that a pass leaves when the application commits meanwhile, small enough to try at once. */
const SMALL_GAP = 32;
/** Small enough to be backfilled under the write lock. */
const TAIL_UNDER_LOCK = 64;
/** Times the hard limit. */
const LEND_AT = 4;
const TOO_LONG = 8;

/** How often the commits of a fragile log are brought to safety, ms. */
const FRAGILE_MS = 100;

export type PassReason = "limit" | "rest" | "interval" | "fragile";

/** Why a checkpoint pass is due now, or undefined. `quietMs`: since the last commit seen. */
export function passDue(
  log: LogState,
  limits: CheckpointLimits,
  quietMs: number,
  sincePassMs: number,
  intervalMs: number,
): PassReason | undefined {
  const waiting = log.mxFrame - log.backfilled;
  if (waiting <= 0) return undefined;
  if (log.mxFrame >= limits.soft) {
    if (waiting >= Math.min(WORTH_A_PASS, limits.soft)) return "limit";
    if (quietMs >= 500) return "rest";
  }
  if (log.fragile === true && sincePassMs >= FRAGILE_MS) return "fragile";
  return sincePassMs >= intervalMs && quietMs >= 500 ? "interval" : undefined;
}

/** After a pass: the writer committed in between, and one more small pass may reach the end. */
export function worthAnotherPass(log: LogState, limits: CheckpointLimits, done: number): boolean {
  const waiting = log.mxFrame - log.backfilled;
  return log.mxFrame >= limits.soft && waiting > 0 && waiting <= SMALL_GAP && done < 6;
}

/** Past the hard limit: passes first, at most three, until the tail is short enough for the lock. */
export function mayTakeWriteLock(log: LogState, limits: CheckpointLimits): boolean {
  return limits.hard > 0 && log.mxFrame >= limits.hard;
}

/** So long that something stands in its way, which somebody has to end. */
export function isTooLong(frames: number, hard: number): boolean {
  return hard > 0 && frames > TOO_LONG * hard;
}

/** Long enough that others may checkpoint it, too: a backup that is in the way waits for just that. */
export function mayBeLent(frames: number, hard: number): boolean {
  return hard > 0 && frames > LEND_AT * hard;
}

export function tailIsShort(log: LogState): boolean {
  return log.mxFrame - log.backfilled <= TAIL_UNDER_LOCK;
}

/**
 * True if a log with new salts is the application's own restart of the log we have read to its end: all
 * we know of is backfilled by us and read, and SQLite counted salt1 up. A log that was empty (never
 * had a frame) may draw both salts anew. It may also have been empty for a moment that nobody saw: a
 * writer restarts the log, then rolls back or dies, and the next one draws both salts; its WAL header
 * then has the checkpoint sequence 0 of a connection that never restarted or recovered a log.
 */
export function expectedRestart(
  before: { readonly salt1: number; readonly last: number; readonly backfilled: number },
  after: { readonly salt1: number; readonly sequence: number | undefined },
): boolean {
  if (before.last !== before.backfilled) return false;
  if (before.last === 0 || after.salt1 === ((before.salt1 + 1) >>> 0)) return true;
  return after.sequence === 0;
}
