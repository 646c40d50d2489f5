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
import type { PageIndex } from "../pages/page_index.ts";
import { GUARD_VERSION } from "../pages/page_reader.ts";
import type { WalIndexHeader } from "../wal/wal_index.ts";
import { Applier, type ApplierOptions } from "./applier.ts";
import type { Counters } from "./counters.ts";
import { complete, firstIndex } from "./first_index.ts";
import { DatabaseHandle } from "./handle.ts";
import { LogFollower } from "./log_follower.ts";
import type { DatabaseOptions } from "./options.ts";
import { readLog, sameFile } from "./open_primary.ts";
import { refuseUsed } from "./proc_locks.ts";
import { SavedIndex } from "./saved_index.ts";
import type { SavedState } from "./side_files.ts";

export interface ReplicaOpening extends Pick<ApplierOptions, "willBeAt" | "isAt"> {
  readonly options: DatabaseOptions;
  readonly saved: SavedState | undefined;
  /** `<db>-live`. */
  readonly folder: string;
  readonly counters: Counters;
  /** A file without the guard is not a replica's yet. */
  readonly mustBeGuarded: boolean;
  progress(done: number, total: number): void;
}

interface Opened {
  readonly handle: DatabaseHandle;
  readonly index: PageIndex;
  readonly savedIndex: SavedIndex;
  /** Undefined if its history is not known: compare hashes. */
  readonly position: Position | undefined;
  /** The file carries the write guard, so no application wrote to it since it was ours. */
  readonly guarded: boolean;
  /** The last transaction of its own, of a file that was a primary's until now. */
  readonly was: Position | undefined;
  /** Where the index is from, for the log. */
  readonly hashes: string;
}

/** An open local copy. Nothing is locked against writers before applier() is asked for. */
export class OpenReplica implements Opened {
  readonly handle: DatabaseHandle;
  readonly index: PageIndex;
  readonly savedIndex: SavedIndex;
  readonly position: Position | undefined;
  readonly guarded: boolean;
  readonly was: Position | undefined;
  readonly hashes: string;
  readonly #arm: () => Applier;
  #applier: Applier | undefined;

  constructor(opened: Opened, arm: () => Applier) {
    this.handle = opened.handle;
    this.index = opened.index;
    this.savedIndex = opened.savedIndex;
    this.position = opened.position;
    this.guarded = opened.guarded;
    this.was = opened.was;
    this.hashes = opened.hashes;
    this.#arm = arm;
  }

  /** Takes the write lock, for good. @throws {LiveError} "busy" if somebody has written meanwhile. */
  applier(): Applier {
    return this.#applier ??= this.#arm();
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
    this.savedIndex.close();
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
  const { saved, folder } = opening;
  const { index, log: own } = await firstIndex(
    { handle, header, folder, at: ZERO_TXID },
    (index) => readReplicaLog(handle, index, header, saved, env),
    env,
  );
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
  const savedIndex = new SavedIndex(folder, handle, index, env);
  handle.afterCheckpoint(() => savedIndex.checkpointed());
  const parts = { handle, index, savedIndex, header, counters, soft, hard, willBeAt, isAt };
  const arm = (): Applier => {
    const applier = new Applier(parts, env);
    void savedIndex.begin(header); // now nobody else can have restarted the log
    return applier;
  };
  const hashes = await complete(handle, index, ZERO_TXID, env, opening.progress);
  const position = knownPosition(saved, index) ?? own?.position;
  if (position !== undefined) index.setFloor(position.txid);
  const opened = { handle, index, savedIndex, position, guarded, was: own?.last, hashes };
  return new OpenReplica(opened, arm);
}

/** The log into `index`; and where it was, if it is that of a primary. */
async function readReplicaLog(
  handle: DatabaseHandle,
  index: PageIndex,
  header: WalIndexHeader,
  saved: SavedState | undefined,
  env: Env,
): Promise<OwnHistory | undefined> {
  const own = await ownHistory(handle, index, header, saved, env);
  if (own !== undefined) return own;
  const follower = new LogFollower(handle.wal, index, ZERO_TXID);
  follower.counting = false;
  follower.begin(header);
  await follower.readAll(header.mxFrame, env.clock);
  return undefined;
}

interface OwnHistory {
  readonly last: Position;
  readonly position?: Position;
}

/** Of a file that was a primary's: where its own history has ended. Reads the log into `index`. */
async function ownHistory(
  handle: DatabaseHandle,
  index: PageIndex,
  header: WalIndexHeader,
  saved: SavedState | undefined,
  env: Env,
): Promise<OwnHistory | undefined> {
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
