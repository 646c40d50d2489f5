import { chartOf, roundUp } from "../../../scripts/bench/chart_svg.ts";
import { pageOf } from "../../../scripts/bench/chart_page.ts";
import type { Machine } from "../../../scripts/bench/machine.ts";
import { parsePoints, type Point, pointLines, pointsOf } from "../../../scripts/bench/record.ts";
import { type Measure, resultsOf, type Work } from "../../../scripts/bench/work.ts";
import { WORKS } from "../../../scripts/bench/works.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const LAG: Measure = {
  key: "lag",
  title: "lag <p50>",
  unit: "ms",
  target: { of: "median", most: 1 },
};
const BUSY: Measure = { key: "busy", title: "refused", unit: "" };
const WORK: Work = {
  name: "paced",
  about: "a & b",
  measures: [LAG, BUSY],
  once: () => Promise.resolve({}),
};
const MACHINE: Machine = {
  date: "2026-01-02T03:04:05Z",
  commit: "abc",
  cpus: 4,
  cpu: "x",
  os: "linux",
  fileSystem: "ext4",
  load: 0,
  python: "",
};

const point = (date: string, median: number, more: Partial<Point> = {}): Point => ({
  ...{ date, commit: "abc", cores: 2, work: "paced", measure: "lag", title: "lag", unit: "ms" },
  ...{ runs: 3, median, min: median * 0.9, max: median * 1.1 },
  ...more,
});

const count = (text: string, part: string): number => text.split(part).length - 1;
const docs = (name: string): Promise<string> =>
  Deno.readTextFile(new URL(`../../../docs/bench/${name}`, import.meta.url));

Deno.test("pointsOf() keeps a result, and parsePoints() reads what pointLines() writes", () => {
  const runs = [1, 3, 2].map((value) => ({
    lag: { value, baselines: { alone: 0.5, other: 9 } },
    busy: { value, baselines: { alone: 0 } },
  }));
  const points = pointsOf(MACHINE, resultsOf(WORK, runs));
  const [lag, busy] = points;
  assertEquals([lag!.median, lag!.min, lag!.max, lag!.runs, lag!.cores], [2, 1, 3, 3, 4]);
  assertEquals(lag!.baseline, { name: "alone", median: 0.5, ratio: 4 });
  assertEquals(busy!.baseline, undefined, "a ratio to nothing is none");
  assertEquals(parsePoints(pointLines(points)), points);
});

Deno.test("parsePoints() names the line that is no point", () => {
  const good = pointLines([point("2026-01-01", 1)]);
  assertThrows(() => parsePoints(`${good}\nnonsense\n`), /line 3 of the results/);
  assertThrows(() => parsePoints(good.replace('"runs":3', '"runs":"3"')), /line 1 .* a field/);
  assertThrows(() => parsePoints(good.replace("2026-01-01", "soon")), /its date is none/);
});

Deno.test("chartOf() has a dot and a bar for each point, and draws what is near", () => {
  const points = [1, 2, 3].map((median) => point(`2026-01-0${median}`, median));
  const svg = chartOf(LAG, points);
  assertEquals([count(svg, 'class="dot"'), count(svg, 'class="spread"')], [3, 3]);
  assertEquals(count(svg, 'class="target"'), 1);
  assertEquals(count(chartOf(BUSY, points), 'class="target"'), 0);
  const far: Measure = { ...LAG, target: { of: "median", most: 1000 } };
  assertEquals(count(chartOf(far, points), 'class="target"'), 0, "it would press the line flat");
  const baseline = { name: "alone", median: 2, ratio: 1 };
  const beside = points.map((one, nth) => nth === 1 ? one : { ...one, baseline });
  assertEquals(count(chartOf(LAG, beside), 'class="base-dot"'), 2);
  const places = [...svg.matchAll(/class="dot" cx="([\d.]+)" cy="([\d.]+)"/g)];
  assert(Number(places[0]![1]) < Number(places[2]![1]), "time goes to the right");
  assert(Number(places[0]![2]) > Number(places[2]![2]), "more is higher");
  assert(!chartOf(LAG, [point("2026-01-01", 0)]).includes("NaN"));
});

Deno.test("roundUp() leaves little room above, in figures that are short to write", () => {
  const cases = [[0, 1], [1, 1], [1.2, 2], [0.03, 0.04], [4.4, 5], [61, 100], [52_927, 100_000]];
  for (const [value, wanted] of cases) assertEquals(roundUp(value!), wanted);
});

Deno.test("pageOf() is in order of time, tells what missed, escapes, and loads nothing", () => {
  const points = [point("2026-02-01", 5), point("2026-01-01", 0.5), point("2026-01-03", 9)];
  const page = pageOf([WORK, { ...WORK, name: "later" }], points);
  const order = [...page.matchAll(/<circle class="dot".*?<title>([\d-]+)/g)].map((one) => one[1]);
  assertEquals(order, ["2026-01-01", "2026-01-03", "2026-02-01"]);
  assert(page.includes('<span class="missed">missed</span>'), "the newest is what counts");
  assert(!pageOf([WORK], points.slice(1, 2)).includes('<span class="missed">'));
  assert(page.includes("lag &#60;p50&#62;") && page.includes("a &#38; b"));
  assert(page.includes("Not recorded yet: later."));
  assertEquals(page.match(/<script|<link|src=|https?:|@import|url\(/g), null);
});

Deno.test("docs/bench/index.html shows what docs/bench/results.jsonl holds", async () => {
  const points = parsePoints(await docs("results.jsonl"));
  const hint = "run deno task bench:chart";
  assert(pageOf(WORKS, points) === await docs("index.html"), hint);
  for (const { work, measure } of points) {
    const known = WORKS.find(({ name }) => name === work)?.measures ?? [];
    assert(known.some(({ key }) => key === measure), `${work} ${measure} is drawn nowhere`);
  }
});
