/**
 * What happens in a world: one fixed course for systematic faults, one drawn from a seed. May import:
 * tests/support.
 * @module
 */
import { SeededRandom } from "../support/chaos_random.ts";
import { TROUBLES } from "../support/fault_link.ts";
import { FAULT_KINDS, type FaultKind } from "../support/fault_plan.ts";
import { COMMIT_KINDS } from "../support/fault_primary.ts";
import { Reader } from "../support/fault_reader.ts";
import { Violation } from "../support/fault_judge.ts";
import { OTHERS } from "../support/fault_others.ts";
import { World, type WorldOptions } from "../support/fault_world.ts";

/** A run that failed: everything needed to see it again. */
export class FaultFailure extends Error {
  override readonly name = "FaultFailure";
  constructor(
    readonly run: string,
    readonly reason: string,
    readonly struck: readonly string[],
    readonly story: readonly string[],
  ) {
    super(`${run}: ${reason}\nfaults: ${struck.join(", ") || "none"}`);
  }
}

/** What a run was like, for comparing two of the same seed. */
export interface Outcome {
  readonly story: readonly string[];
  readonly struck: readonly string[];
  readonly met: ReadonlyMap<string, number>;
  readonly labels: readonly string[];
  /** States that were shown. */
  readonly commits: number;
}

/** Runs `course` in a world of its own. @throws {FaultFailure} */
export async function inWorld(
  run: string,
  options: WorldOptions,
  course: (world: World) => Promise<void>,
): Promise<Outcome> {
  using world = new World(options);
  const stray = (event: PromiseRejectionEvent): void => {
    event.preventDefault();
    world.stray(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", stray);
  try {
    await course(world);
    await world.converge();
    await world.check();
    world.kill(); // and what lies there is what it showed
    await world.check();
    world.cutPower();
    await world.check();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    throw new FaultFailure(run, error.message, world.plan.struck, world.story);
  } finally {
    globalThis.removeEventListener("unhandledrejection", stray);
  }
  const { story, plan } = world;
  return {
    story,
    struck: plan.struck,
    met: plan.met,
    labels: plan.record ?? [],
    commits: world.primary.moments.length,
  };
}

// ---- The fixed course ----

export interface Strike {
  /** The nth labelled call of the course, from 0. */
  readonly call: number;
  readonly kind: FaultKind;
  /** Another process has the database open: shared memory outlives the node. */
  readonly reader: boolean;
}

export const FIXED: Omit<WorldOptions, "seed"> = {
  pageSize: 512,
  pageCount: 20,
  soft: 12,
  hard: 24,
  syncMs: 1,
  beside: false,
};

/** First copy, live commits, log restarts, a rewrite, catch-up after a stop, repair after a new epoch. */
export function fixedCourse(seed: number, strike: Strike | undefined): Promise<Outcome> {
  const what = strike === undefined
    ? "no fault"
    : `${strike.kind} at call ${strike.call}${strike.reader ? ", with a reader" : ""}`;
  return inWorld(`fixed course, seed ${seed}, ${what}`, { ...FIXED, seed }, async (world) => {
    const { plan, primary } = world;
    plan.record = [];
    if (strike !== undefined) plan.arm({ label: undefined, kind: strike.kind, skip: strike.call });
    const step = async (ms: number): Promise<void> => {
      await world.clock.advance(ms);
      await world.check();
      if (!world.up) {
        world.start();
        await world.clock.advance(1000);
        await world.check();
      }
    };
    world.start();
    await step(2500);
    if (strike?.reader === true && world.files.there) world.readers.push(new Reader(world.files));
    for (let nth = 0; nth < 14; nth++) {
      const kinds = ["touch", "grow", "same-pages", "touch", "shrink", "touch", "rewrite"] as const;
      primary.commit(kinds[nth % kinds.length]!);
      await step(nth % 5 === 4 ? 1200 : 60);
    }
    world.kill();
    for (const kind of ["touch", "shrink", "grow"] as const) primary.commit(kind);
    await step(100);
    await step(2500);
    primary.restart(2);
    await step(2500);
    primary.commit("grow");
    primary.commit("rewrite");
    await step(1500);
  });
}

// ---- Drawn from a seed ----

/** Runs one seed: 10 to 30 steps, each a handful of commits, faults and a little time. */
export function randomCourse(seed: number): Promise<Outcome> {
  // Apart from the world's own chance: what one draws does not shift the other.
  const draw = new SeededRandom(Math.imul(seed, 0x9e3779b1));
  const large = draw.chance(0.08);
  const soft = draw.int(6, 40);
  const options: WorldOptions = {
    seed,
    pageSize: draw.chance(0.85) ? 512 : 1024,
    pageCount: large ? draw.int(130, 300) : draw.int(2, 30),
    soft,
    hard: draw.chance(0.1) ? 0 : soft * draw.int(1, 3),
    syncMs: draw.chance(0.5) ? 2 : 60,
    beside: seed % 2 === 1,
  };
  return inWorld(`seed ${seed}`, options, async (world) => {
    const steps = draw.int(8, 24);
    const rough = draw.chance(0.7) ? draw.int(5, 60) / 100 : 0;
    world.trouble = () => draw.chance(rough) ? draw.pick(TROUBLES) : "none";
    for (let nth = 0; nth < steps; nth++) await oneStep(world, draw, nth);
  });
}

async function oneStep(world: World, draw: SeededRandom, nth: number): Promise<void> {
  const { primary, plan } = world;
  world.note(`step ${nth}`);
  if (!world.up && draw.chance(0.7)) world.start();
  if (draw.chance(0.35)) arm(world, draw);
  if (draw.chance(0.04)) plan.diskFull = true;
  else if (draw.chance(0.5)) plan.diskFull = false;
  if (draw.chance(0.06)) primary.restart(draw.int(0, 3));
  if (draw.chance(0.08)) primary.down = !primary.down;
  await others(world, draw);
  world.impostor = world.readable && draw.chance(0.05) ? world.stranger() : undefined;
  const commits = draw.chance(0.8) ? draw.int(1, 6) : 0;
  for (let done = 0; done < commits; done++) {
    primary.commit(draw.pick(COMMIT_KINDS));
    if (draw.chance(0.6)) await world.clock.advance(draw.int(0, 30));
  }
  if (draw.chance(0.06)) world.kill();
  if (draw.chance(0.04)) world.cutPower();
  await world.check();
  await world.clock.advance(draw.pick([5, 50, 300, 1200, 4500]));
  await world.check();
}

/** Most strikes at a label that is known to come, some at any. */
function arm(world: World, draw: SeededRandom): void {
  const labels = [...world.plan.met.keys()];
  const label = labels.length > 0 && draw.chance(0.8) ? draw.pick(labels) : undefined;
  const skip = label === undefined ? draw.int(0, 60) : draw.int(0, 4);
  world.plan.arm({ label, kind: draw.pick(FAULT_KINDS), skip });
}

async function others(world: World, draw: SeededRandom): Promise<void> {
  const { readers, files } = world;
  if (!world.up && draw.chance(0.3)) {
    await world.foreign(draw.pick(OTHERS));
  }
  if (files.there && readers.length < 3 && draw.chance(0.3)) {
    await world.check(); // a broken header is recovered before
    const reader = new Reader(files);
    if (draw.chance(0.7)) reader.begin();
    readers.push(reader);
  }
  for (const reader of [...readers]) {
    if (draw.chance(0.3)) reader.end();
    else if (draw.chance(0.2)) {
      readers.splice(readers.indexOf(reader), 1);
      reader.close();
    }
  }
}
