import { eachSecond, silentLog, Stop, systemClock, systemRandom } from "../../../src/base/env.ts";
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

Deno.test("eachSecond() calls all at whole seconds with one timer, until they are disposed of", async () => {
  const clock = new FakeClock();
  const called: string[] = [];
  await clock.advance(300);
  {
    using _a = eachSecond(clock, (at) => called.push(`a ${at}`));
    await clock.advance(100);
    const b = eachSecond(clock, (at) => {
      called.push(`b ${at}`);
      if (at === 2000) b[Symbol.dispose](); // while it is called
    });
    assertEquals(clock.waiting, 1);
    await clock.advance(2600);
    assertEquals(called, ["a 1000", "b 1000", "a 2000", "b 2000", "a 3000"]);
    assertEquals(clock.waiting, 1);
  }
  assertEquals(clock.waiting, 0, "nobody is left");
  const last = eachSecond(clock, (at) => {
    called.push(`c ${at}`);
    last[Symbol.dispose](); // the last one, while it is called
  });
  await clock.advance(2000);
  assertEquals([called.slice(5), clock.waiting], [["c 4000"], 0]);
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

/** Timers of the system that `work` starts. */
async function timersOf(work: () => void | Promise<void>): Promise<number> {
  const { setTimeout } = globalThis;
  let count = 0;
  globalThis.setTimeout = ((...args: Parameters<typeof setTimeout>) => {
    count++;
    return setTimeout(...args);
  }) as typeof setTimeout;
  try {
    await work();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  return count;
}

Deno.test("systemClock: many waits for the same time are one timer", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let done = 0;
  const began = systemClock.monotonic();
  const count = await timersOf(async () => {
    const due = Math.ceil(began) + 40;
    for (let nth = 0; nth < 300; nth++) {
      systemClock.after(due - systemClock.monotonic(), () => {
        if (++done === 300) resolve();
      });
    }
    await promise;
  });
  assert(count <= 2, `${count} timers`);
  assert(systemClock.monotonic() - began >= 39, "none too soon");
});

Deno.test("systemClock.after(): cancelled is cancelled, also by one that is called before it", async () => {
  const called: string[] = [];
  const due = Math.ceil(systemClock.monotonic()) + 30;
  const after = (name: string, work = (): void => {}): () => void =>
    systemClock.after(due - systemClock.monotonic(), () => {
      called.push(name);
      work();
    });
  const a = after("a");
  after("b", () => c());
  const c = after("c");
  const same = (): void => void called.push("same");
  for (let twice = 0; twice < 2; twice++) systemClock.after(due - systemClock.monotonic(), same);
  a();
  a();
  await systemClock.sleep(60);
  assertEquals(called, ["b", "same", "same"]);
  const alone = systemClock.after(60_000, () => {}); // else this test leaks a timer
  alone();
  const again = systemClock.after(60_000, () => {});
  again();
});

Deno.test("systemClock.after(): work that starts the next wait goes on", async () => {
  let rounds = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const round = (): void => {
    if (++rounds === 3) resolve();
    else systemClock.after(20, round);
  };
  systemClock.after(20, round);
  await promise;
  assertEquals(rounds, 3);
});

Deno.test("Stop aborts with another signal, after a while, or when it is told to, and leaves nothing", async () => {
  const clock = new FakeClock();
  const outer = new AbortController();
  {
    using plain = new Stop(outer.signal);
    using late = new Stop(new AbortController().signal, { clock, ms: 100 });
    using told = new Stop(outer.signal, { clock, ms: 500 });
    await clock.advance(100);
    assertEquals([plain, late, told].map(({ signal }) => signal.aborted), [false, true, false]);
    told.abort("why");
    assertEquals([plain.signal.aborted, told.signal.reason], [false, "why"]);
    outer.abort();
    assertEquals([plain.signal.aborted, told.signal.reason], [true, "why"]);
    using after = new Stop(outer.signal);
    assertEquals(after.signal.aborted, true);
  }
  assertEquals(clock.waiting, 0);
  const other = new AbortController();
  const gone = new Stop(other.signal);
  gone[Symbol.dispose]();
  other.abort();
  assertEquals(gone.signal.aborted, false);
});
