import {
  absolutePath,
  parseChoice,
  parseCopyRate,
  parseInteger,
  parseRangedDuration,
  parseRate,
  parseToken,
  resolvePath,
} from "../../../src/cli/values.ts";
import { assertEquals, assertMatch, assertThrows } from "../../support/assert.ts";
import { complaint } from "./parse.ts";

const DAY = { least: 0, most: 86_400_000 };

Deno.test("parseRangedDuration() reads Go's form", async (t) => {
  const cases: [text: string, ms: number][] = [
    ["0", 0],
    ["0s", 0],
    ["10ms", 10],
    ["1m", 60_000],
    ["1m30s", 90_000],
    ["1.5s", 1500],
    ["1h0m0.1s", 3_600_100],
    ["100us", 0.1],
    ["100µs", 0.1],
    ["24h", 86_400_000],
  ];
  for (const [text, ms] of cases) {
    await t.step(text, () => assertEquals(parseRangedDuration(text, DAY), ms));
  }
});

Deno.test("parseRangedDuration() says what to write when it cannot read", async (t) => {
  const cases: [text: string, sentence: RegExp][] = [
    ["", /must be a time, not ""/],
    ["10", /has no unit; write 10ms, 10s/],
    ["-1s", /must be a time/],
    ["1 s", /must be a time/],
    ["1d", /must be a time/],
    ["s", /must be a time/],
    [".s", /must be a time/],
    ["1m30", /must be a time/],
    ["25h", /at most 24h, not 25h/],
    ["9".repeat(400) + "h", /must be a time|at most 24h/],
  ];
  for (const [text, sentence] of cases) {
    await t.step(text.slice(0, 9), () => {
      assertMatch(complaint(() => parseRangedDuration(text, DAY)), sentence);
    });
  }
  assertMatch(complaint(() => parseRangedDuration("0", { least: 10, most: 20 })), /at least 10ms/);
});

Deno.test("parseInteger() takes whole numbers in range only", async (t) => {
  const range = { least: 1, most: 100 };
  assertEquals(parseInteger("1", range), 1);
  assertEquals(parseInteger("100", range), 100);
  const cases: [text: string, sentence: RegExp][] = [
    ["0", /at least 1, not 0/],
    ["101", /at most 100, not 101/],
    ["-5", /at least 1/],
    ["9".repeat(400), /at most 100/],
    ["1.5", /whole number/],
    ["1e2", /whole number/],
    ["0x10", /whole number/],
    ["010", /whole number/],
    ["1_000", /whole number/],
    ["", /whole number, not ""/],
    ["many", /whole number, not "many"/],
  ];
  for (const [text, sentence] of cases) {
    await t.step(text.slice(0, 9), () => {
      assertMatch(complaint(() => parseInteger(text, range)), sentence);
    });
  }
});

Deno.test("parseChoice() lists what can be written", () => {
  assertEquals(parseChoice("b", ["a", "b", "c"]), "b");
  assertEquals(
    complaint(() => parseChoice("B", ["a", "b", "c"])),
    'cannot be "B"; write a, b or c',
  );
});

Deno.test("parseToken() refuses what no header can carry, without showing it", async (t) => {
  assertEquals(parseToken("aZ09+/=.~"), "aZ09+/=.~");
  const cases: [token: string, sentence: RegExp][] = [
    ["", /^is empty/],
    ["secret\n", /^contains a space or a line break/],
    ["secret word", /^contains a space/],
    ["secrét", /not ASCII/],
    ["secret\0", /not ASCII/],
  ];
  for (const [token, sentence] of cases) {
    await t.step(JSON.stringify(token), () => {
      const text = complaint(() => parseToken(token));
      assertMatch(text, sentence);
      assertEquals(text.includes("secr"), false);
    });
  }
});

Deno.test("resolvePath() makes a path absolute without looking at the disk", async (t) => {
  const cases: [text: string, path: string][] = [
    ["/data/db", "/data/db"],
    ["/data/./x/../db", "/data/db"],
    ["/../../db", "/db"],
    ["//data//db/", "/data/db"],
    ["db", "/srv/app/db"],
    ["./db", "/srv/app/db"],
    ["../db", "/srv/db"],
    ["~/db", "/users/ann/db"],
    ["~", "/users/ann"],
    ["./~x", "/srv/app/~x"],
    ["a b/c$d", "/srv/app/a b/c$d"],
    ["...", "/srv/app/..."],
  ];
  for (const [text, path] of cases) {
    await t.step(text, () => {
      assertEquals(resolvePath(text, { cwd: "/srv/app", home: "/users/ann" }), path);
    });
  }
});

Deno.test("resolvePath() and absolutePath() say what to write when they cannot", async (t) => {
  const nowhere = { cwd: "/srv/app", home: undefined };
  const cases: [name: string, work: () => unknown, sentence: RegExp][] = [
    ["empty", () => resolvePath("", nowhere), /is empty/],
    ["NUL", () => resolvePath("a\0b", nowhere), /NUL/],
    ["no home", () => resolvePath("~/db", nowhere), /HOME is not set/],
    ["empty home", () => resolvePath("~/db", { cwd: "/", home: "" }), /HOME is not set/],
    ["another's home", () => resolvePath("~bob/db", nowhere), /whose home/],
    ["the root", () => resolvePath("/..", nowhere), /is the directory \//],
    ["a URL", () => resolvePath("http://h/db", nowhere), /must be a path, not the URL/],
    ["relative, elsewhere", () => absolutePath("data/db"), /must be absolute/],
    ["home, elsewhere", () => absolutePath("~/db"), /must be absolute/],
  ];
  for (const [name, work, sentence] of cases) {
    await t.step(name, () => assertMatch(complaint(work), sentence));
  }
});

Deno.test("parseRate() reads bytes a second", () => {
  const cases: readonly [string, number][] = [
    ["0", 0],
    ["10B/s", 10],
    ["256KB/s", 256_000],
    ["1.5 MB/s", 1_500_000],
    ["2GB/s", 2_000_000_000],
  ];
  for (const [text, bytes] of cases) assertEquals(parseRate(text), bytes, text);
  for (const text of ["", "10", "10MB", "10 Mbit/s", "-1MB/s", "1e3B/s", "1,5MB/s", "10mb/s"]) {
    assertThrows(() => parseRate(text), /must be bytes a second/);
  }
});

Deno.test("parseCopyRate() takes 0, and what lets each copy hear something in time", () => {
  assertEquals(parseCopyRate("0", 1000), 0);
  assertEquals(parseCopyRate("1MB/s", 1000), 1_000_000);
  assertEquals(parseCopyRate("200KB/s", 200), 200_000);
  assertThrows(() => parseCopyRate("999KB/s", 1000), /write 1MB\/s or more/);
  assertThrows(() => parseCopyRate("1KB/s", 20), /write 20KB\/s or more/);
  assertThrows(() => parseCopyRate("fast", 1000), /must be bytes a second/);
});
