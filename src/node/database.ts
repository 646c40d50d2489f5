/**
 * One database of the config, for as long as the node runs: waits for what is missing, opens, serves,
 * opens again. The same shell around a primary and a replica. May import: base/, changes/, node/.
 *
 * What it waits for is said once in the log, and stands in the status until it is over.
 * @module
 */
import { assert } from "../base/assert.ts";
import type { Env } from "../base/env.ts";
import { codeOf, LiveError, messageOf } from "../base/errors.ts";
import type { Lineage } from "../base/lineage.ts";
import { type Epoch, formatPosition, type Position } from "../base/types.ts";
import { Waiters } from "../base/waiters.ts";
import type { Beat } from "../changes/records.ts";
import type { ChangeSource } from "../changes/source.ts";
import { Chain } from "./chain.ts";
import { Counters } from "./counters.ts";
import { Downstreams } from "./downstreams.ts";
import { demote, type Demoted, type Peer } from "./demotion.ts";
import { HistoryFile } from "./history_file.ts";
import type { LiveSource } from "./live_source.ts";
import { openPrimary, takeOver } from "./open_primary.ts";
import type { DatabaseOptions, UpstreamOptions } from "./options.ts";
import type { Primary } from "./primary.ts";
import type { HandedOver, Promoted } from "./promotion.ts";
import { Replica } from "./replica.ts";
import { goesOnByItself, Retries } from "./retries.ts";
import { FileChecks } from "./file_checks.ts";
import { SideFiles } from "./side_files.ts";
import { statusOf } from "./status_of.ts";
import { Standing } from "./standing.ts";
import type { DatabaseStatus, DownstreamStatus, Role, State } from "./status.ts";
import { UpstreamView } from "./upstream_view.ts";
import type { Waited } from "./wait.ts";
import type { Waker } from "./waker.ts";

/** A copy that has not been current for so long is not healthy (http/health). */
const LATE_MS = 5000;
/** How often the upstream that was left is told. */
const TELL_MS = 2000;
/** Epochs that are remembered. */
const MAX_PAST = 64;
/** After the last commit; one that is quiet for longer is looked at each second. */
const LIVELY_MS = 5000;

/**
 * Makes the other side of a replica; http/client.ts does it, tests give a local database. `onChain` is
 * called with the ids of the databases that it follows, nearest first, whenever it tells them.
 */
export type Connect = (
  upstream: UpstreamOptions,
  env: Env,
  onChain: (ids: readonly string[], asked: boolean) => void,
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

export class Database implements Waited {
  readonly options: DatabaseOptions;
  readonly downstreams: Downstreams;
  /** Woken when the position or that of a replica has moved. */
  readonly moves: Waiters;
  readonly counters = new Counters();
  readonly checks: FileChecks;
  readonly #env: Env;
  readonly #waker: Waker;
  readonly #connect: Connect;
  readonly #files: SideFiles;
  readonly #history: HistoryFile;
  readonly #standing: Standing;
  #view: UpstreamView | undefined;
  #replica: Replica | undefined;
  /** Whom the replica follows. */
  #upstream: UpstreamOptions | undefined;
  #demoting = false;
  /** Asked for, and done by run() between two attempts. */
  #promotion: PromiseWithResolvers<Promoted> | undefined;
  /** Ends the pause before the next attempt. */
  #hurry = new AbortController();
  readonly #chain: Chain;
  /** Epochs that it has been in, the one of now first. */
  #past: readonly Epoch[] = [];
  #primary: Primary | undefined;
  #state: State = "waiting";
  #reason: string | undefined;
  #said: string | undefined;
  #stalledSince: number | undefined;
  readonly #retries: Retries;

  constructor(options: DatabaseOptions, connect: Connect, waker: Waker, env: Env) {
    this.options = options;
    this.#waker = waker;
    this.#env = { ...env, log: env.log.with({ db: options.path }) };
    this.#retries = new Retries(this.#env);
    this.moves = new Waiters(env.clock);
    this.downstreams = new Downstreams(this.#env, () => this.moves.wake());
    this.checks = new FileChecks({
      counters: this.counters,
      source: () => this.#source,
      distrust: (pgno) => this.#replica?.distrust(pgno),
    }, this.#env);
    this.#connect = connect;
    this.#files = new SideFiles(options.path);
    this.#history = new HistoryFile(() => this.#files.folder);
    this.#standing = new Standing(options, this.#files, this.#history, this.#env);
    this.#chain = new Chain(env.random.id(), options.path);
    if (options.upstream !== undefined) this.#becomeReplica(options.upstream);
  }

  get role(): Role {
    return this.#replica === undefined ? "primary" : "replica";
  }

  #becomeReplica(upstream: UpstreamOptions): void {
    const { options, counters } = this;
    this.#upstream = upstream;
    this.#view = new UpstreamView(upstream, this.#env, this.replicas);
    this.#replica = new Replica({
      options,
      files: this.#files,
      history: this.#history,
      upstream: this.#connect(upstream, this.#env, (ids, asked) => this.#follows(ids, asked)),
      counters,
      view: this.#view,
      changed: (state) => this.#changed(state),
      moved: () => this.#moved(),
    }, this.#env);
  }

  #becomePrimary(): void {
    this.#view?.disconnected(undefined);
    this.#replica = this.#view = undefined;
    this.#chain.leave();
  }

  /** Runs until `signal` aborts; never throws for what the world outside does. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let wait = 0;
      this.#retries.begin();
      let settled = false;
      this.#hurry = new AbortController();
      try {
        this.#files.claim();
        this.#settle();
        settled = true;
        const handed = await this.#promoteIfAsked();
        if (this.#replica === undefined) await this.#runPrimary(signal, handed);
        else await this.#replica.attempt(signal);
        this.#retries.well();
      } catch (error) {
        wait = this.#failed(error);
        if (!settled) this.#notPromoted(error); // who asks is not kept waiting for a disk
      }
      this.#view?.disconnected(this.#reason);
      const pause = AbortSignal.any([signal, this.#hurry.signal]);
      if (!pause.aborted) await this.#env.clock.sleep(wait, pause);
    }
    this.#notPromoted(stopping());
    this.#primary?.flush();
    this.#replica?.flush();
  }

  /** Primary or replica, as it stands now. */
  #settle(): void {
    const upstream = this.#standing.settle();
    if ((upstream === undefined) === (this.#replica === undefined)) return;
    if (upstream === undefined) this.#becomePrimary();
    else this.#becomeReplica(upstream);
  }

  /** Somebody tells of a newer history: if that goes on from this one, nobody is served any more. */
  supersede(lineage: Lineage, by: string): void {
    const primary = this.#primary;
    if (this.#demoting) return; // that is the one that we made ourselves
    if (!this.#standing.fence(lineage, primary?.position.epoch, by)) return;
    primary?.lose(this.#standing.refusal!);
  }

  /**
   * Makes a primary of this replica, with what it has now.
   * @throws {LiveError} "not_ready", "guard", "disk": it is the replica that it was.
   */
  async promote(): Promise<Promoted> {
    if (this.#replica === undefined) {
      if (this.#primary === undefined) throw this.#notReady();
      const { position, ancestors: [parent] } = this.#primary;
      return { result: "already", position, ...(parent && { parent }) };
    }
    if (this.#replica.opened === undefined) throw this.#notReady();
    this.#promotion ??= Promise.withResolvers<Promoted>();
    const { promise } = this.#promotion;
    this.#replica.stopFollowing();
    this.#hurry.abort();
    return await promise;
  }

  /**
   * Steps down for the replica that `peer` is, and follows it: no transaction is lost.
   * @throws {LiveError} why not: then it is the primary that it was.
   */
  async demote(peer: Peer): Promise<Demoted> {
    const primary = this.#primary;
    if (this.#replica !== undefined) {
      throw new LiveError("guard", `"${this.options.path}" is a replica: nothing to demote`);
    }
    if (primary === undefined) throw this.#standing.refusal ?? this.#notReady();
    if (this.#demoting) throw new LiveError("busy", "It is being demoted already");
    this.#demoting = true;
    try {
      const demoted = await demote(primary, peer, this.#history, this.#env);
      primary.flush();
      primary.lose(new LiveError("not_ready", `This database follows ${peer.upstream.url} now`));
      this.#hurry.abort();
      return demoted;
    } finally {
      this.#demoting = false;
    }
  }

  async #promoteIfAsked(): Promise<HandedOver | undefined> {
    const [asked, replica, upstream] = [this.#promotion, this.#replica, this.#upstream];
    if (asked === undefined) return undefined;
    try {
      assert(replica !== undefined && upstream !== undefined, "only a replica is promoted");
      const handed = await replica.promote(upstream);
      this.#becomePrimary();
      const { position, ancestors: [parent] } = handed;
      this.#env.log.warn("promoted: this database is a primary now", {
        position: formatPosition(position),
        ...(parent && { parent: formatPosition(parent) }),
      });
      return handed;
    } catch (error) {
      this.#notPromoted(error);
      if (codeOf(error) === undefined) throw error; // a bug
      return undefined;
    }
  }

  #notPromoted(reason: unknown): void {
    this.#promotion?.reject(reason);
    this.#promotion = undefined;
  }

  /** After run() has ended, where the process goes on: gives all files and locks up. */
  async close(): Promise<void> {
    const reason = stopping();
    this.#primary?.end(reason);
    await this.#primary?.handle.close();
    this.#primary = undefined;
    await this.#replica?.close(reason);
    this.#files.release();
  }

  /** Waited: what is committed and readable here now. On a primary that is looked up. */
  newest(): Position | undefined {
    this.#primary?.look();
    return this.#primary?.position ?? this.#replica?.position;
  }

  /** Waited. */
  ancestors = (epoch: Epoch): readonly Position[] => this.#history.lineage(epoch).ancestors;

  /** Waited. A primary makes histories: one that it is not in is over. */
  isPast(epoch: Epoch): boolean {
    return this.#primary !== undefined || this.#past.includes(epoch);
  }

  /** Waited. */
  replicas = (): readonly DownstreamStatus[] => this.downstreams.status();

  #moved(): void {
    const epoch = this.#primary?.position.epoch ?? this.#replica?.position?.epoch;
    if (epoch !== undefined && epoch !== this.#past[0]) {
      this.#past = [epoch, ...this.#past.filter((past) => past !== epoch)].slice(0, MAX_PAST);
    }
    this.moves.wake();
    this.#waker.stirred();
  }

  /** Every connected replica has received what this node has seen. */
  drained(): boolean {
    const txid = this.#primary?.position.txid ?? this.#replica?.position?.txid;
    if (txid === undefined) return true;
    return this.downstreams.status().every(({ connected, received }) =>
      !connected || received >= txid
    );
  }

  /** The slow timer. True: there were commits just now, so a checkpoint may be due soon. */
  tick(): boolean {
    const primary = this.#primary;
    if (primary === undefined || primary.quietMs >= LIVELY_MS) return false;
    primary.look();
    return true;
  }

  /** Once a second. */
  check(now: number): void {
    this.#primary?.look();
    this.#primary?.check();
    this.#replica?.check();
    this.#view?.check(now);
    this.#logStall(now);
  }

  /** Says once that it makes no progress although it is live, and once that this is over. */
  #logStall(now: number): void {
    const live = this.#state === "serving" || this.#state === "streaming" ||
      this.#state === "catching-up";
    const late = live && (this.#view?.lagMs(now) ?? 0) > LATE_MS ? this.#view?.why() : undefined;
    const reason = this.#primary?.trouble(now) ?? this.#replica?.trouble() ?? late;
    if ((reason === undefined) === (this.#stalledSince === undefined)) return;
    if (reason !== undefined) this.#env.log.warn("stalled", { reason });
    else this.#env.log.info("goes on", { after_ms: Math.round(now - this.#stalledSince!) });
    this.#stalledSince = reason === undefined ? undefined : now;
  }

  /** This database and those it follows, as far as is known. */
  get chain(): readonly string[] {
    return this.#chain.ids;
  }

  /** `asked`: an upstream is looked at, none is followed yet. @throws {LiveError} "guard" in a cycle. */
  #follows(ids: readonly string[], asked: boolean): void {
    if (this.#replica === undefined) return; // a late answer: it was promoted meanwhile
    const cycle = this.#chain.cycle(ids, this.#upstream!);
    if (cycle === undefined) {
      if (!asked) this.#chain.follow(ids);
      return;
    }
    if (!asked) this.#replica?.interrupt(cycle); // it may be the answer to a report, beside the stream
    throw cycle;
  }

  /** What replicas of this node are served from, if there is something to serve. */
  get #source(): LiveSource | undefined {
    return this.#primary?.source ?? this.#replica?.source;
  }

  /** @throws {LiveError} "not_ready" with the reason while there is nothing to serve, "guard". */
  served(): Served {
    if (this.#standing.refusal !== undefined) throw this.#standing.refusal;
    const source = this.#source;
    const position = this.#primary?.position ?? this.#replica?.position;
    const pageCount = this.#primary?.index.pageCount ?? this.#replica?.opened?.index.pageCount;
    const { downstreams, counters } = this;
    if (source !== undefined && position !== undefined && pageCount !== undefined) {
      return { source, position, pageCount, downstreams, counters };
    }
    throw this.#notReady();
  }

  /** Where this database is, for a replica that has a stream: it needs no heartbeat for a while then. */
  beat(replica: string): Beat | undefined {
    if (this.#standing.refusal !== undefined || !this.downstreams.tell(replica)) return undefined;
    return this.#source?.beat();
  }

  #notReady(): LiveError {
    return new LiveError("not_ready", this.#reason ?? `"${this.options.path}" is not ready yet`);
  }

  status(): DatabaseStatus {
    return statusOf({
      path: this.options.path,
      role: this.role,
      state: this.#state,
      reason: this.#reason,
      primary: this.#primary,
      replica: this.#replica,
      view: this.#view,
      downstreams: this.downstreams,
      counters: this.counters,
    });
  }

  #changed(state: State): void {
    if (state === this.#state) return;
    this.#state = state;
    if (state !== "streaming") return;
    this.#retries.live();
    this.#reason = this.#said = undefined;
    this.#env.log.info("streaming");
  }

  async #runPrimary(signal: AbortSignal, from: HandedOver | undefined): Promise<void> {
    this.#state = "opening";
    let lost: (reason: LiveError) => void = () => {};
    const ended = new Promise<LiveError | undefined>((resolve) => {
      lost = resolve;
      signal.addEventListener("abort", () => resolve(undefined), { once: true });
    });
    const opening = {
      options: this.options,
      files: this.#files,
      history: this.#history,
      counters: this.counters,
      lost: (reason: LiveError) => lost(reason),
      moved: () => this.#moved(),
      progress: () => {},
    };
    const primary = from === undefined
      ? await openPrimary(opening, this.#env)
      : await takeOver(opening, from, this.#env);
    this.#primary = primary;
    this.#state = "serving";
    this.#reason = this.#said = undefined;
    this.#moved();
    const { position, ancestors: [parent] } = primary;
    this.#promotion?.resolve({ result: "promoted", position, ...(parent && { parent }) });
    this.#promotion = undefined;
    this.#standing.serves();
    const telling = new AbortController();
    const { left } = this.#standing;
    if (left !== undefined) void this.#tell(left, primary, telling.signal);
    const unwatch = this.#waker.add(primary.handle, () => primary.woken());
    const reason = await ended;
    telling.abort();
    unwatch(); // before its memory is unmapped
    if (reason === undefined) return; // the process ends, or close() follows
    this.#primary = undefined;
    this.#state = "waiting"; // closing may take long, on a disk that hangs
    this.#reason = reason.message;
    await primary.handle.close();
    throw reason;
  }

  /** The upstream that was left must learn that its history is over, whenever it comes back. */
  async #tell(left: UpstreamOptions, primary: Primary, signal: AbortSignal): Promise<void> {
    const source = this.#connect(left, this.#env, () => {});
    const { position: { epoch }, ancestors } = primary;
    while (!signal.aborted) {
      await source.supersede?.({ epoch, ancestors }, signal);
      await this.#env.clock.sleep(TELL_MS, signal);
    }
  }

  /** Says why, once; returns how long to wait, ms. */
  #failed(error: unknown): number {
    const code = codeOf(error);
    if (code === undefined) throw error; // a bug
    if (this.#standing.wasNotPromoted(error) || this.#standing.wasNotDemoted(error)) return 0;
    const reason = messageOf(error);
    this.#reason = reason;
    const waiting = goesOnByItself(code);
    this.#state = this.#stateAfter(waiting);
    if (code === "position_gone") this.#env.log.info("history differs", { reason });
    else if (reason !== this.#said) {
      this.#said = reason;
      if (waiting) this.#env.log.info("waiting", { for: reason });
      else this.#env.log.error("cannot go on", { code, reason });
    }
    if (code === "upstream" || code === "checksum") this.counters.upstreamLost++;
    return this.#retries.after(code, this.role);
  }

  #stateAfter(waiting: boolean): State {
    if (!waiting) return "failed";
    return this.#replica?.opened === undefined ? "waiting" : "connecting";
  }
}

function stopping(): LiveError {
  return new LiveError("not_ready", "This node does not serve this database any more");
}
