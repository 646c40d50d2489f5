/**
 * Opens a database as a primary: the first index, and whether the history of the last run goes on.
 * May import: base/, pages/, wal/, node/.
 *
 * The history is unbroken only if boot, file, salts, frame number and that frame's checksum are all
 * what was written down; then the commits after that frame are counted. Otherwise a new epoch begins,
 * and replicas compare hashes.
 * @module
 */
import type { Env } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import { MAX_ANCESTORS } from "../base/lineage.ts";
import {
  type DatabaseId,
  type Epoch,
  type Position,
  type Txid,
  txid,
  ZERO_TXID,
} from "../base/types.ts";
import type { PageIndex } from "../pages/page_index.ts";
import { GUARD_VERSION } from "../pages/page_reader.ts";
import type { WalIndexHeader } from "../wal/wal_index.ts";
import { dropLinked } from "./copier.ts";
import type { Counters } from "./counters.ts";
import { complete, firstIndex } from "./first_index.ts";
import { DatabaseHandle } from "./handle.ts";
import type { HistoryFile } from "./history_file.ts";
import { LogFollower } from "./log_follower.ts";
import type { DatabaseOptions } from "./options.ts";
import { Primary, type PrimaryParts } from "./primary.ts";
import type { HandedOver } from "./promotion.ts";
import { SavedIndex } from "./saved_index.ts";
import { bootId, type LogPlace, logPlace, type SavedState, type SideFiles } from "./side_files.ts";

/** Not 0: who has nothing asks for all that is newer than 0. */
const FIRST_TXID = txid(1);

export interface PrimaryOpening {
  readonly options: DatabaseOptions;
  readonly files: SideFiles;
  readonly history: HistoryFile;
  readonly counters: Counters;
  lost(reason: LiveError): void;
  moved(): void;
  progress(done: number, total: number): void;
}

/** @throws {LiveError} "not_ready" or "busy": try again; others need a person. */
export async function openPrimary(opening: PrimaryOpening, env: Env): Promise<Primary> {
  const { options: { path, allowNetworkFilesystem }, files } = opening;
  dropLinked(path, `${files.folder}/copy`); // of a replica, promoted before that outlived a power cut
  const { handle, switchedToWal } = DatabaseHandle.open(path, allowNetworkFilesystem);
  try {
    if (switchedToWal) env.log.info("database set to WAL mode");
    return await start(opening, handle, env);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function start(opening: PrimaryOpening, handle: DatabaseHandle, env: Env): Promise<Primary> {
  // A log that is all backfilled could begin anew, over frames that are not read yet.
  using pin = handle.walIndex.pin();
  if (pin === undefined) throw new LiveError("busy", `No read mark of "${handle.path}" is free`);
  const header = await handle.stableHeader(env.clock);
  const saved = opening.files.load();
  const { folder } = opening.files;
  const { index, log: history } = await firstIndex(
    { handle, header, folder, at: saved?.txid ?? FIRST_TXID },
    (index) => readLog(handle, index, header, saved, env),
    env,
  );
  const { follower, start } = history;
  refuseGuarded(handle, index);
  // Killed in its promotion, after the frame that lifts the guard and before that frame's fsync: what
  // is told from here on must outlive a power cut, or it would be a replica again.
  if (saved?.contents !== undefined) await handle.wal.sync();
  index.floor = start;
  const hashes = await complete(handle, index, start, env, opening.progress);
  // A power cut may have left the state of the replica that it was, without its place in the log.
  const wasReplica = saved?.role === "replica" && opening.history.value.promoted !== undefined;
  const id = wasReplica || sameFile(saved, handle) ? saved.id : env.random.id() as DatabaseId;
  const ancestors = ancestorsOf(opening.history, history, id === saved?.id ? saved : undefined);
  if (!history.unbroken) opening.counters.newEpochs++;
  env.log.info("database open", {
    pages: index.pageCount,
    page_size: index.pageSize,
    hashes,
    history: history.unbroken ? "unbroken" : "new epoch",
  });
  const savedIndex = new SavedIndex(folder, handle, index, env);
  handle.afterCheckpoint(() => savedIndex.checkpointed());
  void savedIndex.begin(header);
  const parts = { handle, index, follower, savedIndex, id, epoch: history.epoch, ancestors };
  return begin(opening, parts, header, env);
}

/**
 * A replica's file goes on as a primary's, with its index.
 * @throws {LiveError} "disk": then it is closed, and openPrimary() opens it as a primary.
 */
export async function takeOver(
  opening: PrimaryOpening,
  from: HandedOver,
  env: Env,
): Promise<Primary> {
  const { handle, index, savedIndex, header, id, position: { epoch, txid }, ancestors } = from;
  const follower = new LogFollower(handle.wal, index, txid);
  follower.resume(header);
  try {
    return begin(
      opening,
      { handle, index, follower, savedIndex, id, epoch, ancestors },
      header,
      env,
    );
  } catch (error) {
    await handle.close();
    throw error;
  }
}

type Begun = Pick<
  PrimaryParts,
  "handle" | "index" | "follower" | "savedIndex" | "id" | "epoch" | "ancestors"
>;

function begin(opening: PrimaryOpening, begun: Begun, header: WalIndexHeader, env: Env): Primary {
  const { options, files, counters, lost, moved } = opening;
  const saving = (primary: Primary): void => save(primary, files);
  const parts = { ...begun, options, counters, save: saving, lost, moved };
  const primary = new Primary(parts, header, env);
  saving(primary);
  return primary;
}

/**
 * A history that is broken still descends from where it was promoted, and who supersedes the epoch of
 * the last run (`saved`: of this database) supersedes this one, too.
 */
function ancestorsOf(
  file: HistoryFile,
  { epoch, unbroken }: LogHistory,
  saved: SavedState | undefined,
): readonly Position[] {
  const { value } = file;
  if (unbroken) return file.lineage(epoch).ancestors;
  if (saved === undefined) return [];
  const past = saved.role === "primary" ? [saved.epoch, ...value.past ?? []] : [];
  file.save({ ...value, epoch, past: past.slice(0, MAX_ANCESTORS) });
  return value.ancestors;
}

export interface LogHistory {
  readonly follower: LogFollower;
  readonly epoch: Epoch;
  /** Txid of what was there before the commits that were counted now. */
  readonly start: Txid;
  readonly unbroken: boolean;
}

/** Reads the whole log, which is pinned: no frame of it can be lost meanwhile. */
export async function readLog(
  handle: DatabaseHandle,
  index: PageIndex,
  header: WalIndexHeader,
  saved: SavedState | undefined,
  env: Env,
): Promise<LogHistory> {
  const place = saved?.place;
  if (saved !== undefined && place !== undefined && placeHolds(place, handle, header)) {
    const follower = new LogFollower(handle.wal, index, saved.txid);
    follower.begin(header);
    follower.counting = false;
    await follower.readAll(place.frame, env.clock);
    const { s1, s2 } = follower.reader.sum;
    if (place.frame === 0 || (s1 === place.sum1 && s2 === place.sum2)) {
      follower.counting = true;
      await follower.readAll(header.mxFrame, env.clock);
      return { follower, epoch: saved.epoch, start: saved.txid, unbroken: true };
    }
  }
  const start = txid((saved?.txid ?? ZERO_TXID) + 1);
  const follower = new LogFollower(handle.wal, index, start);
  follower.begin(header);
  follower.counting = false;
  await follower.readAll(header.mxFrame, env.clock);
  follower.counting = true;
  return { follower, epoch: env.random.id() as Epoch, start, unbroken: false };
}

/** Another file at this path is another database, until its pages say otherwise. */
export function sameFile(
  saved: SavedState | undefined,
  handle: DatabaseHandle,
): saved is SavedState {
  return saved?.place !== undefined && samePlace(saved.place, handle);
}

function samePlace(place: LogPlace, { device, inode, born }: DatabaseHandle): boolean {
  return place.device === device && place.inode === inode && place.born === born;
}

function placeHolds(place: LogPlace, handle: DatabaseHandle, header: WalIndexHeader): boolean {
  return place.boot !== "" && place.boot === bootId() && samePlace(place, handle) &&
    place.salt1 === header.salt1 && place.salt2 === header.salt2 &&
    place.frame > 0 && place.frame <= header.mxFrame;
}

function save(primary: Primary, files: SideFiles): void {
  const { handle, follower, id, position } = primary;
  const { reader } = follower;
  const { salt1, salt2 } = reader.salts ?? { salt1: 0, salt2: 0 };
  const end = { salt1, salt2, mxFrame: reader.last, sum: reader.sum };
  files.save({ format: 1, role: "primary", id, ...position, place: logPlace(handle, end) });
}

/** A replica's file is no primary's: its history goes on elsewhere. */
function refuseGuarded(handle: DatabaseHandle, index: PageIndex): void {
  if (handle.writeVersion(index.frameOf(1)) !== GUARD_VERSION) return;
  throw new LiveError(
    "guard",
    `"${handle.path}" is a replica's file (write guard set): ` +
      "give it an `upstream`, and `litestream-live promote` if it shall be a primary",
    { guarded: 1 },
  );
}
