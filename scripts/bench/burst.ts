/**
 * Works "burst" and "large": one large transaction, and the memory that it takes on both sides.
 * May import: scripts/bench.
 * @module
 */
import { memoryOf } from "./proc.ts";
import { commit, sameContent, seen, type Stage } from "./stage.ts";
import { interleaved, type Samples, type Work } from "./work.ts";

const BURST_BYTES = 100_000_000;
const LARGE_BYTES = 2 ** 30;

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
  readonly primaryMb: number;
  readonly replicaMb: number;
}

async function live(stage: Stage, bytes: number): Promise<Live> {
  const pair = await stage.pair("live");
  // A reader that spins would take one of two cores from the two nodes.
  const watcher = await stage.watch(pair.copy, { live: true, pause_ms: 1 });
  const holder = stage.helper("hold", { path: pair.source });
  await holder.next("holding");
  const { id, beganNs, ns } = await commit(holder, `add ${bytes}`);
  const visibleMs = ((await seen(watcher, id)) - ns) / 1e6;
  await sameContent(pair);
  const { peak: primaryMb } = await memoryOf(pair.primary);
  const { peak: replicaMb } = await memoryOf(pair.replica);
  return { commitMs: (ns - beganNs) / 1e6, visibleMs, primaryMb, replicaMb };
}

function transaction(name: string, about: string, most: number, visibleMs?: number): Work {
  const visible = { key: "visible", title: "commit → visible", unit: "ms" };
  return {
    name,
    about,
    measures: [
      visibleMs === undefined
        ? visible
        : { ...visible, target: { of: "median", most: visibleMs } as const },
      { key: "commit", title: "the COMMIT itself", unit: "ms" },
      ...["primary", "replica"].map((who) => ({
        key: `${who}-peak`,
        title: `${who}: resident at its peak`,
        unit: "MB",
        target: { of: "median", most: 150 } as const,
      })),
    ],
    async once(stage, nth): Promise<Samples> {
      const bytes = Math.min(most, stage.options.largeBytes);
      const [aloneMs, ours] = await interleaved(
        nth,
        () => alone(stage, bytes),
        () => live(stage, bytes),
      );
      return {
        visible: { value: ours.visibleMs },
        commit: { value: ours.commitMs, baselines: { alone: aloneMs } },
        "primary-peak": { value: ours.primaryMb },
        "replica-peak": { value: ours.replicaMb },
      };
    },
  };
}

export const burst: Work = transaction(
  "burst",
  "one transaction of 100 MB of random bytes; a look each ms",
  BURST_BYTES,
  400,
);

export const large: Work = transaction(
  "large",
  "one transaction of 1 GiB, or as large as the large database",
  LARGE_BYTES,
);
