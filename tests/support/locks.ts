/**
 * POSIX locks as the system lists them. May import: tests/support/node (types).
 * @module
 */
import type { LiveNode } from "./node.ts";

/** Locks of a node on a file: "READ 121-121". Those of neighbouring bytes are one. */
export async function locksOf(node: LiveNode, path: string): Promise<string[]> {
  const { ino } = await Deno.stat(path);
  const table = await Deno.readTextFile("/proc/locks");
  return table.split("\n").map((line) => line.split(/\s+/))
    .filter(([, kind, , , pid, file]) =>
      kind === "POSIX" && Number(pid) === node.child.pid && file?.split(":")[2] === String(ino)
    )
    .map(([, , , mode, , , first, last]) => `${mode} ${first}-${last}`).sort();
}
