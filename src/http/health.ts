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
  /** A sentence, if not healthy. */
  readonly reason?: string;
}

export interface Health {
  readonly healthy: boolean;
  readonly databases: readonly DatabaseHealth[];
}

export function healthOf(status: NodeStatus, maxLagMs?: number): Health {
  const databases = status.databases.map((database): DatabaseHealth => {
    const { path, state } = database;
    const reason = whyNot(database, maxLagMs);
    return reason === undefined
      ? { path, healthy: true, state }
      : { path, healthy: false, state, reason };
  });
  return { healthy: databases.every(({ healthy }) => healthy), databases };
}

function whyNot(database: DatabaseStatus, maxLagMs: number | undefined): string | undefined {
  const { state, upstream, readable } = database;
  const reason = database.reason ?? upstream?.error;
  if (state === "failed") return reason ?? "it cannot go on";
  if (database.trouble !== undefined) return database.trouble;
  if (upstream === undefined) {
    return state === "serving" ? undefined : reason ?? `it is ${state}`;
  }
  if (!readable) return reason ?? `it is ${state}`;
  const { ms } = upstream.lag;
  const most = maxLagMs ?? DEFAULT_MAX_LAG_MS;
  if (ms > most) {
    return `it lags ${ms} ms, more than ${most} ms${reason === undefined ? "" : `: ${reason}`}`;
  }
  if (maxLagMs !== undefined || state === "streaming") return undefined;
  return reason ?? `it is ${state}`;
}
