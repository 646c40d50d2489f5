/**
 * What others do to the files while the node is down: stock connections, and people. None of their
 * calls fails. May import: tests/support.
 * @module
 */
import { type CheckpointParts, passive, truncate } from "./fault_checkpoint.ts";
import type { Machine } from "./fault_machine.ts";
import { Reader, type ReaderFiles } from "./fault_reader.ts";

export const OTHERS = [
  /** `wal_checkpoint(TRUNCATE)` by an application. */
  "truncate",
  /** A connection that is closed last checkpoints and removes the -wal. */
  "last close",
  /** The node's state file is gone. */
  "state removed",
  /** The database is gone, its -wal is not. */
  "database removed",
] as const;
export type Other = typeof OTHERS[number];

/** False if it cannot be done now. */
export async function others(what: Other, machine: Machine, files: ReaderFiles): Promise<boolean> {
  machine.plan.asleep = true;
  try {
    switch (what) {
      case "state removed":
        return remove(machine, `${files.path}-live/state`);
      case "database removed":
        return machine.shm === undefined && remove(machine, files.path);
      default:
        await byConnection(what, machine, files);
        return true;
    }
  } finally {
    machine.plan.asleep = false;
  }
}

function remove({ disk }: Machine, path: string): boolean {
  if (disk.find(path) === undefined) return false;
  disk.remove(path, "");
  return true;
}

async function byConnection(
  what: "truncate" | "last close",
  machine: Machine,
  files: ReaderFiles,
): Promise<void> {
  const { disk } = machine;
  const wal = files.wal ?? disk.make(`${files.path}-wal`, "");
  const last = machine.shm === undefined;
  const reader = new Reader(files);
  const parts: CheckpointParts = {
    machine,
    owner: reader,
    database: disk.find(files.path)!,
    wal,
    pageSize: files.pageSize,
    syncLog: () => disk.sync(wal, ""),
    pause: () => Promise.resolve(),
  };
  if (what === "truncate") await truncate(parts);
  else if (last) {
    await passive(parts);
    disk.remove(`${files.path}-wal`, "");
  }
  reader.close();
}
