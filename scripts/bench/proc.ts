/**
 * What the system counts of a process's memory: now and at its peak. Linux. Source: man 5 proc.
 * May import: tests/support (types).
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
