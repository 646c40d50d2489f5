/**
 * All is whole and writers pause: every node must come to the same position, every file hold the same
 * pages. May import: src/base (text), tests/support, tests/soak/{fleet,world}.
 * @module
 */
import { eventuallyEqual } from "../support/content.ts";
import { eventually, sleep } from "../support/process.ts";
import type { Member } from "./fleet.ts";
import { statusText } from "./watch.ts";
import type { World } from "./world.ts";

const SAME_POSITION_MS = 30_000;
const SAME_CONTENT_MS = 20_000;
/** Its position is not waited for first. */
const QUIET_CONTENT_MS = 30_000;
/** Longer than the slow timer of a node. */
const QUIET_MS = 400;

/** Violations for whoever does not come to the primary's state; then a backup, and on it goes. */
export async function settle(world: World): Promise<void> {
  const { crew, ledger } = world;
  const started = performance.now();
  await Promise.all([crew.tellWriters({ do: "pause" }), world.quiet.pause()]);
  await sleep(QUIET_MS);
  await assertEqual(world);
  await backUp(world);
  await crew.tellWriters({ do: "run" });
  world.quiet.resume();
  ledger.count("settled");
  ledger.event(`settled in ${Math.round(performance.now() - started)} ms`);
}

/** Nobody may be writing. */
export async function assertEqual(world: World): Promise<void> {
  await Promise.all(world.fleet.replicas.map(async (replica) => {
    const quiet = sameContent(world, replica, "quietPath", QUIET_CONTENT_MS);
    if (await samePosition(world, replica)) {
      await sameContent(world, replica, "path", SAME_CONTENT_MS);
    }
    await quiet;
  }));
}

async function samePosition({ fleet, ledger }: World, replica: Member): Promise<boolean> {
  let wanted = "";
  try {
    await eventually(`${replica.name} is where the primary is`, async () => {
      wanted = place(await fleet.primary.node.database());
      const found = place(await replica.node.database());
      if (found === wanted) return true;
      throw new Error(`${found} instead of ${wanted}`);
    }, SAME_POSITION_MS);
    return true;
  } catch (error) {
    ledger.violation(`${text(error)}; ${await statusText(replica)}`);
    return false;
  }
}

function place(status: { epoch?: string; txid?: number; hash?: string }): string {
  const { epoch, txid, hash } = status;
  return epoch === undefined ? "nowhere" : `${epoch}/${txid} with hash ${hash}`;
}

async function sameContent(
  { fleet, ledger }: World,
  replica: Member,
  which: "path" | "quietPath",
  limitMs: number,
): Promise<void> {
  const quiet = which === "quietPath" ? "quiet " : "";
  ledger.count(`${quiet}content comparisons`);
  try {
    await eventuallyEqual(fleet.primary[which], replica[which], limitMs);
  } catch (error) {
    ledger.violation(`${replica.name} has other ${quiet}content: ${text(error)}`);
  }
}

/** By SQLite's backup API, from the live file, outside the small file system. Writers must be paused. */
export async function backUp(world: World): Promise<string> {
  const next = `${world.folder}/backup.db`;
  await Deno.remove(next).catch(() => {}); // there is none yet
  await world.crew.writers.get("w1")!.tell({ do: "backup", path: next });
  return world.backup = next;
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
