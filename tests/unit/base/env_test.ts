import { silentLog, systemClock, systemRandom } from "../../../src/base/env.ts";
import { parseEpoch } from "../../../src/base/types.ts";
import { assert, assertEquals, assertNotEquals } from "../../support/assert.ts";
import { FakeClock, SeededRandom } from "../../support/fake_env.ts";

Deno.test("Clock.sleep() resolves early, and leaves nothing behind, when its signal aborts", async () => {
  for (const clock of [systemClock, new FakeClock()]) {
    const controller = new AbortController();
    const slept = clock.sleep(3_600_000, controller.signal);
    controller.abort();
    await slept;
    await clock.sleep(3_600_000, controller.signal); // aborted before
    if (clock instanceof FakeClock) assertEquals(clock.waiting, 0);
  }
});

Deno.test("Clock.sleep() and after() wait", async () => {
  const start = systemClock.monotonic();
  await systemClock.sleep(5, new AbortController().signal);
  assert(systemClock.monotonic() - start >= 4);
  const cancelled: string[] = [];
  const cancel = systemClock.after(1, () => cancelled.push("not cancelled"));
  cancel();
  await new Promise<void>((resolve) => systemClock.after(5, resolve));
  assertEquals(cancelled, []);
});

Deno.test("systemRandom.id() is an epoch, each time another", () => {
  const ids = Array.from({ length: 100 }, () => parseEpoch(systemRandom.id()));
  assertEquals(new Set(ids).size, 100);
  assert(systemRandom.fraction() < 1);
});

Deno.test("silentLog says nothing, also with fields", () => {
  silentLog.with({ db: "x" }).error("nothing");
});

Deno.test("FakeClock.advance() runs timers in order, also those that timers start", async () => {
  const clock = new FakeClock();
  const ran: string[] = [];
  clock.after(20, () => ran.push(`b ${clock.monotonic()}`));
  clock.after(10, () => {
    ran.push(`a ${clock.monotonic()}`);
    void clock.sleep(5).then(() => ran.push(`c ${clock.monotonic()}`));
  });
  clock.after(31, () => ran.push("too early"));
  await clock.advance(30);
  assertEquals(ran, ["a 10", "c 15", "b 20"]);
  assertEquals([clock.monotonic(), clock.waiting], [30, 1]);
});

Deno.test("SeededRandom gives the same again for the same seed only", () => {
  const three = (seed: number): number[] => {
    const random = new SeededRandom(seed);
    return [random.u32(), random.u32(), random.below(10)];
  };
  assertEquals(three(1), three(1));
  assertNotEquals(three(1), three(2));
  assertEquals(new SeededRandom(5).id().length, 16);
});
