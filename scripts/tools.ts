/**
 * What the scripts share: where the repository is, running a program, hashing what a build depends
 * on. May import: nothing of src.
 * @module
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

/** The repository's directory, with a slash at its end. */
export const ROOT: string = fileURLToPath(new URL("..", import.meta.url));

/** A failure that one sentence explains; shown without a stack. */
export class ScriptError extends Error {
  override readonly name = "ScriptError";
}

export function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** Runs `main`; a ScriptError becomes its sentence and exit code 1. */
export async function runScript(main: () => Promise<number>): Promise<never> {
  try {
    Deno.exit(await main());
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    Deno.stderr.writeSync(new TextEncoder().encode(`${error.message}\n`));
    Deno.exit(1);
  }
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The sentence when there is no such program. */
  readonly missing?: string;
  /** Show what the program prints instead of returning it. */
  readonly show?: boolean;
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program without stdin. @throws {ScriptError} if there is no such program. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const output = options.show === true ? "inherit" : "piped";
  const command = new Deno.Command(program, {
    args: [...args],
    cwd: options.cwd ?? ROOT,
    env: { ...options.env },
    stdin: "null",
    stdout: output,
    stderr: output,
  });
  try {
    if (options.show === true) {
      const { code } = await command.spawn().status;
      return { code, stdout: "", stderr: "" };
    }
    const { code, stdout, stderr } = await command.output();
    const text = new TextDecoder();
    return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new ScriptError(options.missing ?? `Cannot find the program "${program}"`);
  }
}

/** Like run(), but a failure is a ScriptError that says `doing` and what the program printed. */
export async function runOrFail(
  doing: string,
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, options);
  if (code === 0) return stdout;
  throw new ScriptError(`Cannot ${doing} (exit code ${code}):\n${stderr}${stdout}`.trimEnd());
}

export function sha256(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part).update("\0");
  return hash.digest("hex");
}

/** The file's text, undefined if it is absent. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** All files below `folder` as sorted paths relative to the repository; none if it is absent. */
export async function filesBelow(folder: string, skip: readonly string[] = []): Promise<string[]> {
  const found: string[] = [];
  const walk = async (relative: string): Promise<void> => {
    for await (const entry of Deno.readDir(`${ROOT}${relative}`)) {
      const path = relative === "" ? entry.name : `${relative}/${entry.name}`;
      if (skip.includes(path)) continue;
      if (entry.isDirectory) await walk(path);
      else if (entry.isFile) found.push(path);
    }
  };
  if (await exists(`${ROOT}${folder}`)) await walk(folder);
  return found.sort();
}

/** What every script that counts ends with. */
export function countLine(passed: number, failed: number): string {
  return `${passed} passed, ${failed} failed`;
}
