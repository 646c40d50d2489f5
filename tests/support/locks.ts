/**
 * POSIX locks: as the system lists them, and as another process holds them. May import: tests/support.
 * @module
 */
import { fileURLToPath } from "node:url";
import type { LiveNode } from "./node.ts";
import { Child, within } from "./process.ts";
import type { Scope } from "./scope.ts";

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

/**
 * lock_holder.py: bytes of the -shm `path` are locked as by a SQLite process. The function that is
 * returned takes its commands, and returns whether it got the lock.
 */
export function lockHolder(scope: Scope, path: string): (command: string) => Promise<boolean> {
  const args = ["-B", fileURLToPath(new URL("lock_holder.py", import.meta.url)), path];
  const child = scope.own(new Child({ program: "python3", args, stdin: "piped" }));
  return async (command) => {
    const answer = new Promise<string>((done) => child.stdout.onLine = done);
    await child.write(`${command}\n`);
    return await within(10_000, answer, () => `no answer to ${command}`) === "ok";
  };
}
