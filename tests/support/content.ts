/**
 * Compares databases page by page in a child process (content.py), never in this one.
 * May import: tests/support/process.
 * @module
 */
import { fileURLToPath } from "node:url";
import { Child, eventually } from "./process.ts";

export interface Comparison {
  readonly equal: boolean;
  readonly pages: number;
  readonly problems: readonly string[];
}

export interface Description {
  readonly pageSize: number;
  readonly pages: number;
  readonly walFrames: number;
  /** 127 on a guarded replica, 2 on any other WAL database. */
  readonly byte18: number;
  readonly byte19: number;
  /** Of all pages, byte 18 left out. */
  readonly sha256: string;
}

const PROGRAM = fileURLToPath(new URL("content.py", import.meta.url));

async function ask(...args: readonly string[]): Promise<unknown> {
  await using child = new Child({ program: "python3", args: ["-B", PROGRAM, ...args] });
  const { code } = await child.wait(180_000);
  if (code !== 0) throw new Error(`content.py failed:\n${child.stderr.kept.join("\n")}`);
  return JSON.parse(child.stdout.kept.join(""));
}

/** Both must be quiet. Byte 18 of page 1 is not compared: a replica's is its write guard. */
export async function compareFiles(first: string, second: string): Promise<Comparison> {
  return await ask("compare", first, second) as Comparison;
}

/** Waits until both hold the same pages. @throws {Error} after `limitMs`, with what differs. */
export async function eventuallyEqual(
  first: string,
  second: string,
  limitMs?: number,
): Promise<void> {
  await eventually(`${second} has the content of ${first}`, async () => {
    const { equal, problems } = await compareFiles(first, second);
    if (equal) return true;
    throw new Error(problems.join("; "));
  }, limitMs);
}

export async function describeFile(path: string): Promise<Description> {
  return await ask("describe", path) as Description;
}
