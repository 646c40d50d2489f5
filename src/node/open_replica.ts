/**
 * Opens the local copy of a replica: index, write lock, and where in the upstream's history it is.
 * May import: base/, pages/, wal/, node/.
 *
 * The position is proven by content alone: the database is at a txid that was written down if its
 * hash is the hash that was written down with it. That holds after a kill, a power cut, a foreign
 * checkpoint and a deleted WAL alike.
 * @module
 */
import { formatWords } from "../base/bytes.ts";
import type { Env } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import { type Position, ZERO_TXID } from "../base/types.ts";
import { PageIndex } from "../pages/page_index.ts";
import { GUARD_VERSION } from "../pages/page_reader.ts";
import type { WalIndexHeader } from "../wal/wal_index.ts";
import { Applier, type ApplierOptions } from "./applier.ts";
import type { Counters } from "./counters.ts";
import { DatabaseHandle } from "./handle.ts";
import { LogFollower } from "./log_follower.ts";
import type { DatabaseOptions } from "./options.ts";
import { readLog, sameFile } from "./open_primary.ts";
import { refuseUsed } from "./proc_locks.ts";
import { scanFile } from "./scan.ts";
import type { SavedState } from "./side_files.ts";

export interface ReplicaOpening extends Pick<ApplierOptions, "willBeAt" | "isAt"> {
  readonly options: DatabaseOptions;
  readonly saved: SavedState | undefined;
  readonly counters: Counters;
  /** A file without the guard is not a replica's yet. */
  readonly mustBeGuarded: boolean;
  progress(done: number, total: number): void;
}

/** An open local copy. Nothing is locked against writers before applier() is asked for. */
export class OpenReplica {
  #applier: Applier | undefined;

  constructor(
    readonly handle: DatabaseHandle,
    readonly index: PageIndex,
    /** Undefined if its history is not known: compare hashes. */
    readonly position: Position | undefined,
    /** The file carries the write guard, so no application wrote to it since it was ours. */
    readonly guarded: boolean,
    /** The last transaction of its own, of a file that was a primary's until now. */
    readonly was: Position | undefined,
    private readonly arm: () => Applier,
  ) {}

  /** Takes the write lock, for good. @throws {LiveError} "busy" if somebody has written meanwhile. */
  applier(): Applier {
    return this.#applier ??= this.arm();
  }

  maintain(): void {
    this.#applier?.maintain();
  }

  /** What fails for good although the stream goes on, a sentence; undefined while all is well. */
  trouble(): string | undefined {
    return this.#applier?.trouble();
  }

  /** Lets others write; handle and index go on elsewhere. */
  async release(): Promise<void> {
    await this.#applier?.close();
    this.#applier = undefined;
  }

  async close(): Promise<void> {
    await this.release();
    await this.handle.close();
  }
}

/** @throws {LiveError} "guard" if an application uses the file, "busy", "not_ready". */
export async function openReplica(opening: ReplicaOpening, env: Env): Promise<OpenReplica> {
  const { handle } = DatabaseHandle.open(
    opening.options.path,
    opening.options.allowNetworkFilesystem,
  );
  try {
    return await start(opening, handle, env);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function start(
  opening: ReplicaOpening,
  handle: DatabaseHandle,
  env: Env,
): Promise<OpenReplica> {
  const header = await handle.stableHeader(env.clock);
  const index = new PageIndex(handle.pageSize);
  index.resize(handle.pageCountOf(header));
  const { saved } = opening;
  const own = await ownHistory(handle, index, header, saved, env);
  if (own === undefined) {
    const follower = new LogFollower(handle.wal, index, ZERO_TXID);
    follower.counting = false;
    follower.begin(header);
    await follower.readAll(header.mxFrame, env.clock);
  }
  const guarded = handle.writeVersion(index.frameOf(1)) === GUARD_VERSION;
  if (!guarded && opening.mustBeGuarded) {
    throw new LiveError("guard", `"${handle.path}" has no write guard`, { unguarded: 1 });
  }
  // Killed in its demotion, before the fsync of the guard's frame: once it is known as a replica, others
  // may be promoted, and a power cut must not make a primary of it again.
  if (opening.mustBeGuarded) await handle.wal.sync();
  if (!guarded) refuseUsed(handle.path);
  const { minCheckpointPageCount: soft, maxCheckpointPageCount } = opening.options;
  const hard = maxCheckpointPageCount > 0 ? maxCheckpointPageCount : Infinity;
  const { counters, willBeAt, isAt } = opening;
  const arm = (): Applier =>
    new Applier({ handle, index, header, counters, soft, hard, willBeAt, isAt }, env);
  await scanFile(handle, index, ZERO_TXID, env, opening.progress);
  const position = knownPosition(saved, index) ?? own?.position;
  if (position !== undefined) index.setFloor(position.txid);
  return new OpenReplica(handle, index, position, guarded, own?.last, arm);
}

/** Of a file that was a primary's: where its own history has ended. Reads the log into `index`. */
async function ownHistory(
  handle: DatabaseHandle,
  index: PageIndex,
  header: WalIndexHeader,
  saved: SavedState | undefined,
  env: Env,
): Promise<{ readonly last: Position; readonly position?: Position } | undefined> {
  const isOwn = saved?.role === "primary" && saved.contents === undefined;
  if (!isOwn || !sameFile(saved, handle)) return undefined;
  const { follower, unbroken } = await readLog(handle, index, header, saved, env);
  const { epoch } = saved;
  if (unbroken) {
    const position = { epoch, txid: follower.txid };
    return { last: position, position };
  }
  return { last: { epoch, txid: saved.txid } }; // at least: who knows what was committed since
}

function knownPosition(saved: SavedState | undefined, index: PageIndex): Position | undefined {
  const hash = formatWords(index.hash);
  const known = saved?.contents?.find((content) => content.hash === hash);
  return known && { epoch: known.epoch, txid: known.txid };
}
