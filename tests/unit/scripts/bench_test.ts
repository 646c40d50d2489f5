import { parseArguments } from "../../../scripts/bench/arguments.ts";
import { peakMegabytes, residentMegabytes } from "../../../scripts/bench/proc.ts";
import { Lag } from "../../../scripts/bench/lag.ts";
import { formatNumber, median, percentile } from "../../../scripts/bench/numbers.ts";
import { tableLines } from "../../../scripts/bench/table.ts";
import {
  interleaved,
  type Measure,
  resultsOf,
  type Samples,
  type Work,
} from "../../../scripts/bench/work.ts";
import { WORKS } from "../../../scripts/bench/works.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const SPEED: Measure = {
  key: "speed",
  title: "speed",
  unit: "/s",
  target: { of: "ratio", least: 0.8 },
};
const LAG: Measure = {
  key: "lag",
  title: "lag",
  unit: "ms",
  target: { of: "median", most: 1.5 },
};
const WORK: Work = {
  name: "work",
  about: "",
  measures: [SPEED, LAG],
  once: () => Promise.resolve({}),
};

const run = (speed: number, alone: number, lag: number): Samples => ({
  speed: { value: speed, baselines: { alone, other: alone / 2 } },
  lag: { value: lag },
});

Deno.test("percentile() is by nearest rank and always one of the values", () => {
  const values = [5, 1, 4, 2, 3];
  assertEquals([0, 20, 21, 50, 99, 100].map((p) => percentile(values, p)), [1, 1, 2, 3, 5, 5]);
  assertEquals(values, [5, 1, 4, 2, 3], "left as it was");
  assertEquals(percentile([7], 50), 7);
  assert(Number.isNaN(percentile([], 50)));
});

Deno.test("median() is the middle, or the mean of the two there", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([4, 1, 2, 3]), 2.5);
  assert(Number.isNaN(median([])));
});

Deno.test("formatNumber() shows three digits, and separators from 100 on", () => {
  const cases: [value: number, text: string][] = [
    [0, "0"],
    [0.0034, "0.003"],
    [0.9999, "1.00"],
    [9.9951, "10.0"],
    [12.34, "12.3"],
    [99.96, "100"],
    [1234567.8, "1,234,568"],
    [-1.5, "-1.50"],
    [NaN, "–"],
    [Infinity, "–"],
  ];
  for (const [value, text] of cases) assertEquals(formatNumber(value), text);
});

Deno.test("parseArguments() of bench takes works in the table's order, numbers and --json", () => {
  const known = ["latency", "writer", "copy"];
  const switches = { json: false, quick: false, record: false };
  const all = { works: known, ...switches, runs: 3, sizeMb: 1024, seconds: 10 };
  assertEquals(parseArguments([], known), all);
  assertEquals(
    parseArguments(["copy", "--runs", "5", "latency", "--size=64", "--json"], known),
    { ...all, works: ["latency", "copy"], json: true, runs: 5, sizeMb: 64 },
  );
  assertEquals(
    parseArguments(["--quick", "--seconds=2", "--litestream", "ls"], known),
    { works: known, ...switches, quick: true, runs: 1, sizeMb: 4, seconds: 2, litestream: "ls" },
  );
  assertThrows(() => parseArguments(["--litestream"], known), /Cannot use --litestream/);
  assertThrows(() => parseArguments(["--quick", "--record"], known), /leave out one of both/);
  assertThrows(() => parseArguments(["speed"], known), /"speed": say any of latency, writer, copy/);
  assertThrows(() => parseArguments(["--runs"], known), /Cannot use "" as --runs/);
  assertThrows(() => parseArguments(["--runs=0"], known), /from 1 on/);
  assertThrows(() => parseArguments(["--size", "1.5"], known), /whole number/);
});

Deno.test("resultsOf() compares medians of all runs with the first baseline's", () => {
  const [speed, lag] = resultsOf(WORK, [run(80, 100, 1), run(90, 100, 2), run(70, 110, 3)]);
  assertEquals([speed!.median, speed!.min, speed!.max], [80, 70, 90]);
  assertEquals(speed!.baselines.map(({ name, ratio }) => [name, ratio]), [
    ["alone", 0.8],
    ["other", 1.6],
  ]);
  assertEquals([speed!.met, lag!.met], [true, false]);
  assertEquals(resultsOf(WORK, []), [], "nothing was run");
});

Deno.test("tableLines() of bench names the work once and gives each baseline a line", () => {
  const [speed, lag] = resultsOf(WORK, [run(50, 100, 1), run(50, 100, 1)]);
  assertEquals(tableLines([speed!, lag!]), [
    "work  measure   median    min–max    baseline  ratio  target",
    "----  -------  -------  ---------  ----------  -----  -------------  ------",
    "work  speed    50.0 /s  50.0–50.0   alone 100  0.500  ratio ≥ 0.800  MISSED",
    "                                   other 50.0   1.00",
    "      lag      1.00 ms  1.00–1.00                     ≤ 1.50 ms      ok",
  ]);
});

Deno.test("interleaved() swaps the order from run to run, never the results", async () => {
  const order: string[] = [];
  const part = (name: string) => () => {
    order.push(name);
    return Promise.resolve(name);
  };
  assertEquals(await interleaved(0, part("a"), part("b")), ["a", "b"]);
  assertEquals(await interleaved(1, part("a"), part("b")), ["a", "b"]);
  assertEquals(order, ["a", "b", "b", "a"]);
});

Deno.test("Lag joins commits and sightings in whichever order they are told", () => {
  const early = new Lag();
  early.seen(2, 5_000_000); // the writer's messages come later
  early.committed(1, 1_000_000);
  early.committed(2, 4_000_000);
  assertEquals([early.count, early.last, early.max, early.missing], [2, 1, 4, 0]);

  const late = new Lag();
  for (const id of [1, 2, 3]) late.committed(id, id * 1_000_000);
  assertEquals([late.count, late.last, late.missing], [0, undefined, 3]);
  late.seen(1, 3_000_000);
  late.seen(2, 6_000_000);
  assertEquals([late.count, late.percentile(50), late.max, late.missing], [2, 2, 4, 1]);
});

Deno.test("Lag leaves out what was seen but never told of", () => {
  const lag = new Lag();
  lag.seen(2000, 1); // was there before the first order
  lag.committed(2001, 2_000_000);
  assertEquals(lag.count, 0);
  lag.seen(2001, 3_500_000);
  assertEquals([lag.count, lag.last], [1, 1.5]);
});

Deno.test("residentMegabytes() reads VmRSS, peakMegabytes() VmHWM", () => {
  const status = "VmHWM:\t  99000 kB\nVmRSS:\t   88000 kB\nThreads:\t9\n";
  assertEquals([residentMegabytes(status), peakMegabytes(status)], [90.112, 101.376]);
});

Deno.test("docs/BENCHMARKS.md tells every work with its sentence", async () => {
  const text = await Deno.readTextFile(new URL("../../../docs/BENCHMARKS.md", import.meta.url));
  const rows = text.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  for (const { name, about } of WORKS) {
    assert(rows.some((row) => row[1] === `\`${name}\`` && row[2] === about), name);
  }
});
