/**
 * Work "resume": replica or primary stopped or killed, 100 pages changed meanwhile, started again:
 * how long until a reader of the copy sees the change, and how much was sent for it.
 * The application and the reader stay connected all the time. May import: scripts/bench.
 * @module
 */
import { commit, type Pair, sameContent, seen } from "./stage.ts";
import type { Helper } from "./helper.ts";
import type { Measure, Sample, Samples, Work } from "./work.ts";

const PAGES = 100;

interface Case {
  readonly key: string;
  readonly who: "replica" | "primary";
  readonly how: "stop" | "kill";
}

const CASES: readonly Case[] = [
  { key: "replica-stop", who: "replica", how: "stop" },
  { key: "replica-kill", who: "replica", how: "kill" },
  { key: "primary-stop", who: "primary", how: "stop" },
  { key: "primary-kill", who: "primary", how: "kill" },
];

async function resume(
  { who, how }: Case,
  pair: Pair,
  application: Helper,
  watcher: Helper,
): Promise<{ seconds: number; megabytes: number }> {
  const node = pair[who];
  const received = async (): Promise<number> =>
    (await pair.replica.database()).counters.receivedBytes;
  const before = who === "replica" ? 0 : await received(); // its process counts from 0
  await (how === "stop" ? node.stop() : node.kill());
  const { id } = await commit(application, `touch ${PAGES}`);
  const began = performance.now();
  node.start();
  await seen(watcher, id, 120_000);
  const seconds = (performance.now() - began) / 1000;
  const megabytes = ((await received()) - before) / 1e6;
  await sameContent(pair);
  return { seconds, megabytes };
}

export const resuming: Work = {
  name: "resume",
  about: `${PAGES} pages of a large database changed while a node was down; start → visible`,
  measures: CASES.flatMap(({ key, who, how }): Measure[] => {
    const title = `${who} after ${how === "stop" ? "a stop" : "kill -9"}`;
    return [
      { key, title, unit: "s", target: { of: "median", most: 1 } },
      {
        key: `${key}-received`,
        title: `${title}: received`,
        unit: "MB",
        target: { of: "median", most: 2 },
      },
    ];
  }),
  async once(stage, nth): Promise<Samples> {
    const pair = await stage.pair("live", stage.options.largeBytes);
    const application = stage.helper("hold", { path: pair.source });
    await application.next("holding");
    const watcher = await stage.watch(pair.copy, { live: true, pause_ms: 1 });
    const samples: Record<string, Sample> = {};
    const cases = nth % 2 === 0 ? CASES : [...CASES].reverse();
    for (const one of cases) {
      const { seconds, megabytes } = await resume(one, pair, application, watcher);
      samples[one.key] = { value: seconds };
      samples[`${one.key}-received`] = { value: megabytes };
    }
    return samples;
  },
};
