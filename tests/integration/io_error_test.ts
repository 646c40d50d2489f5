import { assert } from "../support/assert.ts";
import { scopedTest } from "../support/scope.ts";
import {
  casesOf,
  type Outcome,
  PRIMARY_TARGETS,
  primaryFaults,
  REPLICA_TARGETS,
  replicaFaults,
  sayOutcomes,
} from "../support/shim_faults.ts";

const WRITE_MS = 2000;

/** A slow machine makes fewer calls in the time that each case has; usually most of them come. */
const LEAST_FIRED = 5;

/** Calls really failed: a test of nothing is no test. */
function assertFired(outcomes: readonly Outcome[]): void {
  sayOutcomes("I/O errors", outcomes);
  const fired = outcomes.filter((one) => one.fired > 0).length;
  assert(fired >= LEAST_FIRED, `only ${fired} of ${outcomes.length} faults came`);
}

for (const lasting of [false, true]) {
  const which = lasting ? "that last, and tells" : "that come once";
  const nths = lasting ? [2] : [1, 4];

  scopedTest(`a replica survives I/O errors ${which}`, async (scope) => {
    const cases = casesOf(REPLICA_TARGETS, nths, lasting);
    assertFired(await replicaFaults(scope, { writeMs: WRITE_MS, cases }));
  });

  scopedTest(`a primary survives I/O errors ${which}`, async (scope) => {
    const cases = casesOf(PRIMARY_TARGETS, nths, lasting);
    assertFired(await primaryFaults(scope, { writeMs: WRITE_MS, cases }));
  });
}
