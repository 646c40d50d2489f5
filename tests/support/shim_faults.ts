/**
 * I/O errors of a node: calls on its files fail, by tests/fault/shim.c. Many databases in one node, each
 * with a fault of its own, so that a whole sweep takes as long as one. May import: tests/support.
 * @module
 */
import { assertEquals } from "./assert.ts";
import type { LiveNode } from "./node.ts";
import { eventually, sleep } from "./process.ts";
import type { Scope } from "./scope.ts";
import { type AddedRule, type Call, type Failure, Shim } from "./shim.ts";
import { ShimApp } from "./shim_app.ts";
import { sameAsPrimary, say, startNode } from "./shim_power.ts";

/** Which calls fail: those of one kind on one file, the n-th, or all from it on. */
export interface Target {
  /** What follows the database's path; "/" is its folder. */
  readonly file: "" | "/" | "-wal" | "-shm" | "-live" | `-live/${"state" | "copy" | "lock"}`;
  readonly on: Call;
  readonly failure: Failure;
}

export interface Case extends Target {
  readonly nth: number;
  readonly lasting: boolean;
}

export interface FaultRun {
  readonly writeMs: number;
  readonly cases: readonly Case[];
}

export interface Outcome {
  readonly case: Case;
  /** Calls of that kind while the writer wrote, and failures. */
  readonly seen: number;
  readonly fired: number;
}

const SMALL_LOG = { "min-checkpoint-page-count": 40, "max-checkpoint-page-count": 160 };
/** Between two commits; of all primaries one after the other. */
const PACE_MS = { replica: 8, primary: 20 } as const;
const MOST_PRIMARIES = 8;

export const REPLICA_TARGETS: readonly Target[] = [
  { file: "-live", on: "mkdir", failure: "ENOSPC" },
  { file: "-live/lock", on: "open", failure: "ENOSPC" },
  { file: "-live/copy", on: "open", failure: "ENOSPC" },
  { file: "-live/copy", on: "write", failure: "ENOSPC" },
  { file: "-live/copy", on: "write", failure: "EIO" },
  { file: "-live/copy", on: "write", failure: "short" },
  { file: "-live/copy", on: "sync", failure: "EIO" },
  { file: "-live/copy", on: "truncate", failure: "EIO" },
  { file: "-live/copy", on: "unlink", failure: "EIO" },
  { file: "-live/state", on: "open", failure: "ENOSPC" },
  { file: "-live/state", on: "write", failure: "ENOSPC" },
  { file: "-live/state", on: "write", failure: "short" },
  { file: "/", on: "sync", failure: "EIO" },
  { file: "", on: "link", failure: "ENOSPC" },
  { file: "", on: "open", failure: "EIO" },
  { file: "", on: "read", failure: "EIO" },
  { file: "", on: "write", failure: "ENOSPC" },
  { file: "", on: "write", failure: "EIO" },
  { file: "", on: "write", failure: "short" },
  { file: "", on: "sync", failure: "EIO" },
  { file: "-wal", on: "open", failure: "EIO" },
  { file: "-wal", on: "read", failure: "EIO" },
  { file: "-wal", on: "write", failure: "ENOSPC" },
  { file: "-wal", on: "write", failure: "EIO" },
  { file: "-wal", on: "write", failure: "short" },
  { file: "-wal", on: "sync", failure: "EIO" },
  { file: "-shm", on: "open", failure: "EIO" },
  { file: "-shm", on: "write", failure: "ENOSPC" },
  { file: "-shm", on: "truncate", failure: "EIO" },
];

export const PRIMARY_TARGETS: readonly Target[] = [
  { file: "-live", on: "mkdir", failure: "ENOSPC" },
  { file: "-live/lock", on: "open", failure: "ENOSPC" },
  { file: "-live/state", on: "open", failure: "ENOSPC" },
  { file: "-live/state", on: "write", failure: "ENOSPC" },
  { file: "-live/state", on: "write", failure: "short" },
  { file: "", on: "open", failure: "EIO" },
  { file: "", on: "read", failure: "EIO" },
  { file: "", on: "write", failure: "ENOSPC" },
  { file: "", on: "write", failure: "EIO" },
  { file: "", on: "write", failure: "short" },
  { file: "", on: "sync", failure: "EIO" },
  { file: "-wal", on: "open", failure: "EIO" },
  { file: "-wal", on: "read", failure: "EIO" },
  { file: "-wal", on: "sync", failure: "EIO" },
  { file: "-shm", on: "open", failure: "EIO" },
  { file: "-shm", on: "write", failure: "ENOSPC" },
];

/** Each target with each of `nths`. */
export function casesOf(
  targets: readonly Target[],
  nths: readonly number[],
  lasting: boolean,
): Case[] {
  return targets.flatMap((target) => nths.map((nth): Case => ({ ...target, nth, lasting })));
}

/** A case in few words. */
export function named({ file, on, failure, nth, lasting }: Case): string {
  const name = file === "/" ? "the folder" : `app.db${file}`;
  return `${failure} at ${on} ${nth}${lasting ? " and all after it" : ""} of ${name}`;
}

/** Which node has the database of a case. */
type NodeOf = (nth: number) => LiveNode;

/** Replicas of one primary, each with its own fault. */
export async function replicaFaults(scope: Scope, run: FaultRun): Promise<Outcome[]> {
  const { cases } = run;
  const folders = cases.map((_, nth) => `replica/${nth}`);
  const shim = await Shim.make(scope, folders);
  const source = await scope.path("primary/app.db");
  const app = scope.own(new ShimApp());
  await app.open(source);
  await app.commits([source], 25);
  const primary = startNode(scope, "primary", { dbs: [{ path: source, ...SMALL_LOG }] });
  await primary.healthy();
  const copies = folders.map((folder) => `${shim.root}/${folder}/app.db`);
  const rules = addRules(shim, copies, cases);
  await app.startWriting([source], PACE_MS.replica);
  const upstream = { url: primary.url, path: source };
  const dbs = copies.map((path) => ({ path, upstream, ...SMALL_LOG }));
  const replica = startNode(scope, "replica", { dbs }, shim.env({ recorded: false }));
  const reader = scope.own(new ShimApp());
  await reader.watch(copies);
  const outcomes = await faulty(() => replica, run, copies, rules);
  await sleep(200);
  assertEquals((await app.stopWriting()).errors, []);
  await healed(() => replica, copies, cases);
  await sameAsPrimary(
    app,
    copies.map((copy, nth) => ({ primary, source, replica, copy, which: named(cases[nth]!) })),
  );
  assertEquals((await reader.unwatch()).problems, [], "readers saw only whole states");
  await replica.stop();
  return outcomes;
}

/**
 * Primaries, each with its own fault, its writer and its replica, in several nodes.
 */
export async function primaryFaults(scope: Scope, run: FaultRun): Promise<Outcome[]> {
  const { cases } = run;
  const folders = cases.map((_, nth) => `primary/${nth}`);
  const shim = await Shim.make(scope, folders);
  const sources = folders.map((folder) => `${shim.root}/${folder}/app.db`);
  const app = scope.own(new ShimApp());
  for (const source of sources) await app.open(source);
  await app.commits(sources, 5);
  const rules = addRules(shim, sources, cases);
  const primaries: LiveNode[] = [];
  for (let first = 0; first < sources.length; first += MOST_PRIMARIES) {
    const dbs = sources.slice(first, first + MOST_PRIMARIES).map((path) => ({
      path,
      ...SMALL_LOG,
    }));
    primaries.push(startNode(scope, `primary ${first}`, { dbs }, shim.env({ recorded: false })));
  }
  const primaryOf: NodeOf = (nth) => primaries[Math.floor(nth / MOST_PRIMARIES)]!;
  const copies: string[] = [];
  for (const nth of cases.keys()) copies.push(await scope.path(`replica/${nth}/app.db`));
  const replica = startNode(scope, "replica", {
    dbs: copies.map((path, nth) => ({
      path,
      upstream: { url: primaryOf(nth).url, path: sources[nth]! },
      ...SMALL_LOG,
    })),
  });
  const reader = scope.own(new ShimApp());
  await reader.watch(copies);
  await app.startWriting(sources, PACE_MS.primary);
  const outcomes = await faulty(primaryOf, run, sources, rules);
  await sleep(200);
  assertEquals((await app.stopWriting()).errors, [], "the application notices nothing");
  await healed(primaryOf, sources, cases);
  await sameAsPrimary(
    app,
    copies.map((copy, nth) => {
      const which = named(cases[nth]!);
      return { primary: primaryOf(nth), source: sources[nth]!, replica, copy, which };
    }),
  );
  assertEquals((await reader.unwatch()).problems, [], "readers saw only whole states");
  for (const primary of primaries) await primary.stop();
  return outcomes;
}

function addRules(shim: Shim, paths: readonly string[], cases: readonly Case[]): AddedRule[] {
  return cases.map(({ file, on, failure, nth, lasting }, at) => {
    const path = paths[at]!;
    const name = file === "/" ? path.slice(0, path.lastIndexOf("/")) : `${path}${file}`;
    return shim.rules.add({ path: name, on, failure, from: nth, ...(lasting ? {} : { to: nth }) });
  });
}

/** Lets the writer write for a while, looks whether lasting faults are told, and ends them. */
async function faulty(
  nodeOf: NodeOf,
  run: FaultRun,
  paths: readonly string[],
  rules: readonly AddedRule[],
): Promise<Outcome[]> {
  await sleep(run.writeMs / 2);
  const before = rules.map((rule) => rule.read().fired);
  await sleep(run.writeMs / 2);
  const goesOn = rules.map((rule, nth) => rule.read().fired > before[nth]!);
  const silent: string[] = [];
  await Promise.all(run.cases.map(async (one, nth) => {
    if (!one.lasting || !goesOn[nth] || one.failure === "short") return; // writes go on with the rest
    const { fired } = rules[nth]!.read();
    const told = await isTold(nodeOf(nth), paths[nth]!);
    // What comes once, late, does not last: SQLite fsyncs the folder of a new -wal, and forgives that.
    if (!told && rules[nth]!.read().fired > fired) silent.push(named(one));
  }));
  const outcomes = rules.map((rule, nth) => ({ case: run.cases[nth]!, ...rule.read() }));
  for (const rule of rules) rule.end();
  assertEquals(silent, [], "health tells what lasts");
  return outcomes;
}

/** GET /health knows of it within some seconds, and says why. */
async function isTold(node: LiveNode, path: string): Promise<boolean> {
  try {
    await eventually("health tells", async () => {
      const { status, text } = await node.health();
      const { databases } = JSON.parse(text) as {
        databases: { path: string; healthy: boolean; reason?: string }[];
      };
      const health = databases.find((one) => one.path === path);
      return status === 503 && health?.healthy === false && (health.reason ?? "") !== "" ||
        undefined;
    }, 5000);
    return true;
  } catch {
    return false;
  }
}

async function healed(
  nodeOf: NodeOf,
  paths: readonly string[],
  cases: readonly Case[],
): Promise<void> {
  await Promise.all(paths.map(async (path, nth) => {
    await nodeOf(nth).until(
      `well after ${named(cases[nth]!)}`,
      ({ state }) => state === "streaming" || state === "serving",
      { path },
    );
  }));
  for (const node of new Set(paths.map((_, nth) => nodeOf(nth)))) await node.healthy();
  await Promise.all(paths.map(async (path, nth) => {
    await nodeOf(nth).until(
      `checkpoints again after ${named(cases[nth]!)}`,
      ({ walFrames = 0, walBackfilled = 0 }) =>
        walFrames < SMALL_LOG["min-checkpoint-page-count"] || walBackfilled === walFrames,
      { path },
    );
  }));
}

export function sayOutcomes(what: string, outcomes: readonly Outcome[]): void {
  const fired = outcomes.filter((one) => one.fired > 0).length;
  say(what, { cases: outcomes.length, fired });
  for (const { case: one, seen, fired } of outcomes) {
    say(`  ${named(one)}`, { seen, fired });
  }
}
