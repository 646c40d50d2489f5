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
import { type DatabaseId, type Epoch, type Txid, txid, ZERO_TXID } from "../base/types.ts";
import { PageIndex } from "../pages/page_index.ts";
import { GUARD_VERSION } from "../pages/page_reader.ts";
import type { WalIndexHeader } from "../wal/wal_index.ts";
import type { Counters } from "./counters.ts";
import { DatabaseHandle } from "./handle.ts";
import { LogFollower } from "./log_follower.ts";
import type { DatabaseOptions } from "./options.ts";
import { Primary } from "./primary.ts";
import { scanFile } from "./scan.ts";
import { bootId, type LogPlace, type SavedState, type SideFiles } from "./side_files.ts";

export interface PrimaryOpening {
  readonly options: DatabaseOptions;
  readonly files: SideFiles;
  readonly counters: Counters;
  lost(reason: LiveError): void;
  moved(): void;
  progress(done: number, total: number): void;
}

/** @throws {LiveError} "not_ready" or "busy": try again; others need a person. */
export async function openPrimary(opening: PrimaryOpening, env: Env): Promise<Primary> {
  const { handle, switchedToWal } = DatabaseHandle.open(
    opening.options.path,
    opening.options.allowNetworkFilesystem,
  );
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
  const index = new PageIndex(handle.pageSize);
  index.resize(handle.pageCountOf(header));
  const history = await readLog(handle, index, header, saved, env);
  const { follower, start } = history;
  refuseGuarded(handle, index);
  index.floor = start;
  await scanFile(handle, index, start, env, opening.progress);
  const id = sameFile(saved, handle) ? saved.id : env.random.id() as DatabaseId;
  if (!history.unbroken) opening.counters.newEpochs++;
  env.log.info("database open", {
    pages: index.pageCount,
    page_size: index.pageSize,
    history: history.unbroken ? "unbroken" : "new epoch",
  });
  const primary = new Primary(
    {
      options: opening.options,
      handle,
      index,
      follower,
      id,
      epoch: history.epoch,
      counters: opening.counters,
      save: (primary) => save(primary, opening.files),
      lost: opening.lost,
      moved: opening.moved,
    },
    header,
    env,
  );
  save(primary, opening.files);
  return primary;
}

interface History {
  readonly follower: LogFollower;
  readonly epoch: Epoch;
  /** Txid of what was there before the commits that were counted now. */
  readonly start: Txid;
  readonly unbroken: boolean;
}

/** Reads the whole log, which is pinned: no frame of it can be lost meanwhile. */
async function readLog(
  handle: DatabaseHandle,
  index: PageIndex,
  header: WalIndexHeader,
  saved: SavedState | undefined,
  env: Env,
): Promise<History> {
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
function sameFile(
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
  files.save({
    format: 1,
    role: "primary",
    id,
    ...position,
    place: {
      boot: bootId(),
      device: handle.device,
      inode: handle.inode,
      born: handle.born,
      salt1,
      salt2,
      frame: reader.last,
      sum1: reader.sum.s1,
      sum2: reader.sum.s2,
    },
  });
}

/** A replica's file is no primary's: its history goes on elsewhere. */
function refuseGuarded(handle: DatabaseHandle, index: PageIndex): void {
  if (handle.writeVersion(index.frameOf(1)) !== GUARD_VERSION) return;
  throw new LiveError(
    "guard",
    `"${handle.path}" is a replica's file (write guard set): ` +
      "give it an `upstream`, or use `litestream-live promote` once that exists",
  );
}
