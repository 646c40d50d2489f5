/**
 * Work "joining": what a primary's writer and its live replica notice while another replica makes its
 * first copy of a large database, again and again. May import: scripts/bench.
 * @module
 */
import { type Paced, paced } from "./latency.ts";
import type { Pair, Stage } from "./stage.ts";
import { interleaved, type Sample, type Samples, type Work } from "./work.ts";

/** `work`, with one first copy after the other beside it; how many were whole. */
async function whileJoining<T>(
  stage: Stage,
  name: string,
  { primary, source }: Pair,
  work: () => Promise<T>,
): Promise<{ result: T; copies: number }> {
  let over = false;
  let copies = 0;
  const join = async (): Promise<void> => {
    for (let nth = 0; !over; nth++) {
      const path = await stage.path(`${name}-${nth}`);
      const replica = stage.replica(`${name}-${nth}`, path, primary, source);
      await stage.ready(replica);
      copies++;
      await replica.stop();
      await Deno.remove(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    }
  };
  const ours = work().finally(() => over = true);
  const [result] = await Promise.all([ours, join()]);
  return { result, copies };
}

async function saturate(stage: Stage, path: string): Promise<number> {
  const { seconds } = stage.options;
  const writer = stage.helper("saturate", { path, seconds });
  const done = await writer.next("saturated", seconds * 1000 + 120_000);
  await writer.tell("stop");
  return Number(done["count"]) / Number(done["seconds"]);
}

export const joining: Work = {
  name: "joining",
  about: "another replica makes its first copy of a large database, again and again",
  measures: [
    { key: "p50", title: "live replica: commit → visible p50", unit: "ms" },
    { key: "p99", title: "live replica: commit → visible p99", unit: "ms" },
    { key: "writer", title: "saturating writer, synchronous=normal", unit: "/s" },
    { key: "copies", title: "first copies made beside the paced commits", unit: "" },
  ],
  async once(stage, nth): Promise<Samples> {
    const { largeBytes } = stage.options;
    const lag = (pair: Pair): Promise<Paced> => paced(stage, pair.source, [pair.copy], 100);
    const [quiet, busy] = await interleaved(
      nth,
      async () => {
        const pair = await stage.pair("quiet", largeBytes);
        const result = await lag(pair);
        return { result, perSecond: await saturate(stage, pair.source) };
      },
      async () => {
        const pair = await stage.pair("joined", largeBytes);
        const { result, copies } = await whileJoining(stage, "first", pair, () => lag(pair));
        const writer = await whileJoining(
          stage,
          "second",
          pair,
          () => saturate(stage, pair.source),
        );
        return { result, copies, perSecond: writer.result };
      },
    );
    const against = (value: number, baseline: number): Sample => ({
      value,
      baselines: { "nobody joins": baseline },
    });
    return {
      p50: against(busy.result.p50, quiet.result.p50),
      p99: against(busy.result.p99, quiet.result.p99),
      writer: against(busy.perSecond, quiet.perSecond),
      copies: { value: busy.copies },
    };
  },
};
