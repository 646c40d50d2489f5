import { Pulse } from "../../../src/node/pulse.ts";
import { assertEquals } from "../../support/assert.ts";
import { FakeClock } from "../../support/fake_env.ts";

function setUp() {
  const clock = new FakeClock();
  const state = { ticks: 0, checks: 0, soon: false };
  const pulse = new Pulse(clock, () => {
    state.ticks++;
    return state.soon;
  }, () => state.checks++);
  return { clock, state, pulse };
}

Deno.test("Pulse ticks once a second while nothing happens, four times while something does", async () => {
  const { clock, state, pulse } = setUp();
  pulse.start();
  await clock.advance(10_000);
  assertEquals(state, { ticks: 11, checks: 10, soon: false });
  state.soon = true;
  await clock.advance(1000);
  Object.assign(state, { ticks: 0, checks: 0 });
  await clock.advance(10_000);
  assertEquals(state, { ticks: 40, checks: 10, soon: true });
  pulse.stop();
  assertEquals(clock.waiting, 0);
});

Deno.test("Pulse that was hurried ticks within 250 ms, and checks no more often", async () => {
  const { clock, state, pulse } = setUp();
  pulse.start();
  await clock.advance(2100);
  Object.assign(state, { ticks: 0, checks: 0, soon: true });
  const began = Array.from({ length: 10 }, () => pulse.hurry());
  assertEquals(began, [true, ...Array<boolean>(9).fill(false)]);
  await clock.advance(150);
  assertEquals(state, { ticks: 1, checks: 0, soon: true });
  await clock.advance(750);
  assertEquals(state, { ticks: 4, checks: 1, soon: true });
  pulse.stop();
  assertEquals(pulse.hurry(), false);
  assertEquals(clock.waiting, 0);
});
