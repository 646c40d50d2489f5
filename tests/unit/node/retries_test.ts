import { goesOnByItself, Retries } from "../../../src/node/retries.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { fakeEnv } from "../../support/fake_env.ts";

/** Of random moments the latest. */
function setup() {
  const env = fakeEnv();
  const retries = new Retries({ ...env, random: { id: () => env.random.id(), fraction: () => 1 } });
  const waits = (count: number, code: Parameters<Retries["after"]>[0]): number[] =>
    Array.from({ length: count }, () => {
      retries.begin();
      return retries.after(code, "replica");
    });
  return { env, retries, waits };
}

Deno.test("Retries asks an upstream that fails less and less often, another failure even less", () => {
  assertEquals(setup().waits(6, "upstream"), [100, 200, 400, 800, 1000, 1000]);
  assertEquals(setup().waits(8, "disk"), [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  assertEquals(setup().waits(5000, "upstream").at(-1), 1000, "for ever");
});

Deno.test("Retries waits half as long at least, at random", () => {
  const env = fakeEnv();
  const drawn = Array.from({ length: 200 }, () => new Retries(env).after("upstream", "replica"));
  assert(drawn.every((ms) => ms >= 50 && ms <= 100) && new Set(drawn).size > 100);
});

Deno.test("Retries begins anew after a connection that was live for a while, or an end without failure", async () => {
  const { env, retries, waits } = setup();
  assertEquals(waits(3, "upstream"), [100, 200, 400]);
  retries.begin();
  retries.live();
  await env.clock.advance(1999);
  assertEquals(retries.after("upstream", "replica"), 800, "it breaks again and again");
  retries.begin();
  retries.live();
  await env.clock.advance(1000);
  retries.live(); // since it was first
  await env.clock.advance(1000);
  assertEquals(retries.after("upstream", "replica"), 100);
  waits(3, "upstream");
  retries.well();
  assertEquals(waits(1, "upstream"), [100]);
});

Deno.test("Retries compares hashes at once, but not again and again", async () => {
  const { env, retries, waits } = setup();
  assertEquals(waits(5, "position_gone"), [0, 0, 0, 800, 1000]);
  retries.begin();
  retries.live();
  await env.clock.advance(2000);
  assertEquals(retries.after("position_gone", "replica"), 0);
});

Deno.test("Retries of a primary looks at what is on this machine, however often", () => {
  const { retries } = setup();
  const waits = Array.from({ length: 20 }, () => retries.after("not_ready", "primary"));
  assertEquals(new Set(waits), new Set([250]));
  assertEquals([retries.after("corrupt", "primary"), goesOnByItself("corrupt")], [1000, false]);
});
