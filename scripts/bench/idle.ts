/**
 * Works "idle" and "databases": processor time and memory of a primary and a replica while nobody
 * writes, of one small database and of 200 in one process each. May import: scripts/bench,
 * tests/support.
 * @module
 */
import type { LiveNode } from "../../tests/support/node.ts";
import { sleep } from "../../tests/support/process.ts";
import { processorMs } from "../../tests/support/processor.ts";
import { paced } from "./latency.ts";
import { memoryOf } from "./proc.ts";
import type { Stage } from "./stage.ts";
import type { Measure, Samples, Work } from "./work.ts";

const SETTLE_MS = 2000;
/**
 * Opening so many leaves garbage, which V8 collects at its leisure, half a minute later at last; and for
 * a minute and more it goes on compiling what runs each second.
 */
const MANY_SETTLE_MS = 90_000;
/** What comes every 40 s counts as what it is on average. */
const MANY_SECONDS = 40;
const DATABASES = 200;

interface Who {
  readonly key: string;
  readonly title: string;
}

const PAIR: readonly Who[] = [
  { key: "primary", title: "primary" },
  { key: "replica", title: "replica" },
];
const ALONE: Who = { key: "alone", title: "primary that nobody follows" };

/** `mostMb`: of what is resident at rest. */
function measures(whos: readonly Who[], mostMb: number): Measure[] {
  const of = (part: string, what: string, unit: string, most?: number): Measure[] =>
    whos.map((who) => {
      const measure = { key: `${who.key}-${part}`, title: `${who.title}: ${what}`, unit };
      return most === undefined ? measure : { ...measure, target: { of: "median", most } };
    });
  return [
    ...of("cpu", "processor", "%", 0.5),
    ...of("memory", "resident", "MB", mostMb),
    ...of("peak", "resident at its peak", "MB"),
  ];
}

async function rest(
  stage: Stage,
  whos: readonly Who[],
  nodes: readonly LiveNode[],
  settleMs = SETTLE_MS,
  least = 0,
): Promise<Samples> {
  const { quick } = stage.options;
  const seconds = quick ? stage.options.seconds : Math.max(least, stage.options.seconds);
  await sleep(quick ? 100 : settleMs);
  const { ms } = await processorMs(nodes, () => sleep(seconds * 1000));
  const samples: Record<string, { value: number }> = {};
  for (const [at, { key }] of whos.entries()) {
    const { now, peak } = await memoryOf(nodes[at]!);
    samples[`${key}-cpu`] = { value: 100 * ms[at]! / (1000 * seconds) };
    samples[`${key}-memory`] = { value: now };
    samples[`${key}-peak`] = { value: peak };
  }
  return samples;
}

export const idle: Work = {
  name: "idle",
  about: "an application is connected, nobody writes; small database",
  measures: measures(PAIR, 90),
  async once(stage): Promise<Samples> {
    const { source, primary, replica } = await stage.pair("live");
    await stage.helper("hold", { path: source }).next("holding");
    return await rest(stage, PAIR, [primary, replica]);
  },
};

export const databases: Work = {
  name: "databases",
  about:
    `${DATABASES} small databases in one process, alone, then followed by another; nobody writes`,
  measures: [
    ...measures([ALONE, ...PAIR], 300),
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
    const alone = await rest(stage, [ALONE], [primary], MANY_SETTLE_MS / 2, MANY_SECONDS);
    const replica = stage.node(
      "replica",
      copies.map((path, nth) => ({ path, upstream: { url: primary.url, path: sources[nth]! } })),
    );
    await stage.ready(replica);
    const followed = await rest(stage, PAIR, [primary, replica], MANY_SETTLE_MS, MANY_SECONDS);
    const { p50 } = await paced(stage, sources[0]!, [copies[0]!], 100);
    return { ...alone, ...followed, p50: { value: p50 } };
  },
};
