/**
 * gzip for archives that everybody can unpack, xz for what dpkg unpacks. The same bytes give the same
 * bytes, as long as Deno and xz are of the same version. May import: scripts/tools.
 * @module
 */
import { promisify } from "node:util";
import { gzip as nodeGzip } from "node:zlib";
import { ScriptError } from "../tools.ts";

/** `fast` is for tests: larger, in a twentieth of the time. */
export type Effort = "best" | "fast";

export async function gzip(bytes: Uint8Array, effort: Effort): Promise<Uint8Array> {
  return await promisify(nodeGzip)(bytes, { level: effort === "best" ? 9 : 1 });
}

/** One thread: the result of several depends on how many there are. @throws {ScriptError} */
export async function xz(bytes: Uint8Array): Promise<Uint8Array> {
  const child = start(["-T1", "-6", "--stdout"]);
  const writer = child.stdin.getWriter();
  const [{ code, stdout }] = await Promise.all([
    child.output(),
    writer.write(bytes).then(() => writer.close()),
  ]);
  if (code !== 0) throw new ScriptError(`Cannot compress: xz ended with exit code ${code}`);
  return stdout;
}

function start(args: readonly string[]): Deno.ChildProcess {
  try {
    const pipes = { stdin: "piped", stdout: "piped" } as const;
    return new Deno.Command("xz", { args: [...args], ...pipes }).spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new ScriptError("Cannot compress the .deb: no xz on PATH; install xz-utils");
  }
}
