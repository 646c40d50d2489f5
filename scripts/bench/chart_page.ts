/**
 * The history of all works as one HTML page: charts, and under each its figures as a table. Nothing is
 * loaded from elsewhere, no script runs. Pure. May import: scripts/bench.
 * @module
 */
import { chartOf, escapeHtml } from "./chart_svg.ts";
import { formatNumber } from "./numbers.ts";
import type { Point } from "./record.ts";
import { targetText } from "./table.ts";
import type { Measure, Work } from "./work.ts";

/** Light and dark; each text on its ground has a contrast of 4.5 or more, each line 3. */
const STYLE = `
:root { color-scheme: light dark; --ground: #ffffff; --card: #f6f7f9; --text: #1c2126;
  --quiet: #59636e; --edge: #d3d9e0; --ours: #0b62c4; --base: #6b7683; --target: #b34700; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161b; --card: #1b2128; --text: #e8ecf0;
  --quiet: #a3adb8; --edge: #39424d; --ours: #6cb2ff; --base: #98a3af; --target: #ffa657; } }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--ground);
  color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; } h2 { margin: 2rem 0 0; font-size: 1.2rem; }
h3 { margin: 0; font-size: 1rem; font-weight: 600; }
p { margin: .2rem 0 .8rem; } .quiet { color: var(--quiet); } nav { line-height: 1.9; }
a { color: var(--ours); } nav a { margin-right: .8rem; white-space: nowrap; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: 8px;
  padding: .8rem 1rem; min-width: 0; }
.now { font-size: 1.25rem; font-weight: 600; } .missed { color: var(--target); font-weight: 600; }
svg { display: block; width: 100%; height: auto; margin: .4rem 0; }
svg text { font: 11px system-ui, sans-serif; fill: var(--quiet); }
.grid { stroke: var(--edge); } .ours { stroke: var(--ours); fill: none; stroke-width: 2; }
.dot { fill: var(--ours); stroke: var(--card); stroke-width: 1.5; }
.spread { stroke: var(--ours); stroke-width: 1.5; opacity: .6; }
.base { stroke: var(--base); fill: none; stroke-width: 1.5; stroke-dasharray: 2 3; }
.base-dot { fill: var(--base); } .target { stroke: var(--target); stroke-dasharray: 7 4; }
.key { display: inline-block; width: 1.6rem; height: 0; vertical-align: middle;
  border-top: 2px solid var(--ours); margin-right: .4rem; }
.name { margin-right: .8rem; white-space: nowrap; }
.key.k-base { border-top: 2px dotted var(--base); } .key.k-target { border-top: 2px dashed var(--target); }
details { font-size: .85rem; overflow-x: auto; } summary { cursor: pointer; color: var(--quiet); }
table { border-collapse: collapse; width: 100%; } td, th { padding: .15rem .5rem .15rem 0;
  text-align: right; white-space: nowrap; } td:first-child, th:first-child, td:last-child,
th:last-child { text-align: left; }
`;

interface Trend {
  readonly measure: Measure;
  /** In order of time, at least one. */
  readonly points: readonly Point[];
}

export function pageOf(works: readonly Work[], points: readonly Point[]): string {
  const measured = works.filter(({ name }) => points.some(({ work }) => work === name));
  const waiting = works.filter((work) => !measured.includes(work));
  const links = measured.map(({ name }) => `<a href="#${name}">${name}</a>`).join("\n");
  const rest = waiting.length === 0
    ? ""
    : `<p class="quiet">Not recorded yet: ${waiting.map(({ name }) => name).join(", ")}.</p>\n`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>litestream-live: benchmarks</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Benchmarks</h1>
<p class="quiet">Each point is the median of a run's repetitions, its bar their least and most. Runs of
different machines are no trend: look at the ratio to the baseline, which was measured in the same run.
Made by <code>deno task bench:chart</code> from results.jsonl.</p>
<p><span class="name"><span class="key"></span>litestream-live</span>
<span class="name"><span class="key k-base"></span>baseline</span>
<span class="name"><span class="key k-target"></span>target</span></p>
<nav aria-label="Works">
${links}
</nav>
${rest}${measured.map((work) => section(work, points)).join("")}</body>
</html>
`;
}

function section({ name, about, measures }: Work, points: readonly Point[]): string {
  const trends = measures.flatMap((measure): Trend[] => {
    const mine = points.filter((one) => one.work === name && one.measure === measure.key);
    if (mine.length === 0) return [];
    return [{ measure, points: mine.toSorted((a, b) => Date.parse(a.date) - Date.parse(b.date)) }];
  });
  return `<h2 id="${name}">${name}</h2>
<p class="quiet">${escapeHtml(about)}</p>
<div class="cards">
${trends.map(card).join("")}</div>
`;
}

function card({ measure, points }: Trend): string {
  const last = points.at(-1)!;
  const target = targetText(measure);
  const ratio = last.baseline === undefined
    ? ""
    : `, ${formatNumber(last.baseline.ratio)} × ${escapeHtml(last.baseline.name)}`;
  const met = isMet(measure, last);
  const verdict = met === undefined ? "" : met ? ", met" : `, <span class="missed">missed</span>`;
  return `<article class="card">
<h3>${escapeHtml(measure.title)}</h3>
<div><span class="now">${
    withUnit(last.median, measure)
  }</span><span class="quiet">${ratio}</span></div>
<div class="quiet">${target === "" ? "no target" : `target ${escapeHtml(target)}`}${verdict}</div>
${chartOf(measure, points)}
<details><summary>figures</summary>
<table>
<tr><th>date</th><th>commit</th><th>cores</th><th>runs</th><th>median</th><th>min–max</th><th>ratio</th></tr>
${points.toReversed().map((point) => row(point)).join("\n")}
</table>
</details>
</article>
`;
}

function row({ date, commit, cores, runs, median, min, max, baseline }: Point): string {
  const spread = runs < 2 ? "" : `${formatNumber(min)}–${formatNumber(max)}`;
  const ratio = baseline === undefined
    ? ""
    : `${formatNumber(baseline.ratio)} (${baseline.name} ${formatNumber(baseline.median)})`;
  const cells = [date.slice(0, 10), commit, cores, runs, formatNumber(median), spread, ratio];
  return `<tr>${cells.map((cell) => `<td>${escapeHtml(String(cell))}</td>`).join("")}</tr>`;
}

function withUnit(value: number, { unit }: Measure): string {
  return escapeHtml(`${formatNumber(value)} ${unit}`.trim());
}

/** By today's target, also a point of the past. */
function isMet({ target }: Measure, { median, baseline }: Point): boolean | undefined {
  const judged = target?.of === "ratio" ? baseline?.ratio : median;
  if (target === undefined || judged === undefined) return undefined;
  return judged >= (target.least ?? -Infinity) && judged <= (target.most ?? Infinity);
}
