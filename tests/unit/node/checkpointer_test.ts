import { LiveError } from "../../../src/base/errors.ts";
import { type Checkpointed, Checkpointer } from "../../../src/node/checkpointer.ts";
import { Counters } from "../../../src/node/counters.ts";
import type { DatabaseHandle } from "../../../src/node/handle.ts";
import { assertEquals } from "../../support/assert.ts";
import { fakeEnv } from "../../support/fake_env.ts";

/** A primary of a long log; a checkpoint that begins ends at once, and is counted. */
function fixture() {
  const env = fakeEnv();
  const state = { isSending: false, began: 0 };
  const primary: Checkpointed = {
    handle: { backfilled: () => 0 } as unknown as DatabaseHandle,
    counters: new Counters(),
    log: { mxFrame: 25_000, backfilled: 0 },
    last: 25_000,
    isLost: false,
    get isSending() {
      return state.isSending;
    },
    consume: () => {
      state.began++;
      throw new LiveError("busy", "enough for this test");
    },
    failed: () => {},
  };
  const limits = { soft: 1000, hard: 8000 };
  return { env, state, checkpointer: new Checkpointer(primary, limits, 60_000, env) };
}

Deno.test("Checkpointer waits while a large transaction is sent, and not for ever", async () => {
  const { env, state, checkpointer } = fixture();
  checkpointer.maintain(0);
  await env.clock.advance(1);
  assertEquals(state.began, 1, "nothing is being sent");
  state.isSending = true;
  const late: number[] = [];
  for (let ms = 0; ms < 2000; ms += 10) {
    checkpointer.maintain(0);
    await env.clock.advance(10);
    if (state.began > late.length + 1) late.push(ms);
  }
  assertEquals(late, [500, 1010, 1520], "one transaction after the other");
  state.isSending = false;
  checkpointer.maintain(0);
  await env.clock.advance(1);
  assertEquals(state.began, 5, "all of it is sent");
});
