import {
  expectedRestart,
  isTooLong,
  type LogState,
  mayBeLent,
  mayTakeWriteLock,
  passDue,
  type PassReason,
  tailIsShort,
  worthAnotherPass,
} from "../../../src/wal/checkpoint.ts";
import { assertEquals } from "../../support/assert.ts";

const LIMITS = { soft: 1000, hard: 8000 };
const log = (mxFrame: number, backfilled: number): LogState => ({ mxFrame, backfilled });

Deno.test("passDue() says why a pass is due", async (t) => {
  const minute = 60_000;
  const cases: [string, LogState, quiet: number, since: number, PassReason | undefined][] = [
    ["an empty log", log(0, 0), 1e9, 1e9, undefined],
    ["all backfilled", log(9000, 9000), 1e9, 1e9, undefined],
    ["one frame below the limit", log(999, 0), 0, 0, undefined],
    ["at the limit", log(1000, 0), 0, 0, "limit"],
    ["249 new frames are not worth it", log(1249, 1000), 0, 0, undefined],
    ["250 are", log(1250, 1000), 0, 0, "limit"],
    ["few frames, a writer at work", log(1001, 1000), 499, 0, undefined],
    ["few frames, at rest", log(1001, 1000), 500, 0, "rest"],
    ["a short log at rest", log(10, 0), 500, minute - 1, undefined],
    ["a short log, a minute old, at rest", log(10, 0), 500, minute, "interval"],
    ["frames without a checksum", { ...log(10, 0), fragile: true }, 0, 100, "fragile"],
    ["they were brought to safety", { ...log(10, 10), fragile: true }, 0, 1e9, undefined],
    ["a moment ago, and there are more", { ...log(10, 9), fragile: true }, 0, 99, undefined],
    ["a short log, a minute old, a writer at work", log(10, 0), 499, minute, undefined],
  ];
  for (const [name, state, quiet, since, want] of cases) {
    await t.step(name, () => assertEquals(passDue(state, LIMITS, quiet, since, minute), want));
  }
  await t.step("a limit below 250 needs that many frames only", () => {
    const small = { soft: 10, hard: 0 };
    assertEquals(passDue(log(10, 0), small, 0, 0, minute), "limit");
    assertEquals(passDue(log(19, 10), small, 0, 0, minute), undefined);
    assertEquals(passDue(log(20, 10), small, 0, 0, minute), "limit");
  });
});

Deno.test("worthAnotherPass() catches the gap between two commits, at most six times", async (t) => {
  const cases: [string, LogState, done: number, want: boolean][] = [
    ["a small gap", log(1032, 1000), 1, true],
    ["a gap of 33", log(1033, 1000), 1, false],
    ["no gap", log(1000, 1000), 1, false],
    ["a short log", log(999, 990), 1, false],
    ["the sixth", log(1001, 1000), 5, true],
    ["enough", log(1001, 1000), 6, false],
  ];
  for (const [name, state, done, want] of cases) {
    await t.step(name, () => assertEquals(worthAnotherPass(state, LIMITS, done), want));
  }
});

Deno.test("mayTakeWriteLock() is true past the hard limit, and never when it is 0", () => {
  assertEquals(mayTakeWriteLock(log(7999, 0), LIMITS), false);
  assertEquals(mayTakeWriteLock(log(8000, 0), LIMITS), true);
  assertEquals(mayTakeWriteLock(log(1e9, 0), { soft: 1000, hard: 0 }), false);
});

Deno.test("a log may be lent, then is too long, from multiples of the hard limit on; never at 0", () => {
  const at = (times: number) => times * LIMITS.hard;
  assertEquals([mayBeLent(at(4), LIMITS.hard), mayBeLent(at(4) + 1, LIMITS.hard)], [false, true]);
  assertEquals([isTooLong(at(8), LIMITS.hard), isTooLong(at(8) + 1, LIMITS.hard)], [false, true]);
  assertEquals([mayBeLent(1e9, 0), isTooLong(1e9, 0)], [false, false]);
});

Deno.test("tailIsShort() is true up to 64 frames", () => {
  assertEquals([tailIsShort(log(64, 0)), tailIsShort(log(65, 0))], [true, false]);
});

Deno.test("expectedRestart() believes only the application's own restart of a read log", async (t) => {
  const cases: [string, Parameters<typeof expectedRestart>, want: boolean][] = [
    [
      "salt1 + 1, all read and backfilled",
      [{ salt1: 7, last: 5, backfilled: 5 }, { salt1: 8, sequence: 3 }],
      true,
    ],
    [
      "salt1 goes round",
      [{ salt1: 0xffffffff, last: 5, backfilled: 5 }, { salt1: 0, sequence: 3 }],
      true,
    ],
    ["frames that were not backfilled by us", [
      { salt1: 7, last: 5, backfilled: 4 },
      { salt1: 8, sequence: 3 },
    ], false],
    ["a log that went on without us", [{ salt1: 7, last: 5, backfilled: 6 }, {
      salt1: 8,
      sequence: 3,
    }], false],
    ["two restarts", [{ salt1: 7, last: 5, backfilled: 5 }, { salt1: 9, sequence: 3 }], false],
    ["one that was empty for a moment that nobody saw", [
      { salt1: 7, last: 5, backfilled: 5 },
      { salt1: 123456, sequence: 0 },
    ], true],
    ["the same, but not all of it was read", [
      { salt1: 7, last: 6, backfilled: 5 },
      { salt1: 123456, sequence: 0 },
    ], false],
    ["a WAL whose header is not that of the wal-index", [
      { salt1: 7, last: 5, backfilled: 5 },
      { salt1: 123456, sequence: undefined },
    ], false],
    ["a new WAL", [{ salt1: 7, last: 5, backfilled: 5 }, { salt1: 123456, sequence: 3 }], false],
    ["an empty log draws both salts anew", [
      { salt1: 7, last: 0, backfilled: 0 },
      { salt1: 123456, sequence: 3 },
    ], true],
    ["an empty log that somebody backfilled", [
      { salt1: 7, last: 0, backfilled: 3 },
      { salt1: 8, sequence: 3 },
    ], false],
  ];
  for (const [name, given, want] of cases) {
    await t.step(name, () => assertEquals(expectedRestart(...given), want));
  }
});
