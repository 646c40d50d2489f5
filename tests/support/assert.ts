/**
 * Assertions, a thin wrapper of node:assert/strict. May import: src/sqlite/library.
 * @module
 */
import { sqlite } from "../../src/sqlite/library.ts";
import strict from "node:assert/strict";

sqlite(); // loaded once, for good: within a test that would be a leak

export function assert(condition: unknown, message?: string): asserts condition {
  strict.ok(condition, message);
}

/** Deep and strict. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  strict.deepStrictEqual(actual, expected, message);
}

export function assertNotEquals<T>(actual: T, unexpected: T, message?: string): void {
  strict.notDeepStrictEqual(actual, unexpected, message);
}

export function assertMatch(text: string, pattern: RegExp, message?: string): void {
  strict.match(text, pattern, message);
}

/** Calls `work` and returns what it throws; fails unless the message matches. */
export function assertThrows(work: () => unknown, pattern: RegExp = /(?:)/): Error {
  try {
    work();
  } catch (error) {
    return expectError(error, pattern);
  }
  strict.fail("nothing was thrown");
}

/** Like assertThrows() for a promise. */
export async function assertRejects(
  work: () => Promise<unknown>,
  pattern: RegExp = /(?:)/,
): Promise<Error> {
  try {
    await work();
  } catch (error) {
    return expectError(error, pattern);
  }
  strict.fail("nothing was thrown");
}

function expectError(error: unknown, pattern: RegExp): Error {
  if (!(error instanceof Error)) strict.fail(`not an Error was thrown: ${String(error)}`);
  strict.match(error.message, pattern);
  return error;
}
