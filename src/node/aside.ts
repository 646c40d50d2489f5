/**
 * A person's consent to replace a refused file, and where the old one goes. Nothing is deleted, nothing
 * is renamed over anything. May import: base/.
 *
 *     <db>-live/accept            `litestream-live accept` made it; taken by the node, once
 *     <db>-live/aside-<n>/        the old database, -wal and -shm
 * @module
 */
import { LiveError, messageOf } from "../base/errors.ts";

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
    for (let nth = 1;; nth++) {
      const aside = `${folder}/aside-${nth}`;
      try {
        Deno.mkdirSync(aside);
      } catch (error) {
        if (error instanceof Deno.errors.AlreadyExists) continue;
        throw error;
      }
      const name = path.slice(path.lastIndexOf("/") + 1);
      for (const suffix of SUFFIXES) moveIfThere(`${path}${suffix}`, `${aside}/${name}${suffix}`);
      return aside;
    }
  } catch (error) {
    throw new LiveError("disk", `Cannot move "${path}" aside: ${messageOf(error)}`);
  }
}

function moveIfThere(from: string, to: string): void {
  try {
    Deno.renameSync(from, to);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
