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

Deno.test("a Waiter keeps its timer from wait to wait, and is not woken by what came before", async () => {
  const { clock, waiters, stop, woken, note } = setup();
  using waiter = waiters.join(stop.signal);
  waiters.wake(); // nobody waits: nothing to remember
  for (const name of ["1", "2", "3"]) {
    note(name, waiter.wait(() => 1000));
    await clock.advance(100);
    assertEquals(woken.length, Number(name) - 1);
    waiters.wake();
    await settle();
    assertEquals([woken.at(-1), clock.waiting], [name, 1]);
  }
  await clock.advance(1000); // it fires while nobody waits
  note("4", waiter.wait(() => 2000));
  await clock.advance(600);
  assertEquals([woken.length, clock.waiting], [3, 1]);
  await clock.advance(100);
  assertEquals(woken.at(-1), "4");
  note("5", waiter.wait(() => 9000));
  waiters.wake();
  note("sooner", waiter.wait(() => 2500)); // the timer is that of the last wait
  assertEquals(clock.waiting, 1);
  await clock.advance(1000);
  assertEquals([woken.at(-1), clock.waiting], ["sooner", 0]);
});

Deno.test("a Waiter asks again at its time, which may be later by then", async () => {
  const { clock, waiters, stop, woken, note } = setup();
  using waiter = waiters.join(stop.signal);
  let due = 1000;
  note("1", waiter.wait(() => due));
  due = 1500; // it is told of by nobody
  await clock.advance(1000);
  assertEquals([woken, clock.waiting], [[], 1]);
  await clock.advance(499);
  assertEquals(woken, []);
  await clock.advance(1);
  assertEquals(woken, ["1"]);
  due = 3000;
  note("2", waiter.wait(() => due));
  waiters.wake();
  note("3", waiter.wait(() => 9000));
  await clock.advance(1500);
  assertEquals(woken, ["1", "2"], "its timer was for an earlier wait");
});
