/** What chance has found once, again on purpose. */
import { FIXED, inWorld } from "../../fault/scenario.ts";
import { Reader } from "../../support/fault_reader.ts";
import type { FaultKind } from "../../support/fault_plan.ts";
import type { World } from "../../support/fault_world.ts";
import { assert } from "../../support/assert.ts";

const SEEDS = 40;

async function step(world: World, ms: number): Promise<void> {
  await world.clock.advance(ms);
  await world.check();
}

/** Power cuts may leave both names of a finished first copy, and undo that one was removed. */
async function removedAndCopiedAgain(seed: number, label: string, kind: FaultKind) {
  let resumed = false;
  await inWorld(`seed ${seed}, ${kind} at ${label}`, { ...FIXED, seed }, async (world) => {
    const { plan, primary } = world;
    world.start();
    await step(world, 2500);
    world.cutPower();
    await step(world, 10);
    await world.foreign("database removed");
    for (const change of ["touch", "grow", "touch"] as const) primary.commit(change);
    plan.arm({ label, kind, skip: 0 });
    world.start();
    await world.clock.advance(1500);
    if (world.up) world.cutPower();
    resumed = world.story.some((line) => line.includes("first copy resumed"));
    await world.check();
    plan.disarm();
  });
  return resumed;
}

Deno.test("a database that was removed does not come back as half of its next copy", async () => {
  let resumed = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    for (const label of ["copy:write", "copy:sync", "folder:sync", "state:write"]) {
      if (await removedAndCopiedAgain(seed, label, "cut")) resumed++;
    }
  }
  assert(resumed > SEEDS / 4, `${resumed} of them met the copy's other name`);
});

/** Killed before it published what it had appended, and again before it has written over it. */
async function killedTwice(seed: number, label: string): Promise<boolean> {
  let twice = false;
  await inWorld(`seed ${seed}, killed again at ${label}`, { ...FIXED, seed }, async (world) => {
    const { plan, primary } = world;
    world.start();
    await step(world, 2500);
    primary.commit("touch");
    await step(world, 200);
    const reader = new Reader(world.files); // so that the wal-index outlives the node
    world.readers.push(reader);
    plan.arm({ label: "shm:append", kind: "kill", skip: seed % 3 });
    primary.commit(seed % 2 === 0 ? "touch" : "grow");
    await world.clock.advance(200);
    if (world.up) return;
    primary.commit("touch");
    plan.arm({ label, kind: "kill", skip: 0 });
    world.start();
    await world.clock.advance(200);
    twice = !world.up;
    plan.disarm();
    world.readers.length = 0;
    reader.close(); // the wal-index goes: who comes next recovers the log
    if (twice) world.start(); // and it says where it is
    await step(world, 1500);
  });
  return twice;
}

Deno.test("a replica that was killed twice knows what somebody's recovery has published", async () => {
  let twice = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    for (const label of ["folder:sync", "wal:frame", "state:write"]) {
      if (await killedTwice(seed, label)) twice++;
    }
  }
  assert(twice > SEEDS / 4, `${twice} of them were killed twice`);
});
