/**
 * Prometheus metrics: one table, from which /metrics, docs/OPERATING.md and a test are made. Values
 * are read from the status at each scrape, nothing is counted here. The one module that imports
 * prom-client. May import: base/, node/status, node/counters, http/health.
 *
 * The first names are Litestream 0.4's, where they still mean something, so that dashboards survive.
 * @module
 */
import { type Metric as PromMetric, Registry } from "prom-client";
import heapSizeAndUsed from "prom-client/lib/metrics/heapSizeAndUsed.js";
import osMemoryHeap from "prom-client/lib/metrics/osMemoryHeap.js";
import processCpuTotal from "prom-client/lib/metrics/processCpuTotal.js";
import processMaxFileDescriptors from "prom-client/lib/metrics/processMaxFileDescriptors.js";
import processOpenFileDescriptors from "prom-client/lib/metrics/processOpenFileDescriptors.js";
import processStartTime from "prom-client/lib/metrics/processStartTime.js";
import { CAUSES, healthOfDatabase } from "./health.ts";
import { SECONDS_BUCKETS } from "../node/counters.ts";
import type { DatabaseStatus, NodeStatus } from "../node/status.ts";

type Labels = Readonly<Record<string, string>>;
interface Sample {
  readonly labels: Labels;
  readonly value: number;
  /** Of histograms: name_bucket, name_sum, name_count. */
  readonly metricName?: string;
}

export interface MetricRow {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly unit: string;
  readonly labels: readonly string[];
  readonly sentence: string;
  samples(status: NodeStatus): readonly Sample[];
}

function perDatabase(
  samples: (database: DatabaseStatus) => readonly Sample[],
): MetricRow["samples"] {
  return ({ databases }) => databases.flatMap(samples);
}

/** Bytes of the files at a path; 0 if there is none. Opens nothing. */
function fileBytes(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

function one(
  name: string,
  type: "counter" | "gauge",
  unit: string,
  sentence: string,
  value: (database: DatabaseStatus) => number | undefined,
  labels: Labels = {},
): MetricRow {
  return {
    name,
    type,
    unit,
    labels: ["db", ...Object.keys(labels)],
    sentence,
    samples: perDatabase((database) => {
      const found = value(database);
      return found === undefined
        ? []
        : [{ labels: { db: database.path, ...labels }, value: found }];
    }),
  };
}

function perReplica(
  name: string,
  unit: string,
  sentence: string,
  value: (
    replica: DatabaseStatus["replicas"][number],
    database: DatabaseStatus,
  ) => number | undefined,
): MetricRow {
  return {
    name,
    type: "gauge",
    unit,
    labels: ["db", "replica", "address"],
    sentence,
    samples: perDatabase((database) =>
      database.replicas.flatMap((replica) => {
        const { id, address } = replica;
        const found = value(replica, database);
        const labels = { db: database.path, replica: id, address };
        return found === undefined ? [] : [{ labels, value: found }];
      })
    ),
  };
}

const PASSIVE = { mode: "PASSIVE" };
const seconds = (ms: number | undefined): number | undefined =>
  ms === undefined ? undefined : ms / 1000;

export const METRICS: readonly MetricRow[] = [
  one(
    "litestream_db_size",
    "gauge",
    "bytes",
    "Size of the database file.",
    (d) => fileBytes(d.path),
  ),
  one(
    "litestream_wal_size",
    "gauge",
    "bytes",
    "Size of the -wal file.",
    (d) => fileBytes(`${d.path}-wal`),
  ),
  one(
    "litestream_total_wal_bytes",
    "counter",
    "bytes",
    "WAL frames read or written.",
    (d) => d.counters.walBytes,
  ),
  one(
    "litestream_live_ahead_frames_total",
    "counter",
    "1",
    "Frames of large transactions that were read before their commit, or were rolled back.",
    (d) => d.counters.aheadFrames,
  ),
  one(
    "litestream_sync_count",
    "counter",
    "1",
    "Looks at the WAL that found commits.",
    (d) => d.counters.syncs,
  ),
  one(
    "litestream_sync_error_count",
    "counter",
    "1",
    "Looks at the WAL that failed.",
    (d) => d.counters.syncErrors,
  ),
  one(
    "litestream_sync_seconds",
    "counter",
    "s",
    "Time spent reading commits.",
    (d) => d.counters.syncSeconds,
  ),
  one(
    "litestream_checkpoint_count",
    "counter",
    "1",
    "Checkpoints made by this node.",
    (d) => d.counters.checkpoints,
    PASSIVE,
  ),
  one(
    "litestream_checkpoint_error_count",
    "counter",
    "1",
    "Checkpoints that failed.",
    (d) => d.counters.checkpointErrors,
    PASSIVE,
  ),
  one(
    "litestream_checkpoint_seconds",
    "counter",
    "s",
    "Time spent in checkpoints.",
    (d) => d.counters.checkpointSeconds,
    PASSIVE,
  ),

  one(
    "litestream_live_up",
    "gauge",
    "0/1",
    "1 while the database is live.",
    (d) => d.state === "serving" || d.state === "streaming" ? 1 : 0,
  ),
  one(
    "litestream_live_healthy",
    "gauge",
    "0/1",
    "1 while /health is 200 for it.",
    (d) => healthOfDatabase(d).healthy ? 1 : 0,
  ),
  {
    name: "litestream_live_unhealthy",
    type: "gauge",
    unit: "0/1",
    labels: ["db", "cause"],
    sentence: "1 for the kind of cause why not: failed, trouble, lag or not-live.",
    samples: perDatabase((d) => {
      const now = healthOfDatabase(d).cause;
      return CAUSES.map((cause) => ({
        labels: { db: d.path, cause },
        value: cause === now ? 1 : 0,
      }));
    }),
  },
  one("litestream_live_txid", "gauge", "1", "Newest transaction here.", (d) => d.txid),
  one("litestream_live_page_count", "gauge", "pages", "Size of the database.", (d) => d.pageCount),
  one(
    "litestream_live_wal_frames",
    "gauge",
    "frames",
    "Frames committed in the WAL.",
    (d) => d.walFrames,
  ),
  one(
    "litestream_live_wal_backfilled_frames",
    "gauge",
    "frames",
    "Of them, checkpointed.",
    (d) => d.walBackfilled,
  ),
  one(
    "litestream_live_last_change_seconds",
    "gauge",
    "s",
    "Since the last change seen.",
    (d) => seconds(d.lastChangeMs),
  ),
  one(
    "litestream_live_commits_total",
    "counter",
    "1",
    "Commits read from the application.",
    (d) => d.counters.commits,
  ),
  one(
    "litestream_live_log_restarts_total",
    "counter",
    "1",
    "Times the WAL began anew.",
    (d) => d.counters.logRestarts,
  ),
  one(
    "litestream_live_epochs_total",
    "counter",
    "1",
    "Histories begun because the last one could not be proven.",
    (d) => d.counters.newEpochs,
  ),
  one(
    "litestream_live_sent_bytes_total",
    "counter",
    "bytes",
    "Sent to replicas.",
    (d) => d.counters.sentBytes,
  ),
  one(
    "litestream_live_answers_encoded_total",
    "counter",
    "1",
    "Answers encoded.",
    (d) => d.counters.answersEncoded,
  ),
  one(
    "litestream_live_answers_shared_total",
    "counter",
    "1",
    "Answers taken from one encoded for another replica.",
    (d) => d.counters.answersShared,
  ),
  {
    name: "litestream_live_write_lock_seconds",
    type: "histogram",
    unit: "s",
    labels: ["db", "le"],
    sentence: "How long the application's write lock was held past the hard limit.",
    samples: perDatabase(writeLockSamples),
  },

  one(
    "litestream_live_upstream_connected",
    "gauge",
    "0/1",
    "1 while the upstream is connected.",
    (d) => d.upstream && (d.upstream.connected ? 1 : 0),
  ),
  one(
    "litestream_live_lag_txids",
    "gauge",
    "1",
    "Transactions the upstream has and this copy has not.",
    (d) => d.upstream?.lag.txids,
  ),
  one(
    "litestream_live_lag_bytes",
    "gauge",
    "bytes",
    "Received of an answer that is not applied yet.",
    (d) => d.upstream?.lag.bytes,
  ),
  one(
    "litestream_live_lag_seconds",
    "gauge",
    "s",
    "Since this copy was last known to be current.",
    (d) => seconds(d.upstream?.lag.ms),
  ),
  one(
    "litestream_live_applied_transactions_total",
    "counter",
    "1",
    "Answers applied, each one transaction.",
    (d) => d.upstream && d.counters.applied,
  ),
  one(
    "litestream_live_received_bytes_total",
    "counter",
    "bytes",
    "Received from the upstream.",
    (d) => d.upstream && d.counters.receivedBytes,
  ),
  one(
    "litestream_live_first_copies_total",
    "counter",
    "1",
    "First copies made.",
    (d) => d.upstream && d.counters.firstCopies,
  ),
  one(
    "litestream_live_repairs_total",
    "counter",
    "1",
    "Repairs by page hashes.",
    (d) => d.upstream && d.counters.repairs,
  ),
  one(
    "litestream_live_repaired_pages_total",
    "counter",
    "pages",
    "Pages asked for by repairs.",
    (d) => d.upstream && d.counters.repairedPages,
  ),
  one(
    "litestream_live_checked_pages_total",
    "counter",
    "pages",
    "Pages on disk that were compared with what the node knows, by `verify` and by `self-check-rate`.",
    (d) => d.counters.checkedPages,
  ),
  one(
    "litestream_live_bad_pages_total",
    "counter",
    "pages",
    "Pages on disk that had changed without a commit.",
    (d) => d.counters.badPages,
  ),
  one(
    "litestream_live_given_up_transactions_total",
    "counter",
    "transactions",
    "Transactions that a node that was promoted did not have, given up here to follow it.",
    (d) => d.upstream && d.counters.givenUp,
  ),
  one(
    "litestream_live_upstream_lost_total",
    "counter",
    "1",
    "Connections to the upstream that broke.",
    (d) => d.upstream && d.counters.upstreamLost,
  ),

  one(
    "litestream_live_replicas",
    "gauge",
    "1",
    "Replicas connected to this node.",
    (d) => d.replicas.filter(({ connected }) => connected).length,
  ),
  perReplica(
    "litestream_live_replica_connected",
    "0/1",
    "1 while it is connected.",
    (r) => r.connected ? 1 : 0,
  ),
  perReplica(
    "litestream_live_replica_lag_txids",
    "1",
    "Transactions it has not applied.",
    (r, d) => r.epoch === d.epoch ? Math.max(0, (d.txid ?? 0) - r.applied) : d.txid ?? 0,
  ),
  perReplica(
    "litestream_live_replica_lag_seconds",
    "s",
    "Its own lag, as it said in its last report.",
    (r) => seconds(r.lagMs),
  ),
  perReplica(
    "litestream_live_replica_silent_seconds",
    "s",
    "Since its last report.",
    (r) => r.silentMs / 1000,
  ),

  {
    name: "litestream_live_processor_wait_seconds_total",
    type: "counter",
    unit: "s",
    labels: [],
    sentence: "Time in which the event loop was ready to run and did not get a processor.",
    samples: ({ processorWaitMs: ms }) =>
      ms === undefined ? [] : [{ labels: {}, value: ms / 1000 }],
  },
  {
    name: "litestream_live_gives_way",
    type: "gauge",
    unit: "1",
    labels: [],
    sentence:
      "1 while the node lets other programs go first (give-way), else 0; absent where it cannot.",
    samples: ({ givesWay }) =>
      givesWay === undefined ? [] : [{ labels: {}, value: givesWay ? 1 : 0 }],
  },
];

function writeLockSamples(database: DatabaseStatus): Sample[] {
  const name = "litestream_live_write_lock_seconds";
  const { counts, sum, count } = database.counters.writeLock;
  const db = database.path;
  let below = 0;
  const buckets = SECONDS_BUCKETS.map((bound, nth): Sample => {
    below += counts[nth]!;
    return { labels: { db, le: String(bound) }, value: below, metricName: `${name}_bucket` };
  });
  return [
    ...buckets,
    { labels: { db, le: "+Inf" }, value: count, metricName: `${name}_bucket` },
    { labels: { db }, value: sum, metricName: `${name}_sum` },
    { labels: { db }, value: count, metricName: `${name}_count` },
  ];
}

/**
 * Of the library's own metrics those that say something here. Its event loop monitor takes 8 MB and
 * measures nothing in Deno; litestream_live_processor_wait_seconds_total does.
 */
const OF_THE_PROCESS: readonly ((registry: Registry) => void)[] = [
  processCpuTotal,
  processStartTime,
  osMemoryHeap,
  processOpenFileDescriptors,
  processMaxFileDescriptors,
  heapSizeAndUsed,
];

/** The text of /metrics. */
export class Metrics {
  readonly #registry = new Registry();
  readonly contentType: string = this.#registry.contentType;
  readonly #status: () => NodeStatus;
  /** As of the scrape: one status for all rows. */
  #now: NodeStatus | undefined;

  constructor(status: () => NodeStatus) {
    this.#status = status;
    for (const collect of OF_THE_PROCESS) collect(this.#registry);
    for (const row of METRICS) {
      const get = (): Promise<unknown> =>
        Promise.resolve({
          name: row.name,
          help: row.sentence,
          type: row.type,
          aggregator: "sum",
          values: this.#now === undefined ? [] : row.samples(this.#now),
        });
      // What the registry needs of a metric is its name and get(); values come from the status.
      this.#registry.registerMetric({ name: row.name, get } as unknown as PromMetric);
    }
  }

  async text(): Promise<string> {
    this.#now = this.#status();
    return await this.#registry.metrics();
  }
}
