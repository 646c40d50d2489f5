/**
 * How long to wait before the next attempt at a database. What is on this machine costs nothing to look
 * at; an upstream that fails again and again is asked less and less often, at random moments, so that a
 * hundred replicas do not ask at the same one. May import: base/, node/status (types).
 * @module
 */
import type { Env } from "../base/env.ts";
import type { ErrorCode } from "../base/errors.ts";
import type { Role } from "./status.ts";

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = { upstream: 1000, other: 5000 } as const;
/** A primary looks again: it waits for a file of this machine, or a person has to do something. */
const LOCAL_MS = { waiting: 250, failed: 1000 } as const;
/** A connection that was live for so long was no failure. */
const STEADY_MS = 2000;
/** Comparisons of hashes in a row without a pause: the primary may begin a history while we compare. */
const COMPARED_AT_ONCE = 3;
/** Nobody has to do anything: it goes on by itself. */
const WAITING: readonly ErrorCode[] = [
  "not_ready",
  "busy",
  "upstream",
  "checksum",
  "position_gone",
];

export function goesOnByItself(code: ErrorCode): boolean {
  return WAITING.includes(code);
}

export class Retries {
  readonly #env: Env;
  /** In a row. */
  #failures = 0;
  /** How often the histories differed since a connection was live for a while. */
  #differed = 0;
  /** Since when this connection is live (monotonic). */
  #liveSince: number | undefined;

  constructor(env: Env) {
    this.#env = env;
  }

  /** An attempt begins. */
  begin(): void {
    this.#liveSince = undefined;
  }

  /** It is streaming. */
  live(): void {
    this.#liveSince ??= this.#env.clock.monotonic();
  }

  /** The attempt ended, and nothing failed. */
  well(): void {
    this.#failures = 0;
  }

  /** The attempt failed: how long to wait for the next one, ms. */
  after(code: ErrorCode, role: Role): number {
    if (this.#env.clock.monotonic() - (this.#liveSince ?? Infinity) >= STEADY_MS) {
      this.#failures = this.#differed = 0;
    }
    const failures = this.#failures++;
    if (role === "primary") return goesOnByItself(code) ? LOCAL_MS.waiting : LOCAL_MS.failed;
    // Known that the histories differ, hashes are compared at once; not again and again.
    const differs = code === "position_gone";
    if (differs && ++this.#differed <= COMPARED_AT_ONCE) return 0;
    const most = differs || code === "upstream" ? RETRY_MAX_MS.upstream : RETRY_MAX_MS.other;
    const limit = Math.min(most, RETRY_MIN_MS * 2 ** Math.min(failures, 10));
    return limit * (0.5 + this.#env.random.fraction() / 2);
  }
}
