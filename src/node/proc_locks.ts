/**
 * Who uses a file, from /proc: open descriptors and POSIX locks. Opens nothing else. May import: base/.
 * @module
 */
import { LiveError } from "../base/errors.ts";

/** The bytes of a -shm that readers of its WAL lock: READ(1) to READ(4). */
export const READER_BYTES: ByteRange = { first: 124, last: 127 };

export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/** PIDs of other processes that hold a lock on the file; empty where the system cannot tell. */
export function lockHolders(path: string, range?: ByteRange): number[] {
  let inode: number | null;
  let table: string;
  try {
    inode = Deno.statSync(path).ino;
    table = Deno.readTextFileSync("/proc/locks");
  } catch {
    return [];
  }
  return inode === null ? [] : holdersIn(table, inode, Deno.pid, range);
}

/**
 * A file without the write guard may be somebody's live database, and `upstream` a mistake.
 * @throws {LiveError} "guard" if another process has it open or holds locks on it.
 */
export function refuseUsed(path: string, why = "is not a replica's file"): void {
  const pids = usersOf(path).join(", ");
  if (pids === "") return;
  throw new LiveError(
    "guard",
    `"${path}" is used by process ${pids} and ${why}: it is not ` +
      "touched; stop that process, or remove the `upstream`",
    { pids },
  );
}

/** PIDs of other processes that have the database open or locked, as far as this user may know. */
export function usersOf(path: string): number[] {
  const pids = new Set([...lockHolders(path), ...lockHolders(`${path}-shm`), ...openers(path)]);
  return [...pids].sort((a, b) => a - b);
}

/** PIDs of other processes that have the file open, of those that this user may look at. */
function openers(path: string): number[] {
  const pids: number[] = [];
  try {
    const { dev, ino } = Deno.statSync(path);
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^[0-9]+$/.test(name) || Number(name) === Deno.pid) continue;
      if (hasOpen(`/proc/${name}/fd`, dev, ino)) pids.push(Number(name));
    }
  } catch { /* no such file, or no /proc */ }
  return pids;
}

function hasOpen(folder: string, dev: number, ino: number | null): boolean {
  try {
    for (const { name } of Deno.readDirSync(folder)) {
      try {
        const info = Deno.statSync(`${folder}/${name}`); // opens nothing
        if (info.ino === ino && info.dev === dev) return true;
      } catch { /* closed meanwhile, or no file */ }
    }
  } catch { /* another user's, or it has ended */ }
  return false;
}

/** "1: POSIX  ADVISORY  READ 1234 fd:00:5678 120 120": PIDs of the inode's locks, not `self`. */
export function holdersIn(
  table: string,
  inode: number,
  self: number,
  range: ByteRange = { first: 0, last: Infinity },
): number[] {
  const pids = new Set<number>();
  for (const line of table.split("\n")) {
    if (/^\d+:\s+->/.test(line)) continue; // waits for a lock, holds none
    const fields = line.replace(/^\d+:\s+/, "").split(/\s+/);
    const [kind, , , pid = "", device = "", start = "", end = ""] = fields;
    if (kind !== "POSIX" && kind !== "OFDLCK") continue;
    const last = end === "EOF" ? Infinity : Number(end);
    if (Number(start) > range.last || last < range.first) continue;
    if (device.split(":")[2] === String(inode) && Number(pid) !== self) pids.add(Number(pid));
  }
  pids.delete(-1); // of an open file description
  return [...pids].sort((a, b) => a - b);
}
