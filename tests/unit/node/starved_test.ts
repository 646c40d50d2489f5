import { Starved } from "../../../src/node/starved.ts";
import { processorTime } from "../../../src/sqlite/process.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { fakeEnv, type LogLine } from "../../support/fake_env.ts";

/** Looks once a second at a process that waits these shares of it; the log's lines. */
async function lines(shares: readonly (number | undefined)[]): Promise<readonly LogLine[]> {
  const env = fakeEnv();
  let waited = 12_345; // it has run for a while
  let share: number | undefined = 0;
  const starved = new Starved(env, () => share === undefined ? undefined : waited);
  for (share of shares) {
    await env.clock.advance(1000);
    waited += 1000 * (share ?? 0);
    const before = starved.waitedMs;
    starved.look();
    assertEquals(starved.waitedMs, share === undefined ? before : waited);
  }
  return env.lines;
}

const times = (count: number, share: number): number[] => Array(count).fill(share);

Deno.test("Starved says once that a node gets no processor, and once that it does again", async () => {
  const [told, ended, ...more] = await lines([
    ...times(20, 0.3),
    ...times(60, 0.98),
    ...times(20, 0.3),
  ]);
  assertEquals(told, {
    level: "warn",
    message: "other programs leave this one hardly any processor",
    fields: { waits: "71 %" },
  });
  assertEquals([ended?.level, ended?.message], ["info", "there is processor again"]);
  const after = Number(ended?.fields["after_ms"]);
  assert(after > 60_000 && after < 66_000, `after ${after} ms`);
  assertEquals(more, []);
});

Deno.test("Starved forgives a few bad seconds, and a system that does not count", async () => {
  assertEquals(await lines([...times(20, 0), ...times(3, 1), ...times(20, 0)]), []);
  assertEquals(await lines(Array(20).fill(undefined)), []);
});

Deno.test("processorTime() grows and never goes back", () => {
  const before = processorTime();
  for (const until = performance.now() + 20; performance.now() < until;);
  const after = processorTime();
  if (before === undefined || after === undefined) return assertEquals(after, before);
  assert(before.waited > 0 && after.waited >= before.waited, `${before.waited}, ${after.waited}`);
  assert(after.ran >= before.ran, `${before.ran}, ${after.ran}`);
});
