/**
 * One measure's history as an inline SVG: our medians with their spread, the baseline, the target.
 * Runs stand at equal distances, as days without one say nothing. Pure. May import: scripts/bench.
 * @module
 */
import { formatNumber } from "./numbers.ts";
import type { Point } from "./record.ts";
import type { Measure } from "./work.ts";

const WIDTH = 340;
const HEIGHT = 150;
const PLOT = { left: 52, right: 328, top: 8, bottom: 122 } as const;
/** A baseline or target that is so far off would press our line flat: it is left out. */
const FAR = 4;
const MOST_DATES = 3;
/** Of a label, as the viewBox counts. */
const DATE_WIDTH = 62;

interface Scale {
  readonly x: (nth: number) => number;
  readonly y: (value: number) => number;
  readonly top: number;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);
}

/** `points`: in order of time, at least one. */
export function chartOf(measure: Measure, points: readonly Point[]): string {
  const most = Math.max(...points.map(({ max }) => max));
  const near = (value: number | undefined): value is number =>
    value !== undefined && value <= most * FAR;
  const target = measure.target?.of === "median"
    ? measure.target.most ?? measure.target.least
    : undefined;
  const shown = points.flatMap((point) =>
    near(point.baseline?.median) ? [point.baseline!.median] : []
  );
  const scale = scaleOf(points.length, Math.max(most, ...shown, near(target) ? target : 0));
  const label =
    `${measure.title}: ${points.map(({ median }) => formatNumber(median)).join(", ")} ` +
    measure.unit;
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(label.trim())}">`,
    ...gridLines(scale),
    ...dateLabels(scale, points),
    ...(near(target) ? [horizontal("target", scale.y(target))] : []),
    ...baselineOf(scale, points, near),
    ...oursOf(scale, points, measure),
    "</svg>",
  ].join("\n");
}

function scaleOf(count: number, most: number): Scale {
  const top = roundUp(most);
  const { left, right, bottom } = PLOT;
  const step = (right - left) / (count + 1);
  return {
    top,
    x: (nth) => left + step * (nth + 1),
    y: (value) => bottom - (bottom - PLOT.top) * value / top,
  };
}

/** To 1, 2, 4, 5 or 10 of a power of ten, so that half of it is short to write. */
export function roundUp(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const digit = [1, 2, 4, 5, 10].find((one) => value <= one * power * (1 + 1e-9)) ?? 10;
  return digit * power;
}

function gridLines({ top, y }: Scale): string[] {
  return [0, top / 2, top].flatMap((value) => [
    horizontal("grid", y(value)),
    `<text x="${PLOT.left - 6}" y="${short(y(value) + 4)}" text-anchor="end">` +
    `${tick(value)}</text>`,
  ]);
}

/** 0.5, 2, 50,000: no zeros behind the point. */
function tick(value: number): string {
  return value < 100 ? String(Number(value.toPrecision(3))) : formatNumber(value);
}

function horizontal(kind: string, y: number): string {
  const at = short(y);
  return `<line class="${kind}" x1="${PLOT.left}" x2="${PLOT.right}" y1="${at}" y2="${at}"/>`;
}

/** First, middle and last, as far as there is room between them. */
function dateLabels({ x }: Scale, points: readonly Point[]): string[] {
  const last = points.length - 1;
  const chosen = points.length <= MOST_DATES
    ? points.map((_, nth) => nth)
    : [0, Math.round(last / 2), last];
  let from = -Infinity;
  const roomy = chosen.filter((nth) => {
    if (x(nth) - from < DATE_WIDTH) return false;
    from = x(nth);
    return true;
  });
  return roomy.map((nth) =>
    `<text x="${short(x(nth))}" y="${HEIGHT - 12}" text-anchor="middle">` +
    `${points[nth]!.date.slice(0, 10)}</text>`
  );
}

function baselineOf(
  { x, y }: Scale,
  points: readonly Point[],
  near: (value: number | undefined) => value is number,
): string[] {
  const places = points.flatMap(({ baseline }, nth) =>
    near(baseline?.median)
      ? [{
        x: x(nth),
        y: y(baseline!.median),
        title: `${baseline!.name}: ${formatNumber(baseline!.median)}`,
      }]
      : []
  );
  return [
    ...path("base", places),
    ...places.map((place) => dot("base-dot", place, 2.5, place.title)),
  ];
}

function oursOf({ x, y }: Scale, points: readonly Point[], { unit }: Measure): string[] {
  const places = points.map(({ median }, nth) => ({ x: x(nth), y: y(median) }));
  const spreads = points.map(({ min, max }, nth) =>
    `<line class="spread" x1="${short(x(nth))}" x2="${short(x(nth))}" y1="${short(y(max))}" ` +
    `y2="${short(y(min))}"/>`
  );
  const dots = points.map(({ date, commit, cores, median, min, max, runs }, nth) =>
    dot(
      "dot",
      places[nth]!,
      4,
      `${date.slice(0, 10)}, ${commit}: ${formatNumber(median)} ${unit}`.trim() +
        ` (${formatNumber(min)}–${formatNumber(max)}, ${runs} runs, ${cores} cores)`,
    )
  );
  return [...path("ours", places), ...spreads, ...dots];
}

interface Place {
  readonly x: number;
  readonly y: number;
}

function path(kind: string, places: readonly Place[]): string[] {
  if (places.length < 2) return [];
  const steps = places.map(({ x, y }, nth) => `${nth === 0 ? "M" : "L"}${short(x)} ${short(y)}`);
  return [`<path class="${kind}" d="${steps.join(" ")}"/>`];
}

function dot(kind: string, { x, y }: Place, radius: number, title: string): string {
  return `<circle class="${kind}" cx="${short(x)}" cy="${short(y)}" r="${radius}">` +
    `<title>${escapeHtml(title)}</title></circle>`;
}

function short(value: number): string {
  return String(Math.round(value * 10) / 10);
}
