/**
 * What the system counts of a process: processor time, memory now and at its peak. Linux.
 * Source: man 5 proc, Documentation/scheduler/sched-stats. May import: tests/support (types).
 * @module
 */
import type { LiveNode } from "../../tests/support/node.ts";

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

/** Processor time of each thread that is there, ns. Ticks would be too coarse for an idle node. */
async function threadTimes(node: LiveNode): Promise<Map<string, number>> {
  const tasks = `/proc/${node.child.pid}/task`;
  const times = new Map<string, number>();
  for await (const { name } of Deno.readDir(tasks)) {
    const text = await Deno.readTextFile(`${tasks}/${name}/schedstat`).catch(() => undefined);
    if (text !== undefined) times.set(name, Number(text.split(" ")[0])); // else it ended
  }
  return times;
}

/** The sum of what grew; what a thread took that has ended meanwhile is not known. */
export function timeBetween(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): number {
  return [...after].reduce((sum, [thread, time]) => sum + time - (before.get(thread) ?? 0), 0);
}

/** Processor time of each node while `work` goes on, ms, and what came of it. */
export async function processorMs<T>(
  nodes: readonly LiveNode[],
  work: () => Promise<T>,
): Promise<{ ms: number[]; result: T }> {
  const before = await Promise.all(nodes.map(threadTimes));
  const result = await work();
  const after = await Promise.all(nodes.map(threadTimes));
  return { ms: after.map((times, at) => timeBetween(before[at]!, times) / 1e6), result };
}
