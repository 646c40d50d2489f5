/**
 * What a replica knows of its upstream: connected or not, how far ahead, how far an answer is; and
 * the reports it sends back. May import: base/, changes/.
 *
 * Lag in ms is the time since this copy was last known to be current: since it was told of something
 * newer, or since the connection was lost, here or at a hop further up. No clocks of two machines are compared.
 * @module
 */
import type { Env } from "../base/env.ts";
import type { Lineage } from "../base/lineage.ts";
import { type Epoch, type Position, type Txid, ZERO_TXID } from "../base/types.ts";
import type { Beat, Begin, Commit, Hello } from "../changes/records.ts";
import type { ChangeSource, Report } from "../changes/source.ts";
import type { Above, Branch } from "../changes/tree.ts";
import type { Beside } from "./follow.ts";
import type { UpstreamOptions } from "./options.ts";
import type { Progress, UpstreamStatus } from "./status.ts";

/** Shortest time between two reports while transactions come. */
const REPORT_MS = 50;
/** A page asks each second. */
const WATCHED_MS = 5000;
/** Without a word for so long, the upstream may be ahead. */
const QUIET_MS = 2000;
/** An upstream that is not current for so long may be cut off from the primary. */
const CUT_OFF_MS = 10_000;
/** Between two lines about a long answer or a large file. */
const LOG_PROGRESS_MS = 5000;

export class UpstreamView {
  readonly #options: UpstreamOptions;
  readonly #env: Env;
  #source: ChangeSource | undefined;
  #beside: Beside = () => {};
  #connection: AbortController | undefined;
  #epoch: Epoch | undefined;
  #ancestors: readonly Position[] = [];
  #txid: Txid = ZERO_TXID;
  #received: Txid = ZERO_TXID;
  #applied: Txid = ZERO_TXID;
  #durable: Txid = ZERO_TXID;
  #behindSince: number | undefined;
  #disconnectedSince: number | undefined;
  /** When the upstream last said that nothing is newer than this copy. */
  #currentAt: number | undefined;
  /** When bytes last came, and what is done with an answer since then. */
  #heardAt = 0;
  #doing: "waits" | "comes" | "is applied" | undefined;
  /** Of a hop further up: when the upstream was last known to be current itself. */
  #upstreamCurrent: number | undefined;
  #answerBytes = 0;
  #progress: { done: number; total: number; started: number; from: number } | undefined;
  #progressLogged = -Infinity;
  #error: string | undefined;
  /** A report is under way, or waits until it may be sent. */
  #reporting = false;
  #reportAgain = false;
  #reportFrom = -Infinity;
  /** The last one, again as long as it says the same: a quiet database makes nothing for it. */
  #report: Report | undefined;
  /** The connection of the report that is under way. */
  #reportedBy: AbortController | undefined;
  readonly #answered = (beat: Beat | undefined): void => {
    const askedAt = this.#reportFrom - REPORT_MS;
    if (beat !== undefined && this.#reportedBy === this.#connection) this.#beside(beat, askedAt);
    this.#reported(this.#reportAgain);
  };
  readonly #branches: () => readonly Branch[];
  #above: readonly Above[] | undefined;
  /** Branches were told: that there are none any more has to be told, too. */
  #toldBranches = false;
  #exchanging = false;
  /** Somebody asked for the status. */
  #lookedAt: number | undefined;

  /** `branches`: who follows this node. */
  constructor(options: UpstreamOptions, env: Env, branches: () => readonly Branch[] = () => []) {
    this.#options = options;
    this.#env = env;
    this.#branches = branches;
    this.#disconnectedSince = env.clock.monotonic();
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
  }
  /** The history that the upstream is in; undefined before its first hello. */
  get lineage(): Lineage | undefined {
    return this.#epoch && { epoch: this.#epoch, ancestors: this.#ancestors };
  }
  get durable(): Txid {
    return this.#durable;
  }

  hello(hello: Hello): void {
    this.#ancestors = hello.ancestors;
    this.#upstreamCurrent = undefined; // the first heartbeat tells
    this.#told(hello.epoch, hello.txid);
  }

  /** `beside` is called with what the upstream answers to reports, while this connection lasts. */
  connected(source: ChangeSource, beside: Beside = () => {}): void {
    this.#source = source;
    this.#beside = beside;
    this.#connection = new AbortController();
    this.#disconnectedSince = undefined;
    this.#error = undefined;
    this.reportSoon();
  }

  disconnected(error: string | undefined): void {
    this.#connection?.abort();
    this.#connection = undefined;
    // Not only since it was noticed: nobody knows what happened up there since it was last heard.
    this.#disconnectedSince ??= this.#currentAt ?? this.#env.clock.monotonic();
    this.#doing = undefined;
    this.#answerBytes = 0;
    this.#error = error;
  }

  begin(begin: Begin, pageSize: number): void {
    this.#answerBytes = 0;
    this.#doing = "waits";
    if (this.#epoch !== undefined) this.#told(this.#epoch, begin.to);
    const total = begin.pages * pageSize;
    if (total < 16 * 1024 * 1024) return; // not worth a bar
    this.#progress = { done: 0, total, started: this.#env.clock.monotonic(), from: 0 };
  }

  bytes(count: number): void {
    this.#answerBytes += count;
    this.#heardAt = this.#env.clock.monotonic();
    if (this.#doing !== undefined) this.#doing = "comes";
    if (this.#progress !== undefined) this.#progress.done += count;
  }

  /** Progress of work that is not an answer: hashing a file. Bytes. */
  progress(done: number, total: number): void {
    const now = this.#env.clock.monotonic();
    if (this.#progress?.total !== total) this.#progress = { done, total, started: now, from: done };
    else this.#progress.done = done;
  }

  endProgress(): void {
    this.#progress = undefined;
  }

  /** A line now and then while something takes long. */
  logProgress(): void {
    if (this.#progress === undefined) return;
    const now = this.#env.clock.monotonic();
    const progress = this.#progressStatus(now);
    if (progress === undefined || now - this.#progressLogged < LOG_PROGRESS_MS) return;
    if (now - this.#progress!.started < LOG_PROGRESS_MS) return;
    this.#progressLogged = now;
    const { doneBytes, totalBytes, etaMs } = progress;
    this.#env.log.info("under way", {
      percent: Math.floor(100 * doneBytes / totalBytes),
      done_bytes: doneBytes,
      total_bytes: totalBytes,
      ...(etaMs === undefined ? {} : { eta_s: Math.round(etaMs / 1000) }),
    });
  }

  received(commit: Commit): void {
    this.#received = commit.txid;
    this.#doing = "is applied";
    this.#told(commit.epoch, commit.txid);
    this.endProgress();
  }

  appliedAt(txid: Txid): void {
    this.#applied = txid;
    this.#answerBytes = 0;
    this.#doing = undefined;
    if (txid < this.#txid) return;
    this.#behindSince = undefined;
    this.#currentAt = this.#env.clock.monotonic();
  }

  /** A txid of another history than the upstream's now is not told. */
  durableAt(txid: Txid, epoch?: Epoch): void {
    if (epoch !== undefined && epoch !== this.#epoch) return;
    this.#durable = txid;
    this.reportSoon();
  }

  /** It was so at `asOf` or later (monotonic). */
  heartbeat({ epoch, txid, staleMs }: Beat, asOf = this.#env.clock.monotonic()): void {
    this.#heardAt = Math.max(this.#heardAt, asOf);
    this.#upstreamCurrent = staleMs === 0 ? undefined : asOf - staleMs;
    this.#told(epoch, txid, asOf);
    if (this.#txid <= this.#applied) this.#answerBytes = 0; // heartbeats are bytes of no answer
  }

  /** Since this copy was last known to be what the primary has, ms; 0 while it is. */
  lagMs(now = this.#env.clock.monotonic()): number {
    // Heartbeats come each second: one may be late, two are not.
    const silent = now - (this.#currentAt ?? now) > QUIET_MS ? this.#currentAt : undefined;
    const since = Math.min(
      this.#behindSince ?? now,
      this.#disconnectedSince ?? now,
      this.#upstreamCurrent ?? now,
      silent ?? now,
    );
    return Math.round(Math.max(0, now - since));
  }

  /** Why a copy that is connected is not current, a sentence; undefined if it is or nothing is known. */
  why(): string | undefined {
    const now = this.#env.clock.monotonic();
    if (!this.isConnected || this.lagMs() <= QUIET_MS) return undefined;
    const seconds = (since: number): string => `${Math.round((now - since) / 1000)} s`;
    if (this.#doing === "waits") {
      return `an answer waits for room in the log for ${seconds(this.#heardAt)}`;
    }
    if (this.#doing === "is applied") {
      return `an answer is being applied for ${seconds(this.#heardAt)}`;
    }
    if (now - this.#heardAt > QUIET_MS) {
      return `nothing has come from the upstream for ${seconds(this.#heardAt)}`;
    }
    if (this.#doing === "comes") return `an answer is under way, ${this.#answerBytes} bytes so far`;
    if (this.#upstreamCurrent === undefined) return undefined;
    return `the upstream itself is not current since ${seconds(this.#upstreamCurrent)}`;
  }

  status(): UpstreamStatus {
    const now = this.#env.clock.monotonic();
    const progress = this.#progressStatus(now);
    this.#lookedAt = now;
    return {
      ...nameOf(this.#source?.name ?? this.#options),
      connected: this.isConnected,
      ...(this.#epoch === undefined ? {} : { epoch: this.#epoch, txid: this.#txid }),
      lag: {
        txids: Math.max(0, this.#txid - this.#applied),
        bytes: this.#answerBytes,
        ms: this.lagMs(),
      },
      ...(progress === undefined ? {} : { progress }),
      ...(this.#error === undefined ? {} : { error: this.#error }),
      ...(this.#above === undefined ? {} : { above: this.#above }),
    };
  }

  /** Once a second: it reports when nothing happens, too. */
  check(now = this.#env.clock.monotonic()): void {
    this.logProgress();
    if (!this.isConnected) return;
    this.reportSoon(now);
    this.#exchangeTree(now);
  }

  /** Sends the positions, one report at a time; what changes meanwhile goes out with the next. */
  reportSoon(now = this.#env.clock.monotonic()): void {
    if (this.#reporting) {
      this.#reportAgain = true;
      return;
    }
    const connection = this.#connection;
    if (this.#source === undefined || this.#epoch === undefined || connection === undefined) return;
    this.#reporting = true;
    if (now < this.#reportFrom) {
      this.#env.clock.after(this.#reportFrom - now, () => this.#reported(true));
      return;
    }
    this.#reportFrom = now + REPORT_MS;
    this.#reportedBy = connection;
    const report = this.#newReport(this.#epoch, now);
    this.#source.report(report, connection.signal, this.#answered);
  }

  #reported(again: boolean): void {
    this.#reporting = this.#reportAgain = false;
    if (again) this.reportSoon();
  }

  #newReport(epoch: Epoch, now: number): Report {
    const applied = this.#applied;
    const received = this.#received > applied ? this.#received : applied;
    const durable = this.#durable;
    const lagMs = this.lagMs(now);
    const last = this.#report;
    if (
      last !== undefined && last.epoch === epoch && last.received === received &&
      last.durable === durable && last.applied === applied && last.lagMs === lagMs
    ) return last;
    return this.#report = { epoch, received, durable, applied, lagMs };
  }

  /** Only where somebody follows this node or looks at it: each costs a request a second. */
  #exchangeTree(now: number): void {
    const branches = this.#branches();
    const told = branches.length > 0 || this.#toldBranches;
    if (!told && this.#upstreamCurrent === undefined && this.#lookedAt === undefined) return;
    const isStale = now - (this.#upstreamCurrent ?? now) > CUT_OFF_MS;
    const isWatched = isStale || now - (this.#lookedAt ?? -Infinity) < WATCHED_MS;
    const signal = this.#connection?.signal;
    if (signal === undefined || this.#source?.tree === undefined || this.#exchanging) return;
    if (!told && !isWatched) return;
    void this.#exchange(this.#source, branches, isStale, signal);
  }

  async #exchange(
    source: ChangeSource,
    branches: readonly Branch[],
    isStale: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    this.#exchanging = true;
    this.#toldBranches = branches.length > 0;
    try {
      this.#above = await source.tree?.(branches, signal);
      const isCutOff = isStale && this.#above?.some(({ connected }) => !connected) === true;
      if (isCutOff && this.#epoch !== undefined && !signal.aborted) {
        this.#source?.elsewhere?.({ epoch: this.#epoch, txid: this.#txid });
      }
    } finally {
      this.#exchanging = false;
    }
  }

  #told(epoch: Epoch, txid: Txid, asOf = this.#env.clock.monotonic()): void {
    if (this.#epoch !== epoch) {
      // Our txids are of the other history: told under this one, they would say what is not so.
      if (this.#epoch !== undefined) this.#applied = this.#durable = this.#received = ZERO_TXID;
      this.#epoch = epoch;
      this.#txid = txid;
    }
    if (txid > this.#txid) this.#txid = txid;
    if (this.#txid > this.#applied) this.#behindSince ??= this.#env.clock.monotonic();
    else {
      this.#behindSince = undefined;
      this.#currentAt = Math.max(this.#currentAt ?? asOf, asOf);
    }
  }

  #progressStatus(now: number): Progress | undefined {
    const progress = this.#progress;
    if (progress === undefined) return undefined;
    const { done, total, started, from } = progress;
    const rate = (done - from) / Math.max(1, now - started);
    const shown = { doneBytes: Math.min(done, total), totalBytes: total };
    return rate > 0 ? { ...shown, etaMs: Math.max(0, Math.round((total - done) / rate)) } : shown;
  }
}

function nameOf({ url, path }: { readonly url: string; readonly path: string }) {
  return { url, path };
}
