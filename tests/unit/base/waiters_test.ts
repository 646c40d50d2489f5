import { Waiters } from "../../../src/base/waiters.ts";
import { assertEquals } from "../../support/assert.ts";
import { fakeEnv, settle } from "../../support/fake_env.ts";

function setup() {
  const { clock } = fakeEnv();
  const waiters = new Waiters(clock);
  const stop = new AbortController();
  const woken: string[] = [];
  const note = (name: string, wait: Promise<void>): void => void wait.then(() => woken.push(name));
  return { clock, waiters, stop, woken, note };
}

Deno.test("Waiters are woken together, at their time, or by their signal", async () => {
  const { clock, waiters, stop, woken, note } = setup();
  for (const name of ["a", "b"]) note(name, waiters.wait(stop.signal, 1000));
  note("late", waiters.wait(stop.signal, 3000));
  note("never", waiters.wait(new AbortController().signal, 9000));
  await clock.advance(1000);
  assertEquals(woken, ["a", "b"]);
  stop.abort();
  await settle();
  assertEquals(woken, ["a", "b", "late"]);
  note("too late", waiters.wait(stop.signal, 9000));
  waiters.wake();
  await settle();
  assertEquals(woken, ["a", "b", "late", "too late", "never"]);
  assertEquals([waiters.size, clock.waiting], [0, 0]);
});

Deno.test("a Waiter waits again and again, is not woken by what came before, and sets no timer", async () => {
  const { clock, waiters, stop, woken, note } = setup();
  {
    using waiter = waiters.join(stop.signal);
    waiters.wake(); // nobody waits: nothing to remember
    for (const name of ["1", "2"]) {
      note(name, waiter.wait());
      await clock.advance(100);
      assertEquals(woken.length, Number(name) - 1);
      waiters.wake();
      await settle();
      assertEquals([woken.at(-1), clock.waiting], [name, 0]);
    }
    note("aborted", waiter.wait());
    stop.abort();
    await settle();
    note("at once", waiter.wait());
    await settle();
    assertEquals([woken.slice(2), waiters.size], [["aborted", "at once"], 1]);
  }
  assertEquals(waiters.size, 0);
});
