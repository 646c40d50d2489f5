/**
 * Owner, group and mode of a replica's files, for readers that are other users. Opens nothing: a close
 * would drop SQLite's locks. May import: base/, node/options.
 *
 * SQLite gives -wal and -shm the mode (and, as root, the owner) of the database when it makes them, so
 * the first copy gets them before it appears, and existing files at each start.
 * @module
 */
import { LiveError, messageOf } from "../base/errors.ts";
import type { Ownership } from "./options.ts";

/** Gives those of `paths` that exist what `ownership` says. @throws {LiveError} "forbidden". */
export function applyOwnership(paths: readonly string[], ownership: Ownership): void {
  const { uid, gid, mode } = ownership;
  if (uid === undefined && gid === undefined && mode === undefined) return;
  for (const path of paths) {
    try {
      if (uid !== undefined || gid !== undefined) Deno.chownSync(path, uid ?? null, gid ?? null);
      if (mode !== undefined) Deno.chmodSync(path, mode);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      throw new LiveError(
        "forbidden",
        `Cannot give "${path}" the owner, group and mode of the config (${messageOf(error)}): ` +
          "run as root, or as the owner and a member of the group",
      );
    }
  }
}
