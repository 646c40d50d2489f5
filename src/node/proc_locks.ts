/**
 * Who holds POSIX locks on a file, from /proc/locks. Opens nothing but /proc. May import: nothing.
 * @module
 */

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
