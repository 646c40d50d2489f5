/**
 * One database of the config, for as long as the node runs: waits for what is missing, opens, serves,
 * opens again. The same shell around a primary and a replica. May import: base/, changes/, node/.
 *
 * What it waits for is said once in the log, and stands in the status until it is over.
 * @module
 */
import { formatWords } from "../base/bytes.ts";
import type { Env } from "../base/env.ts";
import { codeOf, type ErrorCode, LiveError, messageOf } from "../base/errors.ts";
import type { Position } from "../base/types.ts";
import type { ChangeSource } from "../changes/source.ts";
import type { PageIndex } from "../pages/page_index.ts";
import { Counters } from "./counters.ts";
import { Downstreams } from "./downstreams.ts";
import type { DatabaseHandle } from "./handle.ts";
import type { LiveSource } from "./live_source.ts";
import { openPrimary } from "./open_primary.ts";
import type { DatabaseOptions, UpstreamOptions } from "./options.ts";
import type { Primary } from "./primary.ts";
import { Replica } from "./replica.ts";
import { SideFiles } from "./side_files.ts";
import type { DatabaseStatus, Role, State } from "./status.ts";
import { UpstreamView } from "./upstream_view.ts";
import type { Waker } from "./waker.ts";

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = { upstream: 1000, other: 5000 } as const;
/** Nobody has to do anything: it goes on by itself. */
const WAITING: readonly ErrorCode[] = [
  "not_ready",
  "busy",
  "upstream",
  "checksum",
  "position_gone",
];
/** Of a chain of replicas, as far as it is remembered. */
const MAX_HOPS = 32;
/** After the last commit; one that is quiet for longer is looked at each second. */
const LIVELY_MS = 5000;
/** Waiting for a file of this machine: looking costs nothing. */
const RETRY_LOCAL_MS = 250;

/**
 * Makes the other side of a replica; http/client.ts does it, tests give a local database. `onChain` is
 * called with the ids of the databases that it follows, nearest first, whenever it tells them.
 */
export type Connect = (
  upstream: UpstreamOptions,
  env: Env,
  onChain: (ids: readonly string[]) => void,
) => ChangeSource;

/** What serves the streams of this database, and who is connected. */
export interface Served {
  readonly source: ChangeSource;
  readonly position: Position;
  /** Size of the database now. */
  readonly pageCount: number;
  readonly downstreams: Downstreams;
  readonly counters: Counters;
}

export class Database {
  readonly options: DatabaseOptions;
  readonly role: Role;
  readonly downstreams: Downstreams;
  readonly counters = new Counters();
  readonly #env: Env;
  readonly #waker: Waker;
  readonly #files: SideFiles;
  readonly #view: UpstreamView | undefined;
  readonly #replica: Replica | undefined;
  /** Of this database in this process. A replica that finds it among those it follows is in a cycle. */
  readonly #instance: string;
  #followed: readonly string[] = [];
  #primary: Primary | undefined;
  #state: State = "waiting";
  #reason: string | undefined;
  #said: string | undefined;
  /** This connection was live. */
  #connected = false;
  /** The last failure was that the histories differ. */
  #differed = false;

  constructor(options: DatabaseOptions, connect: Connect, waker: Waker, env: Env) {
    this.options = options;
    this.#waker = waker;
    this.#env = { ...env, log: env.log.with({ db: options.path }) };
    this.downstreams = new Downstreams(this.#env);
    this.#files = new SideFiles(options.path);
    this.role = options.upstream === undefined ? "primary" : "replica";
    this.#instance = env.random.id();
    if (options.upstream === undefined) return;
    const upstream = connect(options.upstream, this.#env, (ids) => this.#follows(ids));
    this.#view = new UpstreamView(options.upstream, this.#env);
    this.#replica = new Replica({
      options,
      files: this.#files,
      upstream,
      counters: this.counters,
      view: this.#view,
      changed: (state) => this.#changed(state),
    }, this.#env);
  }

  /** Runs until `signal` aborts; never throws for what the world outside does. */
  async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      let wait = RETRY_MIN_MS;
      this.#connected = false;
      try {
        this.#files.claim();
        if (this.#replica === undefined) await this.#runPrimary(signal);
        else await this.#replica.attempt(signal);
        failures = 0;
        wait = 0;
      } catch (error) {
        if (this.#connected) failures = 0;
        wait = this.#failed(error, failures++);
      }
      this.#view?.disconnected(this.#reason);
      if (!signal.aborted) await this.#env.clock.sleep(wait, signal);
    }
    this.#primary?.flush();
  }

  /** The slow timer, several times a second: checkpoints that are due, commits that nobody told of. */
  tick(): void {
    const primary = this.#primary;
    if (primary !== undefined && primary.quietMs < LIVELY_MS) primary.look();
  }

  /** Once a second. */
  check(): void {
    this.#primary?.look();
    this.#primary?.check();
    this.#replica?.check();
    this.#view?.logProgress();
  }

  /** This database and those it follows, as far as is known. */
  get chain(): readonly string[] {
    return [this.#instance, ...this.#followed];
  }

  /** @throws {LiveError} "guard" if it follows itself. */
  #follows(ids: readonly string[]): void {
    if (ids.includes(this.#instance)) {
      const { url, path } = this.options.upstream!;
      const how = ids[0] === this.#instance ? "is this very database" : "is a replica of it";
      const error = new LiveError(
        "guard",
        `"${this.options.path}" would follow itself: its upstream ${url}${path} ${how}, and a ` +
          "cycle has no primary; correct the `upstream` of one of them",
      );
      this.#replica?.interrupt(error); // it may be the answer to a report, beside the stream
      throw error;
    }
    this.#followed = ids.slice(0, MAX_HOPS);
  }

  /** @throws {LiveError} "not_ready" with the reason while there is nothing to serve. */
  served(): Served {
    const source: LiveSource | undefined = this.#primary?.source ?? this.#replica?.source;
    const position = this.#primary?.position ?? this.#replica?.position;
    const pageCount = this.#primary?.index.pageCount ?? this.#replica?.opened?.index.pageCount;
    const { downstreams, counters } = this;
    if (source !== undefined && position !== undefined && pageCount !== undefined) {
      return { source, position, pageCount, downstreams, counters };
    }
    throw new LiveError("not_ready", this.#reason ?? `"${this.options.path}" is not ready yet`);
  }

  status(): DatabaseStatus {
    const handle: DatabaseHandle | undefined = this.#primary?.handle ??
      this.#replica?.opened?.handle;
    const index: PageIndex | undefined = this.#primary?.index ?? this.#replica?.opened?.index;
    const position = this.#primary?.position ?? this.#replica?.position;
    const id = this.#primary?.id ?? this.#replica?.id;
    const trouble = this.#primary?.trouble() ?? this.#replica?.trouble();
    const reason = this.#reason ?? trouble;
    const header = handle?.closed === false ? handle.walIndex.header() : undefined;
    return {
      path: this.options.path,
      role: this.role,
      state: this.#state,
      ...(reason === undefined ? {} : { reason }),
      ...(trouble === undefined ? {} : { trouble }),
      readable: index !== undefined,
      ...(id === undefined ? {} : { id }),
      ...(position === undefined ? {} : position),
      ...(index === undefined ? {} : {
        hash: formatWords(index.hash),
        pageSize: index.pageSize,
        pageCount: index.pageCount,
      }),
      ...(header === undefined || handle === undefined ? {} : {
        walFrames: header.mxFrame,
        walBackfilled: handle.backfilled(),
      }),
      ...(this.#primary === undefined ? {} : { lastChangeMs: Math.round(this.#primary.quietMs) }),
      ...(this.#view === undefined ? {} : { upstream: this.#view.status() }),
      replicas: this.downstreams.status(),
      counters: this.counters,
    };
  }

  #changed(state: State): void {
    if (state === this.#state) return;
    this.#state = state;
    if (state !== "streaming") return;
    this.#connected = true;
    this.#differed = false;
    this.#reason = this.#said = undefined;
    this.#env.log.info("streaming");
  }

  async #runPrimary(signal: AbortSignal): Promise<void> {
    this.#state = "opening";
    let lost: (reason: LiveError) => void = () => {};
    const ended = new Promise<LiveError | undefined>((resolve) => {
      lost = resolve;
      signal.addEventListener("abort", () => resolve(undefined), { once: true });
    });
    const primary = await openPrimary({
      options: this.options,
      files: this.#files,
      counters: this.counters,
      lost: (reason) => lost(reason),
      progress: () => {},
    }, this.#env);
    this.#primary = primary;
    this.#state = "serving";
    this.#reason = this.#said = undefined;
    const unwatch = this.#waker.add(primary.handle, () => primary.look());
    const reason = await ended;
    unwatch(); // before its memory is unmapped
    if (reason === undefined) return; // the process ends: no close, nothing is unlinked
    this.#primary = undefined;
    await primary.handle.close();
    throw reason;
  }

  /** Says why, once; returns how long to wait, ms. */
  #failed(error: unknown, failures: number): number {
    const code = codeOf(error);
    if (code === undefined) throw error; // a bug
    const reason = messageOf(error);
    this.#reason = reason;
    const waiting = WAITING.includes(code);
    this.#state = this.#stateAfter(waiting);
    if (code === "position_gone") this.#env.log.info("history differs", { reason });
    else if (reason !== this.#said) {
      this.#said = reason;
      if (waiting) this.#env.log.info("waiting", { for: reason });
      else this.#env.log.error("cannot go on", { code, reason });
    }
    if (code === "upstream" || code === "checksum") this.counters.upstreamLost++;
    if (this.role === "primary") return waiting ? RETRY_LOCAL_MS : 1000;
    // Known once that the histories differ, hashes are compared at once; not again and again.
    if (code === "position_gone" && !this.#differed) {
      this.#differed = true;
      return 0;
    }
    const most = code === "upstream" ? RETRY_MAX_MS.upstream : RETRY_MAX_MS.other;
    const limit = Math.min(most, RETRY_MIN_MS * 2 ** Math.min(failures, 10));
    return limit * (0.5 + this.#env.random.fraction() / 2);
  }

  #stateAfter(waiting: boolean): State {
    if (!waiting) return "failed";
    return this.#replica?.opened === undefined ? "waiting" : "connecting";
  }
}
