import { Overdue, OVERDUE_MS } from "../../../src/node/overdue.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { fakeEnv } from "../../support/fake_env.ts";

Deno.test("Overdue tells of work that does not end, until it does", async () => {
  const { clock } = fakeEnv();
  const overdue = new Overdue(clock, "an fsync");
  await clock.advance(60_000);
  assertEquals(overdue.trouble(), undefined, "nothing is under way");
  const work = Promise.withResolvers<number>();
  const result = overdue.watch(() => work.promise);
  assertEquals(overdue.busy, true);
  await clock.advance(OVERDUE_MS);
  assertEquals(overdue.trouble(), undefined, "slow is not hanging");
  await clock.advance(1000);
  assertEquals(
    overdue.trouble(),
    "an fsync has not ended for 4 s: does the disk hang, or is there no processor for us?",
  );
  work.resolve(7);
  assertEquals([await result, overdue.trouble(), overdue.busy], [7, undefined, false]);
});

Deno.test("Overdue forgets work that failed", async () => {
  const { clock } = fakeEnv();
  const overdue = new Overdue(clock, "an fsync");
  await assertRejects(() => overdue.watch(() => Promise.reject(new Error("EIO"))), /EIO/);
  await clock.advance(60_000);
  assertEquals([overdue.trouble(), overdue.busy], [undefined, false]);
});
