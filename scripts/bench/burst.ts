/**
 * Work "burst": one large transaction. May import: scripts/bench.
 * @module
 */
import { commit, sameContent, seen, type Stage } from "./stage.ts";
import { interleaved, type Samples, type Work } from "./work.ts";

const BURST_BYTES = 100_000_000;

async function alone(stage: Stage, bytes: number): Promise<number> {
  const path = await stage.database("alone");
  const holder = stage.helper("hold", { path });
  await holder.next("holding");
  const { beganNs, ns } = await commit(holder, `add ${bytes}`);
  await holder.tell("stop");
  return (ns - beganNs) / 1e6;
}

interface Live {
  readonly commitMs: number;
  readonly visibleMs: number;
  readonly answers: number;
}

async function live(stage: Stage, bytes: number): Promise<Live> {
  const pair = await stage.pair("live");
  const watcher = await stage.watch(pair.copy, { live: true });
  const holder = stage.helper("hold", { path: pair.source });
  await holder.next("holding");
  const { id, beganNs, ns } = await commit(holder, `add ${bytes}`);
  const visibleMs = ((await seen(watcher, id)) - ns) / 1e6;
  await sameContent(pair);
  const { counters } = await pair.replica.database();
  return { commitMs: (ns - beganNs) / 1e6, visibleMs, answers: counters.applied };
}

export const burst: Work = {
  name: "burst",
  about: "one transaction of 100 MB of random bytes",
  measures: [
    {
      key: "visible",
      title: "commit → visible",
      unit: "ms",
      target: { of: "median", most: 1000 },
    },
    { key: "commit", title: "the COMMIT itself", unit: "ms" },
  ],
  async once(stage, nth): Promise<Samples> {
    const bytes = Math.min(BURST_BYTES, stage.options.largeBytes);
    const [aloneMs, ours] = await interleaved(
      nth,
      () => alone(stage, bytes),
      () => live(stage, bytes),
    );
    return {
      visible: { value: ours.visibleMs },
      commit: { value: ours.commitMs, baselines: { alone: aloneMs } },
    };
  },
};
