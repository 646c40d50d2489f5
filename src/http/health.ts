/**
 * Whether a node is healthy, from its status. Pure. May import: node/status.
 *
 * A database is healthy while it is live: a primary that serves without trouble, a replica that
 * streams without trouble and was known to be current not long ago, all hops up to the primary
 * counted. With a limit
 * on lag that is all that counts, so a short break of the connection is forgiven.
 * @module
 */
import type { DatabaseStatus, NodeStatus } from "../node/status.ts";

/** Without `max-lag`: a replica that streams and has not been current for so long is not healthy. */
export const DEFAULT_MAX_LAG_MS = 5000;

export interface DatabaseHealth {
  readonly path: string;
  readonly healthy: boolean;
  readonly state: string;
  /** If not healthy: of which kind, and a sentence. */
  readonly cause?: Cause;
  readonly reason?: string;
}

/**
 * failed: needs a person. trouble: live, but something fails or hangs. lag: not known to be current for
 * too long. not-live: connecting, copying and the like.
 */
export const CAUSES = ["failed", "trouble", "lag", "not-live"] as const;
export type Cause = typeof CAUSES[number];

export interface Health {
  readonly healthy: boolean;
  readonly databases: readonly DatabaseHealth[];
}

export function healthOf(status: NodeStatus, maxLagMs?: number): Health {
  const databases = status.databases.map((database) => healthOfDatabase(database, maxLagMs));
  return { healthy: databases.every(({ healthy }) => healthy), databases };
}

export function healthOfDatabase(database: DatabaseStatus, maxLagMs?: number): DatabaseHealth {
  const { path, state } = database;
  const found = whyNot(database, maxLagMs);
  if (found === undefined) return { path, healthy: true, state };
  const [cause, reason] = found;
  return { path, healthy: false, state, cause, reason };
}

function whyNot(
  database: DatabaseStatus,
  maxLagMs: number | undefined,
): [cause: Cause, reason: string] | undefined {
  const { state, upstream, readable } = database;
  const reason = database.reason ?? upstream?.error;
  const notLive = (): [Cause, string] => ["not-live", reason ?? `it is ${state}`];
  if (state === "failed") return ["failed", reason ?? "it cannot go on"];
  if (database.trouble !== undefined) return ["trouble", database.trouble];
  if (upstream === undefined) return state === "serving" ? undefined : notLive();
  if (!readable) return notLive();
  const { ms } = upstream.lag;
  const most = maxLagMs ?? DEFAULT_MAX_LAG_MS;
  if (ms > most) {
    const why = reason === undefined ? "" : `: ${reason}`;
    return ["lag", `it lags ${ms} ms, more than ${most} ms${why}`];
  }
  return maxLagMs !== undefined || state === "streaming" ? undefined : notLive();
}
