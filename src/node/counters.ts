/**
 * Counts of one database since the process started. Plain numbers: whoever does a thing adds to it,
 * http/metrics.ts reads it at each scrape. May import: nothing.
 * @module
 */

/** Upper bounds in seconds; one more bucket counts what is above the last. */
export const SECONDS_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1] as const;

export class Histogram {
  readonly counts: number[] = new Array(SECONDS_BUCKETS.length + 1).fill(0);
  sum = 0;
  count = 0;

  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < SECONDS_BUCKETS.length && seconds > SECONDS_BUCKETS[bucket]!) bucket++;
    this.counts[bucket]!++;
    this.sum += seconds;
    this.count++;
  }
}

export class Counters {
  /** Commits read from the application's WAL (primary). */
  commits = 0;
  /** Bytes of WAL frames read or written. */
  walBytes = 0;
  /** Frames that were read before their transaction committed, or was rolled back (primary). */
  aheadFrames = 0;
  /** Looks at the WAL that found something, their failures and the time they took, seconds. */
  syncs = 0;
  syncErrors = 0;
  syncSeconds = 0;
  checkpoints = 0;
  checkpointErrors = 0;
  checkpointSeconds = 0;
  /** Times the WAL began anew. */
  logRestarts = 0;
  /** Epochs begun because the history could not be proven. */
  newEpochs = 0;
  /** Transactions applied (replica): one answer is one. */
  applied = 0;
  firstCopies = 0;
  repairs = 0;
  repairedPages = 0;
  /** Pages on disk that were compared with the index, and those that differed. */
  checkedPages = 0;
  badPages = 0;
  /** Transactions of an older history that the upstream's does not have. */
  givenUp = 0;
  /** Connections to the upstream that ended for any reason. */
  upstreamLost = 0;
  receivedBytes = 0;
  sentBytes = 0;
  /** Answers encoded, and answers taken from the one encoded for another replica. */
  answersEncoded = 0;
  answersShared = 0;
  /** Time that we held the application's write lock (primary, past the hard limit). */
  readonly writeLock: Histogram = new Histogram();
}
