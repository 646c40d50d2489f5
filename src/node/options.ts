/**
 * What a node is told to do, already checked: cli/config.ts makes it from YAML and flags.
 * May import: base/.
 * @module
 */

export interface ListenAddress {
  /** "::" for all addresses of both families, else as written, without brackets. */
  readonly hostname: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

export const COMPRESSIONS = ["auto", "zstd", "none"] as const;
export type Compression = typeof COMPRESSIONS[number];

export interface UpstreamOptions {
  /** Scheme, host and port only: "http://primary:9090". */
  readonly url: string;
  /** More of them, of which one is followed (node/upstreams). */
  readonly others?: readonly { readonly url: string; readonly path: string }[];
  /** The database's path on the upstream node, absolute. */
  readonly path: string;
  /** Of what is received; absent: "auto". */
  readonly compression?: Compression;
  readonly token?: string;
  /** Instead of `token`: the file that holds it. */
  readonly tokenFile?: string;
  /** A file of CA certificates (PEM) that are trusted instead of the system's. */
  readonly ca?: string;
}

/** Files, PEM. */
export interface TlsFiles {
  /** The node's certificate, then those between it and its CA. */
  readonly cert: string;
  readonly key: string;
}

/** Of a replica's files; what is absent stays as the system gives it. */
export interface Ownership {
  readonly uid?: number;
  readonly gid?: number;
  readonly mode?: number;
}

export interface DatabaseOptions {
  /** Absolute, as written (links are not resolved). */
  readonly path: string;
  /** Present: a replica of this. Absent: a primary. */
  readonly upstream?: UpstreamOptions;
  /** Frames in the WAL from which we checkpoint (soft limit). */
  readonly minCheckpointPageCount: number;
  /** Frames from which a short write lock may be taken (hard limit); 0 = never. */
  readonly maxCheckpointPageCount: number;
  /** Longest time between two checkpoint attempts while frames wait, ms. */
  readonly checkpointIntervalMs: number;
  /** Commits within this time are sent as one transaction, ms; 0 = at once. */
  readonly monitorDelayMs: number;
  readonly ownership: Ownership;
  /** Follow a database on a network or FUSE file system, where SQLite's locks may not work. */
  readonly allowNetworkFilesystem: boolean;
}

/** What clients of this node may hold, all of them together. */
export interface Limits {
  /** Streams at the same time, of all databases: each costs a record of memory and a descriptor. */
  readonly streams: number;
  /** Other requests that are at work, or whose answer has not been taken yet. */
  readonly requests: number;
  /** Bytes of answers that wait for slow replicas. */
  readonly queuedBytes: number;
  /** A client that takes nothing of its answer for so long, or sends a body for so long, is cut. */
  readonly stallMs: number;
  /** Sent a second as first copies and repairs, all of them together; absent: as fast as it goes. */
  readonly copyBytes?: number;
}

/** A copy hears something each second if so many bytes a second leave for each stream there may be. */
export const COPY_BYTES_A_STREAM = 1000;

export const LIMIT_DEFAULTS: Limits = {
  streams: 1000,
  requests: 250,
  queuedBytes: 256 * 1024 * 1024,
  stallMs: 60_000,
};

export interface NodeOptions {
  readonly databases: readonly DatabaseOptions[];
  /** Absent: a node of replicas only that serves nobody. */
  readonly addr?: ListenAddress;
  /** Of replicas' files, compared each second with what is known of them; 0 = none. */
  readonly selfCheckBytes?: number;
  /** Whether applications come first when processors are short; absent: no. */
  readonly giveWay?: boolean;
  /** What a client must send as `Authorization: Bearer …` for everything but /health and /. */
  readonly token?: string;
  /** Instead of `token`: the file that holds it. */
  readonly tokenFile?: string;
  /** Opens what only shows, never data. */
  readonly statusToken?: string;
  readonly statusTokenFile?: string;
  /** Absent: plain HTTP. */
  readonly tls?: TlsFiles;
  /** Absent: LIMIT_DEFAULTS. */
  readonly limits?: Limits;
}

export const DEFAULT_SELF_CHECK_BYTES = 256_000;

/** What a database has when the config says nothing. */
export const DATABASE_DEFAULTS = {
  minCheckpointPageCount: 1000,
  maxCheckpointPageCount: 2000,
  checkpointIntervalMs: 60_000,
  monitorDelayMs: 0,
  ownership: {},
  allowNetworkFilesystem: false,
} as const;
