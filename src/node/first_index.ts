/**
 * The index of a database that is being opened: what was saved and the log, or the log and the whole
 * file. May import: base/, pages/, wal/ (types), node/{handle,saved_index,scan}.
 * @module
 */
import type { Env } from "../base/env.ts";
import type { Txid } from "../base/types.ts";
import { PageIndex } from "../pages/page_index.ts";
import type { WalIndexHeader } from "../wal/wal_index.ts";
import type { DatabaseHandle } from "./handle.ts";
import { loadIndex } from "./saved_index.ts";
import { scanFile } from "./scan.ts";

export interface IndexOpening {
  readonly handle: DatabaseHandle;
  /** Of the log as it is now; nobody restarts it meanwhile. */
  readonly header: WalIndexHeader;
  /** `<db>-live`. */
  readonly folder: string;
  /** When pages that were saved count as changed. */
  readonly at: Txid;
}

/**
 * Without what only the file has, if nothing was saved: complete() reads that. `readLog` may be called
 * twice, with another index.
 */
export async function firstIndex<Log>(
  { handle, header, folder, at }: IndexOpening,
  readLog: (index: PageIndex) => Promise<Log>,
  env: Env,
): Promise<{ readonly index: PageIndex; readonly log: Log }> {
  const pageCount = handle.pageCountOf(header);
  const saved = new PageIndex(handle.pageSize);
  if (await loadIndex(folder, handle, header, saved, at, env)) {
    const log = await readLog(saved);
    const whole = saved.pageCount === pageCount && saved.firstUnknown() === undefined;
    if (whole) return { index: saved, log };
  }
  const index = new PageIndex(handle.pageSize);
  index.resize(pageCount);
  return { index, log: await readLog(index) };
}

/** Reads the file where the index lacks pages. @returns how it became complete, for the log. */
export async function complete(
  handle: DatabaseHandle,
  index: PageIndex,
  at: Txid,
  env: Env,
  progress: (done: number, total: number) => void,
): Promise<"read from the file" | "saved"> {
  if (index.firstUnknown() === undefined) return "saved";
  await scanFile(handle, index, at, env, progress);
  return "read from the file";
}
