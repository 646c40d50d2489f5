/**
 * Works "resume" and "catchup": replica or primary stopped or killed, pages changed meanwhile, started
 * again: how long until a reader of the copy sees the change, and how much was sent for it.
 * The application and the reader stay connected all the time. May import: scripts/bench.
 * @module
 */
import { commit, type Pair, sameContent, seen, type Stage } from "./stage.ts";
import type { Helper } from "./helper.ts";
import { formatCount } from "./numbers.ts";
import type { Measure, Sample, Samples, Work } from "./work.ts";

const PAGE_BYTES = 4096;
const PAGES = 100;
const CATCH_UPS = [100, 10_000, 100_000] as const;

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
  pages = PAGES,
): Promise<{ seconds: number; megabytes: number }> {
  const node = pair[who];
  const received = async (): Promise<number> =>
    (await pair.replica.database()).counters.receivedBytes;
  const before = who === "replica" ? 0 : await received(); // its process counts from 0
  await (how === "stop" ? node.stop() : node.kill());
  const { id } = await commit(application, `touch ${pages}`);
  const began = performance.now();
  node.start();
  await seen(watcher, id, 120_000);
  const seconds = (performance.now() - began) / 1000;
  const megabytes = ((await received()) - before) / 1e6;
  await sameContent(pair);
  return { seconds, megabytes };
}

interface Resumable {
  readonly pair: Pair;
  readonly application: Helper;
  readonly watcher: Helper;
}

async function resumable(stage: Stage): Promise<Resumable> {
  const pair = await stage.pair("live", stage.options.largeBytes);
  const application = stage.helper("hold", { path: pair.source });
  await application.next("holding");
  const watcher = await stage.watch(pair.copy, { live: true, pause_ms: 1 });
  return { pair, application, watcher };
}

export const resuming: Work = {
  name: "resume",
  about: `${PAGES} pages of a large database changed while a node was down; start → visible`,
  measures: CASES.flatMap(({ key, who, how }): Measure[] => {
    const title = `${who} after ${how === "stop" ? "a stop" : "kill -9"}`;
    return [
      { key, title, unit: "s", target: { of: "median", most: 0.5 } },
      {
        key: `${key}-received`,
        title: `${title}: received`,
        unit: "MB",
        target: { of: "median", most: 2 },
      },
    ];
  }),
  async once(stage, nth): Promise<Samples> {
    const { pair, application, watcher } = await resumable(stage);
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

export const catchingUp: Work = {
  name: "catchup",
  about: "so many pages changed while the replica was stopped; start → visible",
  measures: CATCH_UPS.flatMap((pages): Measure[] => [
    { key: `${pages}`, title: `${formatCount(pages)} pages`, unit: "s" },
    { key: `${pages}-received`, title: `${formatCount(pages)} pages: received`, unit: "MB" },
  ]),
  async once(stage): Promise<Samples> {
    const { pair, application, watcher } = await resumable(stage);
    const samples: Record<string, Sample> = {};
    for (const pages of CATCH_UPS) {
      if (pages * PAGE_BYTES > stage.options.largeBytes) continue;
      const stopped = { key: "", who: "replica", how: "stop" } as const;
      const { seconds, megabytes } = await resume(stopped, pair, application, watcher, pages);
      samples[`${pages}`] = { value: seconds };
      samples[`${pages}-received`] = { value: megabytes };
    }
    return samples;
  },
};
