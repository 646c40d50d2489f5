/**
 * What a work is, and what comes out of several runs of it. Pure. May import: scripts/bench/numbers,
 * scripts/bench/stage (types).
 * @module
 */
import { median } from "./numbers.ts";
import type { Stage } from "./stage.ts";

/** Met if the median, or its ratio to the baseline, is within the bounds. */
export interface Target {
  readonly of: "median" | "ratio";
  readonly least?: number;
  readonly most?: number;
}

export interface Measure {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  readonly target?: Target;
}

/** One measure in one run. */
export interface Sample {
  readonly value: number;
  /**
   * The same work without replication, or done by another program, in the same run. The first is what
   * `ratio` compares with; the place for other programs is behind it.
   */
  readonly baselines?: Readonly<Record<string, number>>;
}

export type Samples = Readonly<Record<string, Sample>>;

export interface Work {
  readonly name: string;
  /** A sentence: what is done and timed. */
  readonly about: string;
  readonly measures: readonly Measure[];
  /** One run on an empty stage. Parts that are compared change their order with `nth`. */
  once(stage: Stage, nth: number): Promise<Samples>;
}

export interface Baseline {
  readonly name: string;
  readonly values: readonly number[];
  readonly median: number;
  /** Of our median to this one. */
  readonly ratio: number;
}

export interface Result {
  readonly work: string;
  readonly measure: Measure;
  readonly values: readonly number[];
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly baselines: readonly Baseline[];
  /** Absent without a target. */
  readonly met?: boolean;
}

/** One result for each measure that any run has. */
export function resultsOf(work: Work, runs: readonly Samples[]): Result[] {
  return work.measures.flatMap((measure): Result[] => {
    const samples = runs.flatMap((run) => run[measure.key] ?? []);
    if (samples.length === 0) return [];
    const values = samples.map(({ value }) => value);
    const middle = median(values);
    const names = new Set(samples.flatMap(({ baselines }) => Object.keys(baselines ?? {})));
    const baselines = [...names].map((name): Baseline => {
      const theirs = samples.flatMap((sample) => sample.baselines?.[name] ?? []);
      const theirMedian = median(theirs);
      return { name, values: theirs, median: theirMedian, ratio: middle / theirMedian };
    });
    const { target } = measure;
    const judged = target?.of === "ratio" ? baselines[0]?.ratio : middle;
    const met = target === undefined || judged === undefined ? undefined : isMet(target, judged);
    const [min, max] = [Math.min(...values), Math.max(...values)];
    const result = { work: work.name, measure, values, median: middle, min, max, baselines };
    return [met === undefined ? result : { ...result, met }];
  });
}

function isMet({ least, most }: Target, value: number): boolean {
  return (least === undefined || value >= least) && (most === undefined || value <= most);
}

/** The runs' order of two parts: A B, B A, A B, ... */
export async function interleaved<A, B>(
  nth: number,
  first: () => Promise<A>,
  second: () => Promise<B>,
): Promise<[A, B]> {
  if (nth % 2 === 0) return [await first(), await second()];
  const b = await second();
  return [await first(), b];
}
