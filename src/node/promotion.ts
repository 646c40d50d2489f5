/**
 * A replica becomes a primary: the guard is taken off its file, and a new epoch begins with the content
 * of the last transaction that it has. May import: base/, pages/, node/.
 *
 * Order of writes, each durable before the next: `history` says what is meant, `state` where the log is
 * before the guard's frame, then that frame. The frame alone decides. A kill before it leaves a replica,
 * one after it a primary whose commits are counted from there; nobody has seen the new epoch by then.
 * @module
 */
import type { Env } from "../base/env.ts";
import { descend } from "../base/lineage.ts";
import { type DatabaseId, type Epoch, type Position, ZERO_TXID } from "../base/types.ts";
import type { PageIndex } from "../pages/page_index.ts";
import type { WalIndexHeader } from "../wal/wal_index.ts";
import type { DatabaseHandle } from "./handle.ts";
import type { HistoryFile, UpstreamName } from "./history_file.ts";
import type { UpstreamOptions } from "./options.ts";
import type { OpenReplica } from "./open_replica.ts";
import type { SavedIndex } from "./saved_index.ts";
import { logPlace, type SavedState, type SideFiles } from "./side_files.ts";

/** What a replica hands over; the handle stays open all the while, and CKPT with it. */
export interface HandedOver {
  readonly handle: DatabaseHandle;
  readonly index: PageIndex;
  readonly savedIndex: SavedIndex;
  readonly header: WalIndexHeader;
  readonly id: DatabaseId;
  /** Of the new epoch. */
  readonly position: Position;
  readonly ancestors: readonly Position[];
}

/** What a promotion is answered with. */
export interface Promoted {
  /** "already": it was a primary before. */
  readonly result: "promoted" | "already";
  readonly position: Position;
  /** The last transaction of the old epoch that the new one has; absent without one. */
  readonly parent?: Position;
}

export interface Promotable {
  readonly open: OpenReplica;
  readonly id: DatabaseId;
  /** Undefined if its place in the upstream's history is not known; it is a whole state anyway. */
  readonly position: Position | undefined;
  readonly saved: SavedState;
  readonly upstream: UpstreamOptions;
}

/** @throws {LiveError} "guard", "disk", …: then it is the replica that it was. */
export async function promote(
  { open, id, position, saved, upstream }: Promotable,
  files: SideFiles,
  history: HistoryFile,
  env: Env,
): Promise<HandedOver> {
  const applier = open.applier();
  const { epoch: old, txid } = position ?? saved;
  const { ancestors: older } = history.lineage(old);
  const ancestors = descend({ epoch: old, txid: position?.txid ?? ZERO_TXID }, older);
  const epoch = env.random.id() as Epoch;
  const before = history.value;
  try {
    history.save({
      format: 1,
      epoch,
      ancestors,
      promoted: nameOf(upstream),
      left: upstream,
      ...(before.demoted && { demoted: before.demoted }),
    });
    await applier.settled();
    files.save({
      ...saved,
      role: "primary",
      id,
      epoch,
      txid,
      place: logPlace(open.handle, applier.header),
    });
    const header = await applier.unguard();
    await open.release();
    return {
      handle: open.handle,
      index: open.index,
      savedIndex: open.savedIndex,
      header,
      id,
      position: { epoch, txid },
      ancestors,
    };
  } catch (error) {
    history.restore(before);
    files.save(saved);
    throw error;
  }
}

function nameOf({ url, path }: UpstreamName): UpstreamName {
  return { url, path };
}
