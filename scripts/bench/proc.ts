/**
 * What the system counts of a process: processor time, memory now and at its peak. Linux.
 * Source: man 5 proc. May import: scripts/tools, tests/support (types).
 * @module
 */
import type { LiveNode } from "../../tests/support/node.ts";
import { runOrFail } from "../tools.ts";

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

/** VmHWM, the most that was ever resident, MB. */
export function peakMegabytes(status: string): number {
  return Number(status.match(/^VmHWM:\s+(\d+) kB$/m)?.[1]) * 1024 / 1e6;
}

export interface Memory {
  /** MB */
  readonly now: number;
  readonly peak: number;
}

export async function memoryOf(node: LiveNode): Promise<Memory> {
  const status = await Deno.readTextFile(`/proc/${node.child.pid}/status`);
  return { now: residentMegabytes(status), peak: peakMegabytes(status) };
}

/** Processor time of all threads that are there, ms: finer than ticks, for parts of a second. */
export async function processorMs(node: LiveNode): Promise<number> {
  const tasks = `/proc/${node.child.pid}/task`;
  let ns = 0;
  for await (const { name } of Deno.readDir(tasks)) {
    const text = await Deno.readTextFile(`${tasks}/${name}/schedstat`).catch(() => "0"); // it ended
    ns += Number(text.split(" ")[0]);
  }
  return ns / 1e6;
}

/** Of one processor, %, of each node while `work` goes on. */
export async function processorShare(
  nodes: readonly LiveNode[],
  work: () => Promise<void>,
): Promise<number[]> {
  const perSecond = Number(await runOrFail("ask for the clock", "getconf", ["CLK_TCK"]));
  const ticksOf = async (node: LiveNode): Promise<number> =>
    processTicks(await Deno.readTextFile(`/proc/${node.child.pid}/stat`));
  const before = await Promise.all(nodes.map(ticksOf));
  const began = performance.now();
  await work();
  const after = await Promise.all(nodes.map(ticksOf));
  const seconds = (performance.now() - began) / 1000;
  return after.map((ticks, at) => (ticks - before[at]!) / perSecond / seconds * 100);
}
