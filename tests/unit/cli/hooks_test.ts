import { Hooks } from "../../../src/cli/hooks.ts";
import { Counters } from "../../../src/node/counters.ts";
import type { DatabaseStatus } from "../../../src/node/status.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { fakeEnv, settle } from "../../support/fake_env.ts";

const COMMANDS = {
  onPromote: { program: "promoted", args: [] },
  onStateChange: { program: "tell", args: ["-v"] },
};

function at(role: "primary" | "replica", state: DatabaseStatus["state"]): DatabaseStatus {
  return { path: "/data/db", role, state, readable: true, replicas: [], counters: new Counters() };
}

/** Commands that end when the test says so. */
function fixture(first: DatabaseStatus) {
  const env = fakeEnv();
  const calls: string[] = [];
  const ends: ((failure?: string) => void)[] = [];
  let now: readonly DatabaseStatus[] = [first];
  const hooks = new Hooks(COMMANDS, () => now, async ({ program }, vars, signal) => {
    const { LITESTREAM_LIVE_FROM: from, LITESTREAM_LIVE_ROLE: role } = vars;
    calls.push(`${program}: ${from} -> ${role} ${vars["LITESTREAM_LIVE_STATE"]}`);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    ends.push(resolve);
    signal.addEventListener("abort", () => resolve("ended"));
    return await promise;
  }, env);
  const stop = new AbortController();
  const run = hooks.run(stop.signal);
  return {
    env,
    calls,
    run,
    stop,
    set: async (status: DatabaseStatus | undefined): Promise<void> => {
      now = status === undefined ? [] : [status];
      await env.clock.advance(200);
    },
    end: async (failure?: string): Promise<void> => {
      ends.shift()!(failure);
      await settle();
    },
  };
}

Deno.test("Hooks tells each change once, and nothing of what was there at the start", async () => {
  const { set, end, calls, stop, run, env } = fixture(at("replica", "streaming"));
  await set(at("replica", "streaming"));
  assertEquals(calls, []);
  await set(at("replica", "connecting"));
  await end();
  await set(at("replica", "connecting"));
  assertEquals(calls, ["tell: replica streaming -> replica connecting"]);
  stop.abort();
  await settle();
  await run;
  assertEquals(env.clock.waiting, 0);
});

Deno.test("Hooks tells only the newest state to a command that is slow", async () => {
  const { set, end, calls, stop } = fixture(at("replica", "streaming"));
  await set(at("replica", "connecting"));
  await set(at("replica", "catching-up"));
  await set(at("replica", "repairing"));
  assertEquals(calls.length, 1, "one at a time");
  await end();
  assertEquals(calls.at(-1), "tell: replica connecting -> replica repairing");
  await set(at("replica", "connecting"));
  await set(at("replica", "repairing"));
  await end();
  assertEquals(calls.length, 2, "back where it was: nothing to tell");
  stop.abort();
});

Deno.test("Hooks tells a promotion once it serves, before the state", async () => {
  const { set, end, calls, stop } = fixture(at("replica", "streaming"));
  await set(at("primary", "opening"));
  assertEquals(calls, ["tell: replica streaming -> primary opening"]);
  await set(at("primary", "serving"));
  await end();
  await end();
  assertEquals(calls.slice(1), [
    "promoted: primary opening -> primary serving",
    "tell: primary opening -> primary serving",
  ]);
  stop.abort();
});

Deno.test("Hooks warns of a command that failed, and ends one that runs when the node stops", async () => {
  const { set, end, env, stop, run, calls } = fixture(at("replica", "streaming"));
  await set(at("replica", "connecting"));
  await end("exit code 3: no route");
  const { message, fields } = env.lines.at(-1)!;
  assertMatch(message, /on-state-change failed/);
  assertEquals(fields["failure"], "exit code 3: no route");
  await set(at("replica", "streaming"));
  assertEquals(calls.length, 2);
  stop.abort();
  await run;
});
