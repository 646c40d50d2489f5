/**
 * Work "idle": processor time and memory of a primary and a replica while nobody writes.
 * Source: man 5 proc. May import: scripts/bench, scripts/tools, tests/support.
 * @module
 */
import type { LiveNode } from "../../tests/support/node.ts";
import { sleep } from "../../tests/support/process.ts";
import { runOrFail } from "../tools.ts";
import type { Measure, Samples, Work } from "./work.ts";

const SETTLE_MS = 2000;

/** utime + stime out of /proc/PID/stat, ticks. The name in brackets may hold spaces and brackets. */
export function processTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [utime, stime] = [fields[11], fields[12]]; // fields 14 and 15; the first here is 3
  return Number(utime) + Number(stime);
}

/** VmRSS out of /proc/PID/status, MB. */
export function residentMegabytes(status: string): number {
  return Number(status.match(/^VmRSS:\s+(\d+) kB$/m)?.[1]) * 1024 / 1e6;
}

const ticksOf = async (node: LiveNode): Promise<number> =>
  processTicks(await Deno.readTextFile(`/proc/${node.child.pid}/stat`));

const memoryOf = async (node: LiveNode): Promise<number> =>
  residentMegabytes(await Deno.readTextFile(`/proc/${node.child.pid}/status`));

const cpu = (who: string): Measure => ({
  key: `${who}-cpu`,
  title: `${who}: processor`,
  unit: "%",
  target: { of: "median", most: 0.5 },
});

const memory = (who: string): Measure => ({
  key: `${who}-memory`,
  title: `${who}: resident`,
  unit: "MB",
  target: { of: "median", most: 90 },
});

export const idle: Work = {
  name: "idle",
  about: "an application is connected, nobody writes; small database",
  measures: [cpu("primary"), cpu("replica"), memory("primary"), memory("replica")],
  async once(stage): Promise<Samples> {
    const perSecond = Number(await runOrFail("ask for the clock", "getconf", ["CLK_TCK"]));
    const { source, primary, replica } = await stage.pair("live");
    const application = stage.helper("hold", { path: source });
    await application.next("holding");
    await sleep(SETTLE_MS);
    const nodes = [primary, replica];
    const before = await Promise.all(nodes.map(ticksOf));
    const began = performance.now();
    await sleep(stage.options.seconds * 1000);
    const after = await Promise.all(nodes.map(ticksOf));
    const seconds = (performance.now() - began) / 1000;
    const used = after.map((ticks, at) => (ticks - before[at]!) / perSecond / seconds * 100);
    const resident = await Promise.all(nodes.map(memoryOf));
    return {
      "primary-cpu": { value: used[0]! },
      "replica-cpu": { value: used[1]! },
      "primary-memory": { value: resident[0]! },
      "replica-memory": { value: resident[1]! },
    };
  },
};
