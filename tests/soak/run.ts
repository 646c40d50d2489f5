/**
 * One run: everything is started, the schedule carried out until the time is over, all must be equal
 * and end cleanly. What failed is kept in its folder. May import: tests/support, tests/soak.
 * @module
 */
import { APSW_VERSIONS, apswFolder, havePip } from "../support/apsw.ts";
import { SeededRandom } from "../support/chaos_random.ts";
import { Child, within } from "../support/process.ts";
import { Crew, type Engines, shapeOf } from "./crew.ts";
import { Fleet, unmountSmall } from "./fleet.ts";
import type { Ledger } from "./ledger.ts";
import { carryOut } from "./nemesis.ts";
import { Quiet } from "./quiet.ts";
import { describe, NODES, schedule, SMALL_DISKS } from "./schedule.ts";
import { assertEqual, settle } from "./settle.ts";
import { type NodeCounts, type Summary, summaryOf } from "./summary.ts";
import { type Bounds, Watch } from "./watch.ts";
import type { World } from "./world.ts";

/**
 * The hard limit is 8,000 frames; beyond it come the largest transaction (a VACUUM writes every page)
 * and what is written while a frozen or long reader, a frozen node or a full disk holds the log up for
 * 7 s: some 10 MB a second at most.
 */
const BOUNDS: Bounds = { walBytes: 250 * 2 ** 20, rssBytes: 300 * 2 ** 20 };
const START_LIMIT_MS = 30_000;
/** Of a step: faults last 7 s at most, then come recovery and what a settle may take. */
const STEP_LIMIT_MS = 120_000;

export interface RunOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly keepGoing: boolean;
  readonly executable: string;
  readonly folder: string;
  readonly smallDisks: boolean;
  readonly ledger: Ledger;
  readonly signal: AbortSignal;
}

/** Leaves nothing running. Violations stand in the summary; throws only for what stops the soak itself. */
export async function run(options: RunOptions): Promise<Summary> {
  const { folder, ledger, seed, smallDisks } = options;
  const random = new SeededRandom(seed);
  const shape = shapeOf(random);
  const engines = await enginesOf(ledger);
  const fleet = await Fleet.create(options);
  const path = (name: typeof NODES[number]): string => fleet.get(name).path;
  const crew = new Crew({ folder, engines, seed: random.seed(), ledger, path });
  const watch = new Watch(fleet, ledger, BOUNDS);
  const quiet = new Quiet(fleet.primary.quietPath, ledger);
  const world: World = {
    ...{ folder, fleet, crew, watch, ledger, quiet },
    backup: undefined,
    generation: 0,
  };
  ledger.event(
    `seed ${seed}, ${options.minutes} min, page size ${shape.page_size}, ` +
      `auto_vacuum ${shape.auto_vacuum}, small disks ${smallDisks ? "yes" : "no"}`,
  );
  let nodes: NodeCounts[] = [];
  try {
    await Promise.all([crew.createDatabase(shape), quiet.start()]);
    for (const worker of crew.all) worker.start();
    for (const member of fleet.all) member.start();
    await Promise.all(fleet.all.map((member) => member.node.healthy(START_LIMIT_MS)));
    watch.start();
    await settle(world);
    await steps(world, options);
    nodes = await end(world);
  } catch (error) {
    ledger.violation(`the soak cannot go on: ${error instanceof Error ? error.stack : error}`);
  } finally {
    const stopping = watch[Symbol.asyncDispose]();
    await Promise.all([crew, fleet, quiet].map((part) => part[Symbol.asyncDispose]()));
    await stopping;
  }
  const failed = ledger.violations.length > 0;
  if (failed) await keepLogs(world);
  if (smallDisks) await leaveSmallDisks(fleet, failed);
  return summaryOf({
    seed,
    ledger,
    nodes,
    writers: [...crew.writers.values()].map(({ stats }) => stats),
    readers: [...crew.readers.values()].flat().map(({ stats }) => stats),
    sqlite: await versions(engines),
  });
}

async function steps(world: World, options: RunOptions): Promise<void> {
  const { ledger } = world;
  const endsAt = performance.now() + options.minutes * 60_000;
  for (const step of schedule(options)) {
    if (performance.now() > endsAt || options.signal.aborted) return;
    if (ledger.violations.length > 0 && !options.keepGoing) return;
    ledger.event(describe(step));
    const work = step.type === "settle" ? settle(world) : carryOut(world, step.faults);
    await within(STEP_LIMIT_MS, work, () => `"${describe(step)}" is not over`);
  }
}

/** Writers stop, all becomes equal, everything ends when told; then the files alone are compared. */
async function end(world: World): Promise<NodeCounts[]> {
  const { crew, fleet, ledger, quiet, watch } = world;
  ledger.event("the end: all stop");
  await Promise.all([crew.tellWriters({ do: "stop" }), quiet.pause()]);
  await assertEqual(world);
  const nodes = await Promise.all(fleet.all.map(async ({ name, node }): Promise<NodeCounts> => {
    const { applied, firstCopies, repairs, repairedPages, newEpochs } =
      (await node.database()).counters;
    return { name, applied, firstCopies, repairs, repairedPages, newEpochs };
  }));
  for (const name of NODES) await crew.tellReaders(name, { do: "stop" });
  watch.trouble(world, NODES); // who is stopped last has nobody to follow
  for (const member of fleet.all) {
    await member.stop().catch((error) => ledger.violation(String(error.message)));
  }
  return nodes;
}

async function enginesOf(ledger: Ledger): Promise<Engines> {
  if (!await havePip()) {
    ledger.event("no pip: the application has the system's SQLite only");
    return {};
  }
  const folders = await Promise.all(
    APSW_VERSIONS.map(async (version) => [version, await apswFolder(version)] as const),
  );
  return Object.fromEntries(folders);
}

async function versions(engines: Engines): Promise<string[]> {
  await using child = new Child({
    program: "python3",
    args: ["-c", "import sqlite3; print(sqlite3.sqlite_version)"],
  });
  await child.wait(10_000);
  return [...child.stdout.kept, ...Object.keys(engines)];
}

async function keepLogs({ folder, fleet, ledger }: World): Promise<void> {
  for (const { name, node } of fleet.all) {
    await Deno.writeTextFile(`${folder}/${name}.log`, `${node.log.join("\n")}\n`);
  }
  await Deno.writeTextFile(`${folder}/soak.log`, `${ledger.lines.join("\n")}\n`);
}

/** They vanish with this process: what is to be kept is copied below them first. */
async function leaveSmallDisks(fleet: Fleet, keep: boolean): Promise<void> {
  for (const name of SMALL_DISKS) {
    const { folder } = fleet.get(name);
    await Deno.remove(`${folder}/filler`).catch(() => {});
    if (keep) {
      await new Deno.Command("cp", { args: ["-a", folder, `${folder}.kept`] }).output();
    }
    await unmountSmall(folder);
    if (!keep) continue;
    await Deno.remove(folder, { recursive: true });
    await Deno.rename(`${folder}.kept`, folder);
  }
}
