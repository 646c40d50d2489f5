/**
 * A share of the seeds and strikes, run one by one. May import: tests/fault, tests/support.
 * @module
 */
import { FaultFailure, fixedCourse, type Outcome, randomCourse, type Strike } from "./scenario.ts";

export interface Job {
  readonly seed: number;
  /** Absent: the course that the seed draws. */
  readonly strike?: Strike;
}

export interface Share {
  readonly jobs: readonly Job[];
}

export interface Failure {
  readonly job: Job;
  readonly message: string;
}

export interface Report {
  readonly runs: number;
  readonly commits: number;
  /** Faults that struck, by "kind at label". */
  readonly struck: Readonly<Record<string, number>>;
  readonly failures: readonly Failure[];
}

export function runJob(job: Job): Promise<Outcome> {
  return job.strike === undefined ? randomCourse(job.seed) : fixedCourse(job.seed, job.strike);
}

export async function runShare({ jobs }: Share): Promise<Report> {
  const struck: Record<string, number> = {};
  const failures: Failure[] = [];
  let commits = 0;
  for (const job of jobs) {
    try {
      const outcome = await runJob(job);
      commits += outcome.commits;
      for (const what of outcome.struck) struck[what] = (struck[what] ?? 0) + 1;
    } catch (error) {
      if (!(error instanceof FaultFailure)) throw error;
      failures.push({ job, message: error.message });
    }
  }
  return { runs: jobs.length, commits, struck, failures };
}
