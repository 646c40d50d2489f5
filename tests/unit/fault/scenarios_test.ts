/** What chance has found once, again on purpose. */
import { FIXED, inWorld } from "../../fault/scenario.ts";
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
