/**
 * A person's consent to replace a refused file, and where the old one goes. Nothing is deleted, nothing
 * is renamed over anything. May import: base/, pages/.
 *
 *     <db>-live/accept            `litestream-live accept` made it; taken by the node, once
 *     <db>-live/aside-<n>/        the old database, -wal and -shm; or a copy of it, one file
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import type { Clock } from "../base/env.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import type { PageIndex } from "../pages/page_index.ts";
import type { PageReader } from "../pages/page_reader.ts";

/** Read and written at once. */
const COPY_BYTES = 1024 * 1024;
const SUFFIXES = ["", "-wal", "-shm", "-journal"] as const;

const acceptPath = (folder: string): string => `${folder}/accept`;

/** Notes the consent. @throws {LiveError} "not_found" if no node has worked on the database. */
export function noteAcceptance(folder: string): void {
  try {
    Deno.mkdirSync(acceptPath(folder));
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    if (error instanceof Deno.errors.NotFound) {
      throw new LiveError(
        "not_found",
        `There is no "${folder}": no litestream-live has worked on this database`,
      );
    }
    throw new LiveError("forbidden", `Cannot write into "${folder}": ${messageOf(error)}`);
  }
}

/** True once for each consent. */
export function takeAcceptance(folder: string): boolean {
  try {
    Deno.removeSync(acceptPath(folder));
    return true;
  } catch {
    return false;
  }
}

/** Moves the database's files into a new folder; returns it. The database must be closed. */
export function setAside(path: string, folder: string): string {
  try {
    const aside = freshFolder(folder);
    const name = nameOf(path);
    for (const suffix of SUFFIXES) moveIfThere(`${path}${suffix}`, `${aside}/${name}${suffix}`);
    return aside;
  } catch (error) {
    throw new LiveError("disk", `Cannot move "${path}" aside: ${messageOf(error)}`);
  }
}

/**
 * Copies an open database, to which nobody writes, into a new folder, as one file that any SQLite opens;
 * returns its path. @throws {LiveError} "disk": then there is no copy.
 */
export async function copyAside(
  path: string,
  folder: string,
  { index, pages }: { readonly index: PageIndex; readonly pages: PageReader },
  clock: Clock,
): Promise<string> {
  let aside: string | undefined;
  try {
    aside = freshFolder(folder);
    const copy = `${aside}/${nameOf(path)}`;
    using file = await Deno.open(copy, { createNew: true, write: true, mode: 0o600 });
    const { pageSize, pageCount, lockPage } = index;
    const most = Math.max(1, Math.floor(COPY_BYTES / pageSize));
    for (let first = 1; first <= pageCount; first += most) {
      const count = Math.min(most, pageCount - first + 1);
      const pgnos = Array.from({ length: count }, (_, nth) => first + nth);
      const wanted = pgnos.filter((pgno) => pgno !== lockPage);
      const bytes: Bytes = new Uint8Array(wanted.length * pageSize);
      const bad = pages.read(index, wanted, bytes, 0);
      if (bad !== undefined) throw new LiveError("corrupt", `Page ${bad} has changed on disk`);
      for (const [nth, pgno] of wanted.entries()) {
        if (nth > 0 && pgno === wanted[nth - 1]! + 1) continue;
        writeRun(file, bytes, wanted, nth, pageSize);
      }
      await clock.sleep(0);
    }
    await file.sync();
    return copy;
  } catch (error) {
    if (aside !== undefined) await Deno.remove(aside, { recursive: true });
    if (error instanceof LiveError) throw error;
    throw new LiveError("disk", `Cannot copy "${path}" aside: ${messageOf(error)}`);
  }
}

/** The pages from number `nth` on that lie side by side. */
function writeRun(
  file: Deno.FsFile,
  bytes: Bytes,
  pgnos: readonly number[],
  nth: number,
  pageSize: number,
): void {
  let end = nth + 1;
  while (end < pgnos.length && pgnos[end] === pgnos[end - 1]! + 1) end++;
  file.seekSync((pgnos[nth]! - 1) * pageSize, Deno.SeekMode.Start);
  const run = bytes.subarray(nth * pageSize, end * pageSize);
  for (let done = 0; done < run.length;) done += file.writeSync(run.subarray(done));
}

function freshFolder(folder: string): string {
  for (let nth = 1;; nth++) {
    const aside = `${folder}/aside-${nth}`;
    try {
      Deno.mkdirSync(aside);
      return aside;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function moveIfThere(from: string, to: string): void {
  try {
    Deno.renameSync(from, to);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
