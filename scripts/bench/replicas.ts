/**
 * Works "replicas" and "chain": paced commits until the last of many replicas shows them.
 * May import: scripts/bench, tests/support (types).
 * @module
 */
import type { LiveNode } from "../../tests/support/node.ts";
import { lagMeasures, type Paced, paced } from "./latency.ts";
import type { Stage } from "./stage.ts";
import type { Samples, Work } from "./work.ts";

const RATE = 20;
/** A machine is not 50 machines: more replicas than this share processes. */
const PROCESSES = 10;
const COUNTS = [{ count: 10, p50Ms: 5 }, { count: 50, p50Ms: 20 }] as const;
const CHAIN = 3;

/** Each has its own connection to the primary, whichever process it is in. */
async function lastOf(stage: Stage, count: number): Promise<Paced> {
  const name = `r${count}`;
  const source = await stage.database(`${name}-source`);
  const primary = stage.primary(`${name}-primary`, source);
  await stage.ready(primary);
  const nodes: LiveNode[] = [];
  const copies: string[] = [];
  const processes = Math.min(count, PROCESSES);
  for (let nth = 0; nth < processes; nth++) {
    const paths: string[] = [];
    for (let at = nth; at < count; at += processes) {
      paths.push(await stage.path(`${name}-copy-${at}`));
    }
    const upstream = { url: primary.url, path: source };
    nodes.push(stage.node(`${name}-${nth}`, paths.map((path) => ({ path, upstream }))));
    copies.push(...paths);
  }
  for (const node of nodes) await stage.ready(node);
  const result = await paced(stage, source, copies, RATE);
  for (const node of [...nodes, primary]) await node.stop();
  return result;
}

export const replicas: Work = {
  name: "replicas",
  about:
    `${RATE} commits a second, until the last replica shows each (a look each 0.1 ms); ${PROCESSES} processes`,
  measures: COUNTS.flatMap(({ count, p50Ms }) =>
    lagMeasures(p50Ms).map((measure) => ({
      ...measure,
      key: `${count}-${measure.key}`,
      title: `the last of ${count}: ${measure.key}`,
    }))
  ),
  async once(stage, nth): Promise<Samples> {
    const samples: Record<string, { value: number }> = {};
    for (const { count } of nth % 2 === 0 ? COUNTS : [...COUNTS].reverse()) {
      const result = await lastOf(stage, stage.options.quick ? Math.min(4, count / 5) : count);
      for (const key of ["p50", "p90", "p99"] as const) {
        samples[`${count}-${key}`] = { value: result[key] };
      }
    }
    return samples;
  },
};

export const chain: Work = {
  name: "chain",
  about: `${CHAIN} replicas, each the upstream of the next; 100 commits a second, seen at the last`,
  measures: lagMeasures(2.5),
  async once(stage): Promise<Samples> {
    const source = await stage.database("source");
    let upstream = stage.primary("primary", source);
    await stage.ready(upstream);
    let path = source;
    for (let hop = 1; hop <= CHAIN; hop++) {
      const copy = await stage.path(`copy-${hop}`);
      const replica = stage.replica(`replica-${hop}`, copy, upstream, path);
      await stage.ready(replica);
      [upstream, path] = [replica, copy];
    }
    const { p50, p90, p99 } = await paced(stage, source, [path], 100);
    return { p50: { value: p50 }, p90: { value: p90 }, p99: { value: p99 } };
  },
};
