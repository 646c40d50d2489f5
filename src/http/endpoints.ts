/**
 * Every endpoint, once: server, help and docs/OPERATING.md are made from this table. No I/O.
 * May import: nothing.
 * @module
 */

/** The less first: what opens the last opens the others, too. */
export const NEEDS = ["nothing", "status", "token"] as const;
export type Needs = typeof NEEDS[number];

export interface Endpoint {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Query parameters and what they are. */
  readonly query: Readonly<Record<string, string>>;
  /** What the caller needs where `auth.token` is set: "status" is `auth.status-token` or that. */
  readonly needs: Needs;
  readonly sentence: string;
}

const DATABASE = "the database's path on this node, as its config has it";
const PROTOCOL = "the version that the asker speaks; another one is refused";
const COMPRESS =
  "zstd: the answer may be compressed; its header litestream-live-compression says it";
const REPLICA = "random id of the asking replica's process; who gives none is not listed";

export const ENDPOINTS = {
  page: {
    method: "GET",
    path: "/",
    query: {},
    needs: "nothing",
    sentence: "The dashboard: a page that shows what `/status` and `/events` tell.",
  },
  health: {
    method: "GET",
    path: "/health",
    query: { "max-lag": "a duration; replicas that lag more are not healthy, others are" },
    needs: "nothing",
    sentence: "200 if every database is live, else 503 with each one's reason (JSON).",
  },
  status: {
    method: "GET",
    path: "/status",
    query: {},
    needs: "status",
    sentence: "Role, state, position, lag and replicas of every database (JSON).",
  },
  events: {
    method: "GET",
    path: "/events",
    query: { path: `${DATABASE}; all databases if it is not given` },
    needs: "status",
    sentence:
      "What is now, then every change as it comes: lines of JSON, or server-sent events by `Accept`.",
  },
  metrics: {
    method: "GET",
    path: "/metrics",
    query: {},
    needs: "status",
    sentence: "Prometheus metrics.",
  },
  position: {
    method: "GET",
    path: "/position",
    query: { path: DATABASE },
    needs: "status",
    sentence: "Epoch and txid of what is committed and readable on this node now (JSON).",
  },
  wait: {
    method: "GET",
    path: "/wait",
    query: {
      path: DATABASE,
      txid: "txid or epoch/txid; what is newest here now if it is not given",
      timeout: "a duration, at most 10m; 10s if it is not given",
      replicas: "wait for so many replicas of this node, not for itself",
      for: "what they must have done: received, durable or applied (the default)",
    },
    needs: "status",
    sentence:
      "200 once the transaction is there, 504 after `timeout`, 409 if its epoch is over (JSON).",
  },
  verify: {
    method: "POST",
    path: "/verify",
    query: { path: DATABASE, repair: "true: a replica then fetches the pages that differ" },
    needs: "token",
    sentence: "Reads every page on disk and compares it with what this node knows (lines of JSON).",
  },
  promote: {
    method: "POST",
    path: "/promote",
    query: { path: DATABASE },
    needs: "token",
    sentence: "Makes a primary of a replica, with what it has now; 200 also if it is one (JSON).",
  },
  demote: {
    method: "POST",
    path: "/demote",
    query: { path: DATABASE, to: "URL of the replica that shall be the primary" },
    needs: "token",
    sentence: "Steps down for that replica without a lost transaction, and follows it (JSON).",
  },
  stream: {
    method: "GET",
    path: "/v1/stream",
    query: {
      path: DATABASE,
      protocol: PROTOCOL,
      since: "epoch/txid",
      ancestors: "epoch/txid,…: what the epoch of `since` goes on from",
      hash: "16 hex digits",
      replica: REPLICA,
      compress: COMPRESS,
    },
    needs: "token",
    sentence: "The live stream of changes after `since` (docs/PROTOCOL.md).",
  },
  repair: {
    method: "POST",
    path: "/v1/stream",
    query: {
      path: DATABASE,
      protocol: PROTOCOL,
      since: "epoch/txid",
      replica: REPLICA,
      compress: COMPRESS,
    },
    needs: "token",
    sentence: "The same, with a body that names pages wanted besides.",
  },
  hashes: {
    method: "GET",
    path: "/v1/hashes",
    query: {
      path: DATABASE,
      protocol: PROTOCOL,
      blocks: "blocks whose page hashes are wanted: 0-3,7",
    },
    needs: "token",
    sentence: "Hashes of all blocks, or of the pages of some.",
  },
  report: {
    method: "POST",
    path: "/v1/report",
    query: { path: DATABASE, protocol: PROTOCOL, replica: REPLICA },
    needs: "token",
    sentence: "A replica tells how far it is (JSON).",
  },
  reports: {
    method: "POST",
    path: "/v1/reports",
    query: {
      protocol: PROTOCOL,
      beats: "1: the answer says where each database is, too",
      session: "id/nth, the id random: what was told in it before need not be told again",
    },
    needs: "token",
    sentence: "The same for several databases at once (JSON); the answer says whom each follows.",
  },
  tree: {
    method: "POST",
    path: "/v1/tree",
    query: { path: DATABASE, protocol: PROTOCOL, replica: REPLICA },
    needs: "token",
    sentence: "A replica tells who follows it (JSON); the answer says whom this node follows.",
  },
  fence: {
    method: "POST",
    path: "/v1/fence",
    query: {
      path: DATABASE,
      protocol: PROTOCOL,
      epoch: "16 hex digits",
      ancestors: "epoch/txid,…: what that epoch goes on from",
    },
    needs: "token",
    sentence:
      "A promoted node tells that its history goes on from the one here, which is over then.",
  },
} as const satisfies Readonly<Record<string, Endpoint>>;

/** Of every answer about a database: its id in this process, then those of what it follows. */
export const CHAIN_HEADER = "litestream-live-chain";

/** Of an answer to reports: their session, if what they said is kept for it. */
export const SESSION_HEADER = "litestream-live-session";

/** Where a Litestream 0.4 replica asks. It gets a sentence instead of a stream. */
export const LITESTREAM_STREAM_PATH = "/stream";
