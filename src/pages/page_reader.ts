/**
 * Page P as it is now: its last frame if that is not checkpointed yet, else the database file. Every
 * page read is checked against the index's hash, so a page that moved under the read (a checkpoint,
 * a log restart, a torn file read) is seen and never sent. May import: base/, wal/, pages/.
 *
 * A replica's page 1 carries the write guard in byte 18; here it is taken off again (the writer in
 * node/applier.ts puts it on: these are the two places).
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import type { ByteFile } from "../base/io.ts";
import { FRAME_HEADER_BYTES, frameOffset } from "../wal/format.ts";
import { hashPages } from "./hash.ts";
import type { PageIndex } from "./page_index.ts";

/** Byte of page 1 that says which format a writer must know; 127 keeps every writer out. */
export const WRITE_VERSION_BYTE = 18;
export const READ_VERSION_BYTE = 19;
export const WAL_VERSION = 2;
export const GUARD_VERSION = 127;

export interface PageFiles {
  readonly database: ByteFile;
  readonly wal: ByteFile;
  /** Frames up to this one are in the database file. */
  backfilled(): number;
}

/** Takes the write guard off page 1 (in place). */
export function unguard(page1: Bytes): void {
  if (page1[WRITE_VERSION_BYTE] === GUARD_VERSION) page1[WRITE_VERSION_BYTE] = WAL_VERSION;
}

export class PageReader {
  readonly #files: PageFiles;
  #hashes = new Uint32Array(2);

  constructor(files: PageFiles) {
    this.#files = files;
  }

  /**
   * Reads `pgnos` one after the other into `into`, from byte `at`; runs of pages that lie side by
   * side in the file are one read.
   * @returns the first page that is not what `index` says (try again after looking at the log), or
   * undefined if all are right.
   */
  read(index: PageIndex, pgnos: readonly number[], into: Bytes, at: number): number | undefined {
    const { pageSize } = index;
    const backfilled = this.#files.backfilled();
    for (let nth = 0; nth < pgnos.length;) {
      const pgno = pgnos[nth]!;
      const frame = index.frameOf(pgno);
      let run = 1;
      if (frame <= backfilled) {
        while (
          nth + run < pgnos.length && pgnos[nth + run] === pgno + run &&
          index.frameOf(pgno + run) <= backfilled
        ) run++;
      }
      const pages = into.subarray(at + nth * pageSize, at + (nth + run) * pageSize);
      if (frame <= backfilled) this.#files.database.read(pages, (pgno - 1) * pageSize);
      else this.#files.wal.read(pages, frameOffset(frame, pageSize) + FRAME_HEADER_BYTES);
      if (pgno === 1) unguard(pages);
      const bad = this.#firstBad(index, pgno, pages, run);
      if (bad !== undefined) return bad;
      nth += run;
    }
    return undefined;
  }

  #firstBad(index: PageIndex, first: number, pages: Bytes, count: number): number | undefined {
    if (this.#hashes.length < 2 * count) this.#hashes = new Uint32Array(2 * count);
    hashPages(pages, index.pageSize, first, this.#hashes);
    for (let nth = 0; nth < count; nth++) {
      if (!index.hasHash(first + nth, this.#hashes, 2 * nth)) return first + nth;
    }
    return undefined;
  }
}
