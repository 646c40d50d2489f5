/**
 * The write guard as a transaction of its own: page 1 again, with another write version (byte 18), which
 * hashes and the wire leave out. So the content stays what it is. May import: base/, pages/, wal/, node/.
 *
 * A stock SQLite that begins to write after it reads that byte and refuses; one that has begun before
 * holds WRITE, and we wait for it. So no commit is lost between the two.
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import type { Env } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import {
  GUARD_VERSION,
  type PageFiles,
  PageReader,
  WAL_VERSION,
  WRITE_VERSION_BYTE,
} from "../pages/page_reader.ts";
import type { PageIndex } from "../pages/page_index.ts";
import type { WalIndexHeader } from "../wal/wal_index.ts";
import { WalWriter } from "../wal/writer.ts";
import type { DatabaseHandle } from "./handle.ts";

export interface Guarded {
  readonly handle: DatabaseHandle;
  readonly index: PageIndex;
  /** The end of the log, all of which `index` has. */
  readonly header: WalIndexHeader;
}

/**
 * Sets the guard or takes it off. WRITE and CKPT must be held. On disk and visible when it returns.
 * @throws {LiveError} "disk", "corrupt": then nothing is visible.
 */
export async function writeGuard(
  { handle, index, header }: Guarded,
  on: boolean,
  env: Env,
): Promise<{ readonly header: WalIndexHeader; readonly frame: number }> {
  const page: Bytes = new Uint8Array(index.pageSize);
  const { database, wal, walIndex } = handle;
  const files: PageFiles = { database, wal, backfilled: () => handle.backfilled() };
  if (new PageReader(files).read(index, [1], page, 0) !== undefined) {
    throw new LiveError("corrupt", "Page 1 has changed on disk");
  }
  page[WRITE_VERSION_BYTE] = on ? GUARD_VERSION : WAL_VERSION;
  const writer = new WalWriter(wal, walIndex, index.pageSize, header);
  await writer.begin(header, () => Math.floor(env.random.fraction() * 2 ** 32));
  const frame = writer.add(1, page);
  writer.finish(index.pageCount);
  await wal.sync();
  return { header: writer.publish(index.pageCount), frame };
}
