/**
 * Processor time of nodes, by their threads. Linux. Source: Documentation/scheduler/sched-stats.
 * May import: tests/support (types).
 * @module
 */
import type { LiveNode } from "./node.ts";

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
