/**
 * Whether a node is healthy, from its status. Pure. May import: node/status.
 *
 * A database is healthy while it is live: a primary that serves, a replica that streams. With a
 * limit on lag, a replica is healthy as long as its copy was known to be current no longer ago.
 * @module
 */
import type { DatabaseStatus, NodeStatus } from "../node/status.ts";

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
  if (upstream === undefined) return state === "serving" ? undefined : reason ?? `it is ${state}`;
  if (maxLagMs !== undefined && readable) {
    const { ms } = upstream.lag;
    if (ms <= maxLagMs) return undefined;
    return `it lags ${ms} ms, more than ${maxLagMs} ms${reason === undefined ? "" : `: ${reason}`}`;
  }
  return state === "streaming" ? undefined : reason ?? `it is ${state}`;
}
