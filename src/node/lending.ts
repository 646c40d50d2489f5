/**
 * Lends the checkpoint lock for a moment. A backup that stands in a read transaction (Litestream) is in
 * the way of every checkpoint of ours, and ends that transaction only for a checkpoint of its own, which
 * our lock refuses: the log would grow for ever. So others get their turn while a reader holds us up.
 * May import: base/, wal/, node/handle.
 *
 * Invariant: no frame is lost unseen. The log is pinned while CKPT is lent; the pin is let go only while
 * another process holds CKPT and WRITE, when all frames are read and backfilled: nobody can append then.
 * Should that process be two, a writer and a checkpointer, or should it restart the log twice before we
 * have looked, `change` of the header tells whether all commits were read (node/primary).
 * @module
 */
import type { Clock } from "../base/env.ts";
import type { ShmLock } from "../base/io.ts";
import type { DatabaseHandle } from "./handle.ts";

/** Longer than the second in which a backup looks whether a checkpoint is due. */
const LENT_MS = 1200;
/** Between looks for somebody who restarts the log: writers wait for us so long. */
const LOOK_MS = 5;
/** Who restarts the log waits for us. */
const SOON_MS = 1;

export interface Lender {
  readonly handle: DatabaseHandle;
  /** Last frame read. */
  readonly last: number;
  readonly isLost: boolean;
  /** Reads what was committed; false if it cannot be read just now. @throws {LiveError}: it is lost. */
  consume(): boolean;
  /** Reads up to frame `last`, which is committed. @throws {LiveError}. */
  readOn(last: number): Promise<void>;
  /** The log may restart from now on: all of it is backfilled and read. */
  letGo(): void;
  /** CKPT is ours again, the log is pinned, and what others backfilled is read. */
  settled(): void;
}

/** Lends CKPT for a second; resolves once it is ours again, or the opening is over. */
export async function lend(lender: Lender, clock: Clock): Promise<void> {
  const { handle } = lender;
  if (handle.working) return; // a recovery, which needs CKPT
  const pin = handle.walIndex.pin();
  if (pin === undefined) return;
  const held: Held = { pin };
  handle.lend();
  try {
    await letOthers(lender, held, clock);
    await takeBack(lender, held, clock);
  } finally {
    held.pin?.[Symbol.dispose]();
  }
}

interface Held {
  /** Undefined while the log may restart. */
  pin: ShmLock | undefined;
}

/** Until the log has been let go and restarted, or the time is over. */
async function letOthers(lender: Lender, held: Held, clock: Clock): Promise<void> {
  const until = clock.monotonic() + LENT_MS;
  while (!lender.isLost) {
    await letRestart(lender, held, clock);
    if (held.pin === undefined || clock.monotonic() >= until) return;
    await clock.sleep(LOOK_MS);
  }
}

/** Pinned before anything else: from then on the log is the same until it is read. */
async function takeBack(lender: Lender, held: Held, clock: Clock): Promise<void> {
  const { handle } = lender;
  for (;;) {
    await letRestart(lender, held, clock); // a pin that comes just then would be in its way
    if (lender.isLost) return;
    held.pin ??= handle.walIndex.pin(); // undefined if readers have all marks
    const ours = handle.reclaim(); // not while somebody checkpoints, as long as the disk takes
    if (ours && held.pin !== undefined) break;
    await clock.sleep(ours ? SOON_MS : LOOK_MS);
  }
  await lender.readOn(handle.backfilled());
  if (!lender.isLost) lender.settled();
}

/**
 * While somebody restarts the log: it has WRITE, so the application's writers wait, too. The pin must go
 * as soon as all is read, however late it is.
 */
async function letRestart(lender: Lender, held: Held, clock: Clock): Promise<void> {
  while (!lender.isLost && lender.handle.isRestarting()) {
    if (held.pin !== undefined && isDone(lender)) {
      lender.letGo();
      held.pin[Symbol.dispose]();
      held.pin = undefined;
    }
    await clock.sleep(SOON_MS);
  }
}

/** Who restarts the log has nothing to wait for but our pin. @throws {LiveError} of consume(). */
function isDone(lender: Lender): boolean {
  if (!lender.consume() || lender.isLost) return false;
  const header = lender.handle.walIndex.header();
  return header?.mxFrame === lender.last && lender.handle.backfilled() === lender.last;
}
