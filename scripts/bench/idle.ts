/**
 * Works "idle" and "databases": processor time and memory of a primary and a replica while nobody
 * writes, of one small database and of 200 in one process each. May import: scripts/bench,
 * tests/support.
 * @module
 */
import type { LiveNode } from "../../tests/support/node.ts";
import { sleep } from "../../tests/support/process.ts";
import { paced } from "./latency.ts";
import { memoryOf, processorShare } from "./proc.ts";
import type { Stage } from "./stage.ts";
import type { Measure, Samples, Work } from "./work.ts";

const SETTLE_MS = 2000;
const DATABASES = 200;
const WHO = ["primary", "replica"] as const;

/** `mostMb`: of what is resident at rest. */
function measures(mostMb: number): Measure[] {
  const of = (part: string, what: string, unit: string, most?: number): Measure[] =>
    WHO.map((who) => {
      const measure = { key: `${who}-${part}`, title: `${who}: ${what}`, unit };
      return most === undefined ? measure : { ...measure, target: { of: "median", most } };
    });
  return [
    ...of("cpu", "processor", "%", 0.5),
    ...of("memory", "resident", "MB", mostMb),
    ...of("peak", "resident at its peak", "MB"),
  ];
}

async function rest(stage: Stage, nodes: readonly LiveNode[]): Promise<Samples> {
  const { seconds, quick } = stage.options;
  await sleep(quick ? 100 : SETTLE_MS);
  const used = await processorShare(nodes, () => sleep(seconds * 1000));
  const samples: Record<string, { value: number }> = {};
  for (const [at, who] of WHO.entries()) {
    const { now, peak } = await memoryOf(nodes[at]!);
    samples[`${who}-cpu`] = { value: used[at]! };
    samples[`${who}-memory`] = { value: now };
    samples[`${who}-peak`] = { value: peak };
  }
  return samples;
}

export const idle: Work = {
  name: "idle",
  about: "an application is connected, nobody writes; small database",
  measures: measures(90),
  async once(stage): Promise<Samples> {
    const { source, primary, replica } = await stage.pair("live");
    await stage.helper("hold", { path: source }).next("holding");
    return await rest(stage, [primary, replica]);
  },
};

export const databases: Work = {
  name: "databases",
  about:
    `${DATABASES} small databases in one process, followed by another; nobody writes, then one`,
  measures: [
    ...measures(300),
    { key: "p50", title: "commit → visible p50 in one of them", unit: "ms" },
  ],
  async once(stage): Promise<Samples> {
    const count = stage.options.quick ? 5 : DATABASES;
    const numbers = Array.from({ length: count }, (_, nth) => nth);
    const sources = await Promise.all(numbers.map((nth) => stage.path(`source/${nth}`)));
    const copies = await Promise.all(numbers.map((nth) => stage.path(`copy/${nth}`)));
    await stage.helper("make", { paths: sources }).next("made", 120_000);
    const primary = stage.node("primary", sources.map((path) => ({ path })));
    await stage.ready(primary);
    const replica = stage.node(
      "replica",
      copies.map((path, nth) => ({ path, upstream: { url: primary.url, path: sources[nth]! } })),
    );
    await stage.ready(replica);
    const samples = await rest(stage, [primary, replica]);
    const { p50 } = await paced(stage, sources[0]!, [copies[0]!], 100);
    return { ...samples, p50: { value: p50 } };
  },
};
