/**
 * Litestream 0.5 beside ours, where `--litestream PATH` names it: it follows a database to a folder,
 * and restores from there. Live reading from it is not measured: its `restore -f` stands still while a
 * reader is connected. Source: `litestream replicate -h`, `restore -h` of 0.5.17.
 * May import: scripts/bench, scripts/tools, tests/support.
 * @module
 */
import { Child, eventually } from "../../tests/support/process.ts";
import { exists, runOrFail } from "../tools.ts";
import type { Stage } from "./stage.ts";

const LIMIT_MS = 60_000;

/** Everything to a folder, and from there to a file; ms. */
export async function copyByLitestream(
  stage: Stage,
  program: string,
  source: string,
): Promise<number> {
  const target = await stage.path("litestream-copy");
  const folder = target.replace(/app\.db$/, "replica");
  const began = performance.now();
  await runOrFail("replicate", program, ["replicate", "-once", source, `file://${folder}`]);
  await runOrFail("restore", program, ["restore", "-o", target, `file://${folder}`]);
  const ms = performance.now() - began;
  await Deno.remove(target);
  return ms;
}

/** Litestream follows `source` until it is disposed of. */
export async function followByLitestream(
  stage: Stage,
  program: string,
  source: string,
): Promise<AsyncDisposable> {
  const folder = (await stage.path("litestream")).replace(/app\.db$/, "replica");
  const args = ["replicate", source, `file://${folder}`];
  const child = stage.own(new Child({ program, args }));
  await eventually("Litestream follows", async () => {
    if (child.exit !== undefined) throw new Error(child.stderr.kept.join("\n"));
    return await exists(folder) ? true : undefined;
  }, LIMIT_MS);
  return child;
}
