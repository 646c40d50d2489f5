/**
 * Which glibc a file needs, from its symbol versions. May import: scripts/tools.
 * @module
 */
import { runOrFail } from "../tools.ts";

/** What Deno's own runtime needs; nothing of ours may need more. */
export const MOST_GLIBC = "2.27";

const NO_READELF = "Cannot read symbol versions: no readelf on PATH; install binutils";

/** The version names, "GLIBC_2.34", that `path` needs and a glibc of MOST_GLIBC does not have. */
export async function tooNew(path: string): Promise<string[]> {
  const text = await runOrFail(`read "${path}"`, "readelf", ["-W", "--version-info", path], {
    missing: NO_READELF,
  });
  return newerThan(MOST_GLIBC, neededVersions(text));
}

/** The names in the "needs" section of what readelf prints. */
export function neededVersions(readelf: string): string[] {
  const needs = readelf.split("Version needs section")[1] ?? "";
  return [...new Set([...needs.matchAll(/Name: (\w+_[\w.]+)/g)].map(([, name]) => name!))];
}

/** Private versions (GLIBC_PRIVATE) fit one glibc alone, so they count as too new. */
export function newerThan(most: string, names: readonly string[]): string[] {
  const [, mostMinor] = most.split(".").map(Number);
  return names.filter((name) => {
    if (!name.startsWith("GLIBC_")) return false;
    const [, major, minor] = name.match(/^GLIBC_(\d+)\.(\d+)/) ?? [];
    return major !== "2" || Number(minor) > mostMinor!;
  });
}
