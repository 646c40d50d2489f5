/**
 * Results as a table for people. Pure. May import: scripts/bench.
 * @module
 */
import { formatNumber } from "./numbers.ts";
import type { Measure, Result } from "./work.ts";

const HEAD = ["work", "measure", "median", "min–max", "baseline", "ratio", "target", ""] as const;
/** Numbers stand to the right. */
const RIGHT: readonly boolean[] = [false, false, true, true, true, true, false, false];

export function tableLines(results: readonly Result[]): string[] {
  const rows: string[][] = [[...HEAD]];
  let last = "";
  for (const result of results) {
    rows.push(...rowsOf(result, result.work === last ? "" : result.work));
    last = result.work;
  }
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row.map((cell, column) =>
      RIGHT[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)
    ).join("  ").trimEnd()
  );
  const rule = widths.map((width) => "-".repeat(width)).join("  ").trimEnd();
  return [lines[0]!, rule, ...lines.slice(1)];
}

/** One, and one more for each baseline behind the first. */
function rowsOf(result: Result, work: string): string[][] {
  const { measure, median, min, max, baselines, met } = result;
  const [first, ...others] = baselines;
  const spread = result.values.length < 2 ? "" : `${formatNumber(min)}–${formatNumber(max)}`;
  const against = (baseline: typeof first): [string, string] =>
    baseline === undefined
      ? ["", ""]
      : [`${baseline.name} ${formatNumber(baseline.median)}`, formatNumber(baseline.ratio)];
  return [
    [
      work,
      measure.title,
      `${formatNumber(median)} ${measure.unit}`.trim(),
      spread,
      ...against(first),
      targetText(measure),
      met === undefined ? "" : met ? "ok" : "MISSED",
    ],
    ...others.map((other) => ["", "", "", "", ...against(other), "", ""]),
  ];
}

/** "≤ 1.50 ms", "ratio ≥ 0.800"; empty without a target. */
export function targetText({ target, unit }: Measure): string {
  if (target === undefined) return "";
  const bound = (sign: string, value: number | undefined): string[] =>
    value === undefined
      ? []
      : [`${sign} ${formatNumber(value)}${target.of === "ratio" ? "" : ` ${unit}`.trimEnd()}`];
  const bounds = [...bound("≥", target.least), ...bound("≤", target.most)].join(", ");
  return target.of === "ratio" ? `ratio ${bounds}` : bounds;
}
