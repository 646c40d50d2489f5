/**
 * What a number means nothing without: machine, versions, commit, date, what else was running.
 * May import: scripts/tools.
 * @module
 */
import { readIfThere, run } from "../tools.ts";

export interface Machine {
  readonly date: string;
  /** "c3dcb3d", "c3dcb3d, changed"; absent without git. */
  readonly commit?: string;
  readonly cpus: number;
  readonly cpu: string;
  readonly os: string;
  /** Of the folder that everything happens in. */
  readonly fileSystem: string;
  /** Processes that wanted to run in the minute before. */
  readonly load: number;
  readonly python: string;
}

/** More than this of a processor taken by others, and numbers scatter. */
const QUIET_LOAD = 0.5;

export async function thisMachine(python: string): Promise<Machine> {
  const head = await git("rev-parse", "--short", "HEAD");
  // What a work of this bench has recorded before changes no figure.
  const others = ["--", ".", ":!docs/bench"];
  const changed = await git("--no-optional-locks", "status", "--porcelain", ...others);
  const commit = head === "" ? {} : { commit: changed === "" ? head : `${head}, changed` };
  const folder = await Deno.makeTempDir({ prefix: "live-bench-" });
  const fileSystem = await run("stat", ["-f", "-c", "%T", folder]);
  await Deno.remove(folder);
  const cpuinfo = await readIfThere("/proc/cpuinfo") ?? "";
  return {
    date: new Date().toISOString(),
    ...commit,
    cpus: navigator.hardwareConcurrency,
    cpu: cpuinfo.match(/^model name\s*:\s*(.*)$/m)?.[1] ?? Deno.build.arch,
    os: `${Deno.build.os} ${Deno.osRelease()}`,
    fileSystem: fileSystem.stdout.trim(),
    load: Deno.loadavg()[0] ?? 0,
    python,
  };
}

async function git(...args: readonly string[]): Promise<string> {
  const { code, stdout } = await run("git", args, { missing: "no git" })
    .catch(() => ({ code: 1, stdout: "" }));
  return code === 0 ? stdout.trim() : "";
}

export function machineLines(machine: Machine): string[] {
  const { date, commit, cpus, cpu, os, fileSystem, load, python } = machine;
  const lines = [
    `${date}  ${commit === undefined ? "" : `commit ${commit}  `}${cpus} × ${cpu}, ${os}, ` +
    `${fileSystem}`,
    `application and readers: ${python}, which limits the writer on both sides`,
  ];
  if (load > QUIET_LOAD) lines.push(`other programs are running (load ${load.toFixed(1)})`);
  return lines;
}
