/**
 * The first index of a database: every page that no frame of the log holds is read from the file and
 * hashed. May import: base/, pages/.
 *
 * CKPT is held, so the file cannot change meanwhile; commits only append frames, and a page that got
 * a frame during the scan is left to the log follower.
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import type { Env } from "../base/env.ts";
import { hashPages } from "../pages/hash.ts";
import type { PageIndex } from "../pages/page_index.ts";
import { unguard } from "../pages/page_reader.ts";
import type { ByteFile } from "../base/io.ts";

const READ_BYTES = 256 * 1024;
/** Bytes after which other work gets its turn. */
const SLICE_BYTES = 16 * 1024 * 1024;

/** Hashes all pages that only the file has. `progress` gets bytes done and in all. */
export async function scanFile(
  handle: { readonly database: ByteFile },
  index: PageIndex,
  at: number,
  env: Env,
  progress: (done: number, total: number) => void,
): Promise<void> {
  const { pageSize } = index;
  const perRead = READ_BYTES / pageSize;
  const buffer: Bytes = new Uint8Array(Math.min(READ_BYTES, index.pageCount * pageSize));
  const hashes = new Uint32Array(2 * perRead);
  let sinceYield = 0;
  for (let first = 1; first <= index.pageCount; first += perRead) {
    handle.database.read(buffer, (first - 1) * pageSize);
    const last = Math.min(first + perRead - 1, index.pageCount);
    if (first === 1) unguard(buffer);
    hashPages(buffer.subarray(0, (last - first + 1) * pageSize), pageSize, first, hashes);
    for (let pgno = first; pgno <= last; pgno++) {
      const slot = 2 * (pgno - first);
      if (index.frameOf(pgno) !== 0) continue;
      index.record(pgno, hashes[slot]!, hashes[slot + 1]!, at, 0);
    }
    sinceYield += READ_BYTES;
    if (sinceYield >= SLICE_BYTES) {
      sinceYield = 0;
      progress(first * pageSize, index.pageCount * pageSize);
      await env.clock.sleep(0);
    }
  }
}
