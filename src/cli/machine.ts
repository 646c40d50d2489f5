/**
 * What the doctor asks the machine: limits, places, rights. May import: sqlite/filesystem,
 * node/options.
 * @module
 */
import { accessSync, constants, statfsSync } from "node:fs";
import type { ListenAddress } from "../node/options.ts";
import { unsafeFilesystem } from "../sqlite/filesystem.ts";

export interface Place {
  /** The name of a file system on which SQLite's locks may not work. */
  readonly unsafe?: string;
  readonly freeBytes: number;
}

export interface Machine {
  /** Effective user. */
  readonly user: number;
  limits(): { readonly openFiles: number; readonly watches?: number };
  /** Undefined if the directory is not there. */
  place(folder: string): Place | undefined;
  /** It is there, and this user may not read and write it. */
  isClosed(path: string): boolean;
  ownerOf(path: string): number | undefined;
  canListen(addr: ListenAddress): boolean;
}

export function thisMachine(): Machine {
  return {
    user: Deno.uid() ?? 0,
    limits() {
      const table = readText("/proc/self/limits") ?? "";
      const [, soft, hard] = table.match(/^Max open files +(\S+) +(\S+)/m) ?? [];
      const watches = readText("/proc/sys/fs/inotify/max_user_watches");
      return {
        openFiles: numberOf(hard ?? soft), // the node raises its own limit to the hard one
        ...(watches === undefined ? {} : { watches: Number(watches) }),
      };
    },
    place(folder) {
      try {
        const { bavail, bsize } = statfsSync(folder);
        const unsafe = unsafeFilesystem(folder);
        return { freeBytes: bavail * bsize, ...(unsafe !== undefined && { unsafe }) };
      } catch {
        return undefined;
      }
    },
    isClosed(path) {
      try {
        Deno.statSync(path);
      } catch (error) {
        return !(error instanceof Deno.errors.NotFound);
      }
      try {
        accessSync(path, constants.R_OK | constants.W_OK);
        return false;
      } catch {
        return true;
      }
    },
    ownerOf(path) {
      try {
        return Deno.statSync(path).uid ?? undefined;
      } catch {
        return undefined;
      }
    },
    canListen(addr) {
      try {
        Deno.listen({ hostname: addr.hostname, port: addr.port }).close();
        return true;
      } catch {
        return false;
      }
    },
  };
}

/** "python3"; undefined if it has ended. */
export function processName(pid: number): string | undefined {
  return readText(`/proc/${pid}/comm`)?.trim();
}

function numberOf(limit: string | undefined): number {
  return limit === undefined || limit === "unlimited" ? Infinity : Number(limit);
}

function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}
