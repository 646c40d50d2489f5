import { LiveError } from "../../../src/base/errors.ts";
import type { DatabaseHandle } from "../../../src/node/handle.ts";
import { lend, type Lender } from "../../../src/node/lending.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { fakeEnv } from "../../support/fake_env.ts";

/** What happens, in order; the other process does what `others` says. */
function fixture(
  others: {
    restarts?: boolean;
    checkpoints?: boolean;
    fails?: LiveError;
    unreadable?: boolean;
    marks?: boolean;
  },
  backfilled = 10,
) {
  const env = fakeEnv();
  const events: string[] = [];
  const log = { mxFrame: 10, backfilled };
  const handle = {
    working: false,
    walIndex: {
      pin: () => {
        if (others.marks === true) return undefined;
        events.push("pin");
        return { [Symbol.dispose]: () => events.push("unpin") };
      },
      header: () => log,
    },
    lend: () => events.push("lend"),
    reclaim: () => {
      if (others.checkpoints === true) return false;
      events.push("reclaim");
      return true;
    },
    isRestarting: () => others.restarts === true,
    backfilled: () => log.backfilled,
  };
  const lender: Lender = {
    handle: handle as unknown as DatabaseHandle,
    last: 10,
    isLost: false,
    consume: () => {
      events.push("read");
      if (others.fails !== undefined) throw others.fails;
      return others.unreadable !== true;
    },
    readOn: (last) => Promise.resolve(void events.push(`read to ${last}`)),
    letGo: () => events.push("let go"),
    settled: () => events.push("settled"),
  };
  return { env, events, log, others, done: lend(lender, env.clock) };
}

Deno.test("lend() keeps the log pinned for as long as nobody restarts it", async () => {
  const { env, events, done } = fixture({});
  for (let ms = 0; ms < 1300; ms += 5) await env.clock.advance(5);
  await done;
  assertEquals(events, ["pin", "lend", "reclaim", "read to 10", "settled", "unpin"]);
  assertEquals(env.clock.waiting, 0);
});

Deno.test("lend() lets the log go once all of it is backfilled and read, and not before", async () => {
  const { env, events, done, log, others } = fixture({ restarts: true }, 9);
  await env.clock.advance(10);
  assertEquals(events.includes("unpin"), false);
  log.backfilled = 10;
  await env.clock.advance(1);
  assertEquals(events.slice(-2), ["let go", "unpin"]);
  others.restarts = false;
  for (let ms = 0; ms < 20; ms++) await env.clock.advance(1);
  await done;
});

Deno.test("lend() pins a log that was let go until all of it is read and counted again", async () => {
  const { env, events, done, others } = fixture({ restarts: true });
  await env.clock.advance(1);
  assertEquals(events, ["pin", "lend", "read", "let go", "unpin"]);
  Object.assign(others, { restarts: false, checkpoints: true, marks: true });
  await env.clock.advance(5);
  Object.assign(others, { checkpoints: false });
  await env.clock.advance(5);
  assertEquals([...new Set(events.splice(5))], ["reclaim"], "readers have all marks");
  others.marks = false;
  await env.clock.advance(5);
  await done;
  assertEquals(events.slice(5), ["pin", "reclaim", "read to 10", "settled", "unpin"]);
});

Deno.test("lend() looks again where the log cannot be read for a moment", async () => {
  const { env, events, done, others } = fixture({ restarts: true, unreadable: true });
  await env.clock.advance(3);
  assertEquals([...new Set(events)], ["pin", "lend", "read"]);
  others.unreadable = false;
  await env.clock.advance(1);
  assertEquals(events.at(-1), "unpin");
  others.restarts = false;
  await env.clock.advance(5);
  await done;
  assertEquals(events.slice(-3), ["read to 10", "settled", "unpin"]);
});

Deno.test("lend() ends, and pins nothing any more, where the log is not what it was", async () => {
  const fails = new LiveError("corrupt", "it began anew before it was read");
  const { env, events, done } = fixture({ restarts: true, fails });
  const failed = assertRejects(() => done, /began anew/);
  await env.clock.advance(1);
  await failed;
  assertEquals(events, ["pin", "lend", "read", "unpin"]);
  assertEquals(env.clock.waiting, 0);
});

Deno.test("lend() is not in the way of who restarts the log when its time is over", async () => {
  const { env, events, done, others, log } = fixture({ restarts: true, checkpoints: true }, 9);
  await env.clock.advance(3000); // it writes to the file, with WRITE: the application's writers wait
  assertEquals(events.filter((event) => event !== "read"), ["pin", "lend"]);
  log.backfilled = 10;
  await env.clock.advance(1);
  assertEquals(events.slice(-2), ["let go", "unpin"]);
  await env.clock.advance(100);
  assertEquals(events.at(-1), "unpin", "it waits for readers now: a pin would be one");
  Object.assign(others, { restarts: false, checkpoints: false });
  await env.clock.advance(5);
  await done;
  assertEquals(events.slice(-5), ["pin", "reclaim", "read to 10", "settled", "unpin"]);
});

Deno.test("lend() waits, pinned, for a checkpoint of somebody else to end", async () => {
  const { env, events, done, others } = fixture({ checkpoints: true });
  for (let ms = 0; ms < 5000; ms += 100) await env.clock.advance(100);
  assertEquals(events, ["pin", "lend"]);
  others.checkpoints = false;
  await env.clock.advance(5);
  await done;
  assertEquals(events.slice(2), ["reclaim", "read to 10", "settled", "unpin"]);
});
