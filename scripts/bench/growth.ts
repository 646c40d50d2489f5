/**
 * Work "growth": does a commit cost more in a larger database? From 10 MB tenfold up to the large
 * database; `--size` decides how far, as far as the disk goes (it holds the file twice).
 * May import: scripts/bench, tests/support.
 * @module
 */
import { processorMs } from "../../tests/support/processor.ts";
import { paced } from "./latency.ts";
import type { Stage } from "./stage.ts";
import type { Measure, Sample, Samples, Work } from "./work.ts";

interface Size {
  readonly name: string;
  readonly bytes: number;
}

const SIZES: readonly Size[] = [
  { name: "10 MB", bytes: 1e7 },
  { name: "100 MB", bytes: 1e8 },
  { name: "1 GiB", bytes: 2 ** 30 },
  { name: "10 GiB", bytes: 10 * 2 ** 30 },
  { name: "100 GiB", bytes: 100 * 2 ** 30 },
];

async function ofSize(stage: Stage, { name, bytes }: Size): Promise<Record<string, Sample>> {
  const pair = await stage.pair(name.replace(" ", "-"), bytes);
  const nodes = [pair.primary, pair.replica];
  const work = () => paced(stage, pair.source, [pair.copy], 100);
  const { ms, result: { p50, count } } = await processorMs(nodes, work);
  for (const node of [...nodes].reverse()) await node.stop();
  for (const path of [pair.source, pair.copy]) await Deno.remove(path);
  return {
    [`${name}-p50`]: { value: p50 },
    [`${name}-primary`]: { value: ms[0]! / count },
    [`${name}-replica`]: { value: ms[1]! / count },
  };
}

export const growth: Work = {
  name: "growth",
  about:
    "100 commits a second in databases of 10 MB and more; processor time of the nodes a commit",
  measures: SIZES.flatMap(({ name }): Measure[] => [
    { key: `${name}-p50`, title: `${name}: commit → visible p50`, unit: "ms" },
    { key: `${name}-primary`, title: `${name}: primary's processor`, unit: "ms" },
    { key: `${name}-replica`, title: `${name}: replica's processor`, unit: "ms" },
  ]),
  async once(stage): Promise<Samples> {
    const { quick, largeBytes } = stage.options;
    if (quick) return await ofSize(stage, { name: SIZES[0]!.name, bytes: largeBytes });
    let samples: Record<string, Sample> = {};
    for (const size of SIZES.filter(({ bytes }) => bytes <= largeBytes)) {
      samples = { ...samples, ...await ofSize(stage, size) };
    }
    return samples;
  },
};
