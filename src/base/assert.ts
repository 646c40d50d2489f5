/**
 * Bugs stop the process, in production too: a wrong byte is worse than a restart.
 * May import: nothing.
 * @module
 */

/** @throws {Error} if `condition` is false. Never for what a user, a disk or a network can cause. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`BUG: ${message}`);
}
