/**
 * Works "writer" and "writers": commits of one row as fast as one or two writers can, with a replica
 * and without replication, one after the other in the same run. May import: scripts/bench.
 * @module
 */
import type { Message } from "./helper.ts";
import { followByLitestream } from "./litestream.ts";
import { seen, type Stage } from "./stage.ts";
import { interleaved, type Measure, type Sample, type Samples, type Work } from "./work.ts";

interface Setting {
  readonly name: string;
  readonly synchronous: "normal" | "full";
  /** 0: whoever is in the way is a refusal at once. */
  readonly timeoutMs: number;
}

const NORMAL: Setting = { name: "normal", synchronous: "normal", timeoutMs: 5000 };
const FULL: Setting = { name: "full", synchronous: "full", timeoutMs: 5000 };
const IMPATIENT: Setting = { name: "impatient", synchronous: "normal", timeoutMs: 0 };

interface Written {
  /** Of all writers. */
  readonly perSecond: number;
  readonly busy: number;
  readonly longestMs: number;
  /** From the writer's end until the copy had all; 0 without one. */
  readonly behindMs: number;
}

/** The writers stay connected afterwards, as applications do. */
async function write(
  stage: Stage,
  path: string,
  setting: Setting,
  writers: number,
): Promise<Message[]> {
  const { seconds } = stage.options;
  const { synchronous, timeoutMs } = setting;
  const options = { path, seconds, synchronous, timeout_ms: timeoutMs };
  const all = Array.from({ length: writers }, () => stage.helper("saturate", options));
  return await Promise.all(all.map((one) => one.next("saturated", seconds * 1000 + 60_000)));
}

function writtenOf(done: readonly Message[], behindMs: number): Written {
  const sum = (of: (message: Message) => number): number =>
    done.reduce((all, message) => all + of(message), 0);
  return {
    perSecond: sum((one) => Number(one["count"]) / Number(one["seconds"])),
    busy: sum((one) => Number(one["busy"])),
    longestMs: Math.max(...done.map((one) => Number(one["longest_ms"]))),
    behindMs,
  };
}

async function alone(stage: Stage, setting: Setting, writers: number): Promise<Written> {
  const path = await stage.database(`${setting.name}-alone`);
  return writtenOf(await write(stage, path, setting, writers), 0);
}

async function replicated(stage: Stage, setting: Setting, writers: number): Promise<Written> {
  const { source, copy, primary, replica } = await stage.pair(setting.name);
  const done = await write(stage, source, setting, writers);
  const ended = performance.now();
  const last = Math.max(...done.map((one) => Number(one["id"])));
  const watcher = stage.helper("watch", { path: copy, live: true, pause_ms: 1 });
  const first = await watcher.next("watching");
  if (Number(first["id"]) < last) await seen(watcher, last);
  const behindMs = performance.now() - ended;
  await watcher.tell("stop");
  await replica.stop();
  await primary.stop();
  return writtenOf(done, behindMs);
}

async function compare(
  stage: Stage,
  nth: number,
  setting: Setting,
  writers = 1,
): Promise<[Written, Written]> {
  return await interleaved(
    nth,
    () => alone(stage, setting, writers),
    () => replicated(stage, setting, writers),
  );
}

/** The same writer while Litestream follows its file, where it is named. */
async function besideLitestream(stage: Stage): Promise<Readonly<Record<string, number>>> {
  const { litestream } = stage.options;
  if (litestream === undefined) return {};
  const path = await stage.database("litestream-source");
  await using _follower = await followByLitestream(stage, litestream, path);
  return { "Litestream 0.5": writtenOf(await write(stage, path, NORMAL, 1), 0).perSecond };
}

const against = (value: number, baseline: number): Sample => ({
  value,
  baselines: { alone: baseline },
});

/** What both works have; `least`: of the speed alone. */
function speeds(least: number): Measure[] {
  const target = { of: "ratio", least } as const;
  return [
    { key: "normal", title: "synchronous=normal", unit: "/s", target },
    { key: "full", title: "synchronous=full", unit: "/s", target },
    { key: "longest", title: "longest commit, normal", unit: "ms" },
    { key: "behind", title: "copy complete after the end, ≤", unit: "ms" },
  ];
}

export const writer: Work = {
  name: "writer",
  about: "one writer as fast as it can; Python's sqlite3 on both sides",
  measures: [
    ...speeds(0.95),
    { key: "busy", title: "commits refused (BUSY) at busy_timeout 0", unit: "" },
    { key: "impatient", title: "commits at busy_timeout 0", unit: "/s" },
    { key: "blocked", title: "longest commit, retries included", unit: "ms" },
  ],
  async once(stage, nth): Promise<Samples> {
    const [normalAlone, normal] = await compare(stage, nth, NORMAL);
    const [fullAlone, full] = await compare(stage, nth, FULL);
    const [impatientAlone, impatient] = await compare(stage, nth, IMPATIENT);
    const others = await besideLitestream(stage);
    return {
      normal: {
        value: normal.perSecond,
        baselines: { alone: normalAlone.perSecond, ...others },
      },
      full: against(full.perSecond, fullAlone.perSecond),
      longest: against(normal.longestMs, normalAlone.longestMs),
      behind: { value: normal.behindMs },
      busy: against(impatient.busy, impatientAlone.busy),
      impatient: against(impatient.perSecond, impatientAlone.perSecond),
      blocked: against(impatient.longestMs, impatientAlone.longestMs),
    };
  },
};

export const writers: Work = {
  name: "writers",
  about: "two writers at once, each as fast as it can; both together",
  measures: speeds(1),
  async once(stage, nth): Promise<Samples> {
    const [normalAlone, normal] = await compare(stage, nth, NORMAL, 2);
    const [fullAlone, full] = await compare(stage, nth, FULL, 2);
    return {
      normal: against(normal.perSecond, normalAlone.perSecond),
      full: against(full.perSecond, fullAlone.perSecond),
      longest: against(normal.longestMs, normalAlone.longestMs),
      behind: { value: normal.behindMs },
    };
  },
};
