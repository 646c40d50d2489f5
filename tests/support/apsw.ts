/**
 * Other SQLite versions than the system's: PyPI's apsw wheels carry the SQLite of their number.
 * Installed once into dist/. May import: tests/support/process.
 * @module
 */
import { fileURLToPath } from "node:url";
import { Child } from "./process.ts";

const DIST = fileURLToPath(new URL("../../dist/", import.meta.url));

export const APSW_VERSIONS = ["3.46.1.0", "3.53.1.0"] as const;
export type ApswVersion = typeof APSW_VERSIONS[number];

async function python(...args: readonly string[]): Promise<Child> {
  const child = new Child({ program: "python3", args });
  await child.wait(180_000);
  return child;
}

/** False where Python has no pip: then these versions cannot be had. */
export async function havePip(): Promise<boolean> {
  return (await python("-m", "pip", "--version")).exit?.code === 0;
}

/** The folder to give as `apsw` to an App. */
export async function apswFolder(version: ApswVersion): Promise<string> {
  const folder = `${DIST}apsw-${version}`;
  const there = (): Promise<boolean> => Deno.stat(folder).then(() => true, () => false);
  if (await there()) return folder;
  const fresh = await Deno.makeTempDir({ dir: DIST, prefix: "apsw-" });
  const install = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", fresh];
  const child = await python(...install, `apsw==${version}`);
  if (child.exit?.code !== 0) {
    await Deno.remove(fresh, { recursive: true });
    throw new Error(`Cannot install apsw ${version}:\n${child.stderr.kept.join("\n")}`);
  }
  await Deno.rename(fresh, folder).catch(async (error) => {
    await Deno.remove(fresh, { recursive: true });
    if (!(await there())) throw error; // else another test file was faster
  });
  return folder;
}
