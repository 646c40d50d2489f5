/**
 * A primary steps down for one of its replicas, without a lost transaction: the write guard is its last
 * one, the replica must have that, then it is promoted and followed. May import: base/, wal/, node/.
 *
 * Order: `history` says whom to follow, then the guard (which alone decides what a restart finds), then
 * the replica applies it, then it is promoted. What fails before that is undone. From the moment that
 * the promotion was asked for, and nobody knows whether it happened, nothing is undone: two primaries
 * are worse than none.
 * @module
 */
import type { Env } from "../base/env.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import type { ShmLock } from "../base/io.ts";
import { type DatabaseId, type Epoch, formatPosition, type Position } from "../base/types.ts";
import { SLOT } from "../wal/wal_index.ts";
import { writeGuard } from "./guard.ts";
import type { History, HistoryFile } from "./history_file.ts";
import type { UpstreamOptions } from "./options.ts";
import type { Primary } from "./primary.ts";
import type { Role } from "./status.ts";

/** A writer that never pauses leaves gaps of microseconds: many tries in a row, then its turn. */
const WRITE_LOCK = { ms: 5000, triesInARow: 100 } as const;
/** For the replica to apply what is left. */
const APPLY_MS = 10_000;
/** For the promotion, and to find out whether it happened. */
const PROMOTE_TRIES = 10;
const AGAIN_MS = 1000;

/** The node that is to be promoted; http/peer.ts is one. All throw a LiveError with a sentence. */
export interface Peer {
  readonly upstream: UpstreamOptions;
  look(): Promise<PeerState>;
  /** True if it has applied `at` within `ms`. */
  waitFor(at: Position, ms: number): Promise<boolean>;
  promote(): Promise<void>;
}

export interface PeerState {
  readonly role: Role;
  readonly id?: DatabaseId;
  readonly epoch?: Epoch;
}

export interface Demoted {
  /** The last transaction, which the promoted node has. */
  readonly position: Position;
  /** False: nobody knows whether it was promoted; it is followed all the same. */
  readonly promoted: boolean;
}

/** @throws {LiveError} why not: then `primary` goes on, and applications write again. */
export async function demote(
  primary: Primary,
  peer: Peer,
  history: HistoryFile,
  env: Env,
): Promise<Demoted> {
  await checkPeer(primary, peer);
  const before = history.value;
  const { promoted: _, ...rest } = before;
  let position: Position;
  try {
    history.save({ ...rest, demoted: peer.upstream, stepping: true });
    await setGuard(primary, true, env);
  } catch (error) {
    history.restore(before);
    throw error;
  }
  try {
    primary.consume();
    position = primary.position;
    env.log.info("the write guard is set: the last transaction", {
      position: formatPosition(position),
    });
    if (!await peer.waitFor(position, APPLY_MS)) {
      throw new LiveError("upstream", `the replica has not applied it within ${APPLY_MS / 1000} s`);
    }
    mustLive(primary);
  } catch (error) {
    throw await undone(primary, history, before, error, env);
  }
  const promoted = await promoteSurely(peer, env);
  if (promoted === "refused") {
    const error = new LiveError("upstream", "the replica was not promoted");
    throw await undone(primary, history, before, error, env);
  }
  const { stepping: __, ...done } = history.value;
  history.save(done);
  return { position, promoted: promoted === "promoted" };
}

async function checkPeer(primary: Primary, peer: Peer): Promise<void> {
  const { role, id, epoch } = await peer.look();
  const { url, path } = peer.upstream;
  const isOurs = role === "replica" && id === primary.id && epoch === primary.position.epoch;
  if (isOurs) return;
  const what = `${url}${path} is not a replica of this database that is up to date`;
  throw new LiveError("guard", `${what}: nothing is changed`);
}

/** One transaction of page 1. @throws {LiveError} "busy" if an application never stops writing. */
async function setGuard(primary: Primary, on: boolean, env: Env): Promise<void> {
  using _write = await takeWrite(primary, env);
  primary.consume();
  mustLive(primary);
  const { handle, index } = primary;
  const header = await handle.stableHeader(env.clock);
  await writeGuard({ handle, index, header }, on, env);
}

async function takeWrite(primary: Primary, env: Env): Promise<ShmLock> {
  const until = env.clock.monotonic() + WRITE_LOCK.ms;
  while (env.clock.monotonic() < until) {
    mustLive(primary);
    for (let tries = 0; tries < WRITE_LOCK.triesInARow; tries++) {
      const lock = primary.handle.walIndex.lock(SLOT.write, 1, "exclusive");
      if (lock !== undefined) return lock;
    }
    await env.clock.sleep(0);
  }
  const seconds = WRITE_LOCK.ms / 1000;
  throw new LiveError(
    "busy",
    `An application holds a write transaction for ${seconds} s: try again`,
  );
}

function mustLive(primary: Primary): void {
  if (primary.isLost) throw new LiveError("not_ready", "The database is being opened again");
}

async function undone(
  primary: Primary,
  history: HistoryFile,
  before: History,
  error: unknown,
  env: Env,
): Promise<unknown> {
  if (!(error instanceof LiveError)) return error; // a bug
  try {
    await setGuard(primary, false, env);
    history.restore(before);
  } catch (failed) {
    if (!(failed instanceof LiveError)) return failed; // a bug
    const how = "this database stays read-only; `litestream-live promote` makes it writable again";
    return new LiveError(
      "disk",
      `${error.message}, and undoing failed (${failed.message}): ${how}`,
    );
  }
  const what = "the guard is lifted again; a connection that has met it must be opened again";
  return new LiveError(error.code, `Not demoted: ${error.message}; ${what}`);
}

/** Whatever is lost on the way: asked until it is known. */
async function promoteSurely(
  peer: Peer,
  env: Env,
): Promise<"promoted" | "refused" | "unknown"> {
  let asked = false;
  for (let tries = 0; tries < PROMOTE_TRIES; tries++) {
    try {
      if (asked && (await peer.look()).role === "primary") return "promoted";
      asked = true;
      await peer.promote();
      return "promoted";
    } catch (error) {
      if (!(error instanceof LiveError)) throw error; // a bug
      if (error.code === "guard" || error.code === "unauthorized") return "refused";
      env.log.warn("the replica is not promoted yet", { why: messageOf(error) });
      await env.clock.sleep(AGAIN_MS);
    }
  }
  return "unknown";
}
