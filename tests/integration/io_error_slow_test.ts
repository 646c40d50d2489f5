import { scopedTest } from "../support/scope.ts";
import {
  casesOf,
  PRIMARY_TARGETS,
  primaryFaults,
  REPLICA_TARGETS,
  replicaFaults,
  sayOutcomes,
  type Target,
} from "../support/shim_faults.ts";

const SWEEPS = [
  { role: "replica", targets: REPLICA_TARGETS, run: replicaFaults },
  { role: "primary", targets: PRIMARY_TARGETS, run: primaryFaults },
] as const;
/** What goes on for as long as the writer writes is tried up to the LAST-th call. */
const LAST = 24;
const AT_ONCE = 2;
const WRITE_MS = 3000;

for (const { role, targets, run } of SWEEPS) {
  for (const lasting of [false, true]) {
    const which = lasting ? "that last from" : "at";
    let left: readonly Target[] = targets;
    for (let first = 1; first <= LAST; first += AT_ONCE) {
      const nths = Array.from({ length: AT_ONCE }, (_, nth) => first + nth);
      const name = `a ${role} survives I/O errors ${which} call ${nths.join(" or ")}`;
      scopedTest(name, async (scope) => {
        const cases = casesOf(left, nths, lasting);
        if (cases.length === 0) return; // nothing fired any more
        const outcomes = await run(scope, { writeMs: WRITE_MS, cases });
        sayOutcomes(name, outcomes);
        const fired = outcomes.filter((one) => one.fired > 0).map((one) => one.case);
        left = left.filter(({ file, on, failure }) =>
          fired.some((one) => one.file === file && one.on === on && one.failure === failure)
        );
      }, { limitMs: 120_000 });
    }
  }
}
