/**
 * Works "latency" and "loaded": from just after COMMIT returned to first seen by a reader that spins,
 * paced commits of one row each. The baseline is the same reader on the writer's own file: what
 * polling alone costs, nothing can be below it. May import: scripts/bench.
 * @module
 */
import { Lag } from "./lag.ts";
import type { Stage } from "./stage.ts";
import { interleaved, type Measure, type Samples, type Work } from "./work.ts";

/** Commits before the first that counts: caches, the JIT, the wake-up's rhythm. */
const WARM_UP = 50;

export interface Paced {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly perSecond: number;
  readonly count: number;
}

/** Commits to `path`, and when the last of `watched` showed each. */
export async function paced(
  stage: Stage,
  path: string,
  watched: readonly string[],
  rate: number,
): Promise<Paced> {
  const warmUp = stage.options.quick ? 5 : WARM_UP;
  const count = warmUp + Math.ceil(rate * stage.options.seconds);
  const first = 2; // the database was made with row 1
  const until = first + count - 1;
  const watcher = watched.length === 1
    ? await stage.watch(watched[0]!, { until })
    : await stage.watchAll(watched, until);
  const writer = stage.helper("pace", { path, rate, count });
  const limitMs = (count / rate) * 1000 + 60_000;
  const wrote = await writer.next("paced", limitMs);
  const saw = await watcher.next("watched", limitMs);
  const lag = new Lag();
  for (const [id, ns] of events(wrote)) {
    if (id >= first + warmUp) lag.committed(id, ns);
  }
  for (const [id, ns] of events(saw)) lag.seen(id, ns);
  const percentile = (percent: number): number => lag.percentile(percent) ?? NaN;
  return {
    p50: percentile(50),
    p90: percentile(90),
    p99: percentile(99),
    perSecond: count / Number(wrote["seconds"]),
    count,
  };
}

function events(message: Readonly<Record<string, unknown>>): [id: number, ns: number][] {
  const ids = message["ids"] as number[];
  const times = message["ns"] as number[];
  return ids.map((id, at) => [id, times[at]!]);
}

async function once(stage: Stage, nth: number, rate: number): Promise<Samples> {
  const [alone, live] = await interleaved(
    nth,
    async () => {
      const path = await stage.database("alone");
      return await paced(stage, path, [path], rate);
    },
    async () => {
      const { source, copy, primary, replica } = await stage.pair("live");
      const result = await paced(stage, source, [copy], rate);
      await replica.stop();
      await primary.stop();
      return result;
    },
  );
  const sample = (key: keyof Paced, baseline: string): Samples[string] => ({
    value: live[key],
    baselines: { [baseline]: alone[key] },
  });
  return {
    p50: sample("p50", "same file"),
    p90: sample("p90", "same file"),
    p99: sample("p99", "same file"),
    perSecond: sample("perSecond", "alone"),
  };
}

export function lagMeasures(p50Ms?: number, p99Ms?: number): Measure[] {
  const lag = (key: string, most?: number): Measure => {
    const measure = { key, title: `commit → visible ${key}`, unit: "ms" };
    return most === undefined ? measure : { ...measure, target: { of: "median", most } };
  };
  return [lag("p50", p50Ms), lag("p90"), lag("p99", p99Ms)];
}

export const latency: Work = {
  name: "latency",
  about: "100 commits a second; a reader spins on the replica",
  measures: lagMeasures(0.8, 4),
  once: (stage, nth) => once(stage, nth, 100),
};

export const loaded: Work = {
  name: "loaded",
  about: "the same at 2,000 commits a second",
  measures: [...lagMeasures(2), { key: "perSecond", title: "commits reached", unit: "/s" }],
  once: (stage, nth) => once(stage, nth, 2000),
};
