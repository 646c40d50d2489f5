/**
 * Results as points of a history, one JSON object a line: docs/bench/results.jsonl, which
 * scripts/chart.ts draws. May import: scripts/bench, scripts/tools.
 * @module
 */
import { ROOT, ScriptError } from "../tools.ts";
import type { Machine } from "./machine.ts";
import type { Result } from "./work.ts";

export const RESULTS_FILE = `${ROOT}docs/bench/results.jsonl`;

export interface Point {
  /** ISO 8601, a day or a moment. */
  readonly date: string;
  readonly commit: string;
  /** Of the machine: points of different machines are no trend. */
  readonly cores: number;
  readonly work: string;
  /** Key of the measure. */
  readonly measure: string;
  readonly title: string;
  readonly unit: string;
  readonly runs: number;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** What the ratio is to, and its median in the same run. */
  readonly baseline?: { readonly name: string; readonly median: number; readonly ratio: number };
}

export function pointsOf(machine: Machine, results: readonly Result[]): Point[] {
  return results.map(({ work, measure, values, median, min, max, baselines }) => {
    const [first] = baselines;
    const point = {
      date: machine.date,
      commit: machine.commit ?? "unknown",
      cores: machine.cpus,
      work,
      measure: measure.key,
      title: measure.title,
      unit: measure.unit,
      runs: values.length,
      ...{ median: rounded(median), min: rounded(min), max: rounded(max) },
    };
    // A ratio to nothing is no number in JSON.
    if (first === undefined || !Number.isFinite(first.ratio)) return point;
    const ratio = rounded(first.ratio);
    return { ...point, baseline: { name: first.name, median: rounded(first.median), ratio } };
  });
}

/** Four digits are more than a run is good for. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

export function pointLines(points: readonly Point[]): string {
  return points.map((point) => `${JSON.stringify(point)}\n`).join("");
}

/** @throws {ScriptError} with the line that is no point. */
export function parsePoints(text: string): Point[] {
  return text.split("\n").flatMap((line, at) => {
    if (line.trim() === "") return [];
    try {
      const point: Point = JSON.parse(line);
      const numbers = [point.cores, point.runs, point.median, point.min, point.max];
      const words = [point.date, point.commit, point.work, point.measure, point.title, point.unit];
      if (!numbers.every(Number.isFinite) || words.some((word) => typeof word !== "string")) {
        throw new TypeError("a field is missing or of another type");
      }
      if (Number.isNaN(Date.parse(point.date))) throw new TypeError("its date is none");
      return [point];
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new ScriptError(`Cannot read line ${at + 1} of the results as a point: ${why}`);
    }
  });
}
