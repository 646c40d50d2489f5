import { GiveWay } from "../../../src/node/give_way.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { fakeEnv } from "../../support/fake_env.ts";

const LOOK_MS = 250;

/** A node that is looked at four times a second, and what it does. */
class World {
  readonly env = fakeEnv();
  readonly time = { ran: 4321, waited: 1234 };
  given = false;
  readonly node: GiveWay;

  constructor(possible = true, counts = true) {
    const way = {
      open: (): boolean => possible,
      give: (giving: boolean): void => void (this.given = giving),
      given: (): boolean => this.given,
    };
    this.node = new GiveWay(this.env, way, () => counts ? { ...this.time } : undefined);
  }

  /** It runs and waits these shares of `ms`. Returns whether it wants to be looked at soon. */
  async go(ms: number, ran: number, waited = 0): Promise<boolean> {
    let soon = false;
    for (let passed = 0; passed < ms; passed += LOOK_MS) {
      await this.env.clock.advance(LOOK_MS);
      this.time.ran += ran * LOOK_MS;
      this.time.waited += waited * LOOK_MS;
      soon = this.node.look();
    }
    return soon;
  }

  /** What the native half does. */
  async starve(): Promise<void> {
    assert(this.given);
    this.given = false;
    await this.go(LOOK_MS, 0.05, 0.9);
    assertEquals(this.node.giving, false);
  }

  /** Busy all the time: how long until it gives way again, ms. */
  async again(): Promise<number> {
    for (let ms = LOOK_MS;; ms += LOOK_MS) {
      await this.go(LOOK_MS, 0.5);
      if (this.node.giving) return ms;
      assert(ms < 3_600_000);
    }
  }
}

Deno.test("GiveWay is for a busy node, and ends 2 s after it was one", async () => {
  const world = new World();
  assertEquals(await world.go(5000, 0.05), false);
  assertEquals([world.node.giving, world.given], [false, false]);
  assertEquals(await world.go(LOOK_MS, 0.3), true);
  assertEquals([world.node.giving, world.given], [true, true]);
  assertEquals(await world.go(1750, 0.02), true);
  await world.go(LOOK_MS, 0.12); // it comes in bursts
  assertEquals(await world.go(1750, 0.02), true);
  assertEquals(world.given, true);
  assertEquals(await world.go(LOOK_MS, 0.02), false);
  assertEquals([world.node.giving, world.given], [false, false]);
  await world.go(LOOK_MS, 0.3);
  assertEquals(world.given, true, "nothing was held against it");
});

Deno.test("GiveWay looks at times that say something", async () => {
  const world = new World();
  await world.env.clock.advance(20);
  world.time.ran += 20;
  world.node.look();
  assertEquals(world.given, false);
});

Deno.test("a node that waits as it is does not give way", async () => {
  const world = new World();
  await world.go(5000, 0.3, 0.45);
  assertEquals(world.node.giving, false);
  await world.go(LOOK_MS, 0.3, 0.3);
  assertEquals(world.node.giving, true);
  await world.go(5000, 0.3, 0.6); // now it is expected to wait
  assertEquals(world.node.giving, true);
});

Deno.test("a node that starved tries again, later each time that it was wrong to", async () => {
  const world = new World();
  await world.go(LOOK_MS, 0.5);
  for (const seconds of [10, 20, 40, 80, 160, 320, 600, 600]) {
    await world.starve();
    assertEquals(await world.again(), 1000 * seconds);
  }
  await world.go(20_000, 0.5);
  await world.starve();
  assertEquals(await world.again(), 10_000, "it went well for a while");
});

Deno.test("stop() ends it; without a way, or a system that counts, it never begins", async () => {
  const world = new World();
  await world.go(LOOK_MS, 0.5);
  world.node.stop();
  assertEquals([world.node.giving, world.given], [false, false]);
  for (const none of [new World(false), new World(true, false)]) {
    assertEquals(await none.go(5000, 0.9), false);
    assertEquals([none.node.giving, none.given], [undefined, false]);
    none.node.stop();
    assertEquals(none.env.lines.map(({ level }) => level), ["debug"]);
  }
});
