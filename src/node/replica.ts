/**
 * A replica: a first copy if there is no file, then live changes, repairs whenever the history is not
 * known, for ever. May import: base/, changes/, pages/, node/.
 *
 * Invariants: the file at the replica's path is always a whole state of the upstream, or absent; what
 * was there before is only filled with approval (node/approval.ts); a lost connection, a changed epoch,
 * a wrong hash all end in the same place: ask again, from what is known.
 * @module
 */
import { formatWords, sameWords } from "../base/bytes.ts";
import { type Env, Stop } from "../base/env.ts";
import { asLive, codeOf, LiveError, messageOf } from "../base/errors.ts";
import { placeIn } from "../base/lineage.ts";
import { type DatabaseId, formatPosition, type Position } from "../base/types.ts";
import type { Commit, Hello } from "../changes/records.ts";
import type { ChangeSource, ChangesRequest } from "../changes/source.ts";
import { PageReader } from "../pages/page_reader.ts";
import { Approval } from "./approval.ts";
import { beginFrom, dropLinked } from "./copier.ts";
import type { Counters } from "./counters.ts";
import { type FollowEvents, followOnce } from "./follow.ts";
import { firstCopy } from "./first_copy.ts";
import { initialiseEmpty } from "./handle.ts";
import type { History, HistoryFile } from "./history_file.ts";
import { LiveSource, type LocalDatabase } from "./live_source.ts";
import { type OpenReplica, openReplica } from "./open_replica.ts";
import { applyOwnership } from "./ownership.ts";
import type { DatabaseOptions, UpstreamOptions } from "./options.ts";
import { Overdue } from "./overdue.ts";
import { type HandedOver, promote } from "./promotion.ts";
import { countGivenUp, keepAside } from "./rejoin.ts";
import type { State } from "./status.ts";
import { databaseHeader, PlainFile } from "./plain_file.ts";
import { PositionFile } from "./position_file.ts";
import { refuseUsed } from "./proc_locks.ts";
import { type KnownContent, realPath, type SideFiles } from "./side_files.ts";
import { UpstreamView } from "./upstream_view.ts";
import { WatchedFile } from "./watched_file.ts";

export interface ReplicaParts {
  readonly options: DatabaseOptions;
  readonly files: SideFiles;
  readonly history: HistoryFile;
  readonly upstream: ChangeSource;
  readonly counters: Counters;
  readonly view: UpstreamView;
  /** The state shown to people has changed. */
  changed(state: State): void;
  /** The position has moved. */
  moved(): void;
}

export class Replica {
  readonly #parts: ReplicaParts;
  readonly #file: PositionFile;
  readonly #approval: Approval;
  readonly #env: Env;
  #open: OpenReplica | undefined;
  #position: Position | undefined;
  /**
   * Killed between its frames and their publication: until they are written over, a recovery by anybody
   * finds them, and the file is there.
   */
  #unpublished: KnownContent | undefined;
  /** Where it was when it learnt that the upstream's history is another. */
  #before: Position | undefined;
  /** What this file had as a primary is copied aside. */
  #kept = false;
  #source: LiveSource | undefined;
  #id: DatabaseId | undefined;
  /** Made by us from 0 bytes, or compared already: nothing can be lost by filling it. */
  #ours = false;
  #stopFollowing: Stop | undefined;
  #interrupted: LiveError | undefined;
  readonly #sync: Overdue;
  readonly #closing: Overdue;
  #leaving = false;
  #syncError: string | undefined;
  #served: WatchedFile | undefined;
  /** The file is not what we think it is: opened again as soon as nothing uses it. */
  #reopen: LiveError | undefined;

  constructor(parts: ReplicaParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#sync = new Overdue(env.clock, "an fsync of the replica's log");
    this.#closing = new Overdue(env.clock, "closing the replica's file");
    const { options: { path }, upstream, view } = parts;
    this.#file = new PositionFile(() => parts.files.folder, env);
    const history = (): History => parts.history.value;
    this.#approval = new Approval({ path, upstream, view, history }, env);
  }

  get position(): Position | undefined {
    return this.#position;
  }
  get id(): DatabaseId | undefined {
    return this.#id;
  }
  get opened(): OpenReplica | undefined {
    return this.#open;
  }
  /** What replicas of this replica are served from; undefined until the position is known. */
  get source(): LiveSource | undefined {
    return this.#source;
  }

  /**
   * One go at it: opens or copies what is missing, then follows until the connection ends.
   * @throws {LiveError} why it ended.
   */
  async attempt(signal: AbortSignal): Promise<void> {
    try {
      await this.#attempt(signal);
    } catch (error) {
      const { folder } = this.#parts.files;
      if (!this.#approval.accepted(error, folder)) throw error;
      await this.close(asLive(error));
      this.#approval.setAside(folder);
      this.#parts.history.save({ format: 1, ancestors: [] });
    }
  }

  /** Ends the connection; attempt() returns soon, and follows nobody before promote(). */
  stopFollowing(): void {
    this.#leaving = true;
    this.#stopFollowing?.abort();
  }

  /**
   * Makes a primary's file of it and hands it over; attempt() must have ended.
   * @throws {LiveError} why not: then nothing has changed.
   */
  async promote(upstream: UpstreamOptions): Promise<HandedOver> {
    this.#leaving = false;
    const { options: { path }, files, history } = this.#parts;
    const [open, saved, position] = [this.#open, files.load(), this.#position];
    const id = this.#id ?? saved?.id;
    if (open === undefined || saved === undefined || id === undefined) {
      throw new LiveError(
        "not_ready",
        `"${path}" has no whole copy yet: there is nothing to promote`,
      );
    }
    if (position === undefined && !open.guarded) {
      const what = `"${path}" is not known as a copy of ${upstream.url}${upstream.path}`;
      throw new LiveError("guard", `${what}: it is not promoted`);
    }
    const promotable = { open, id, position, saved, upstream };
    const handed = await promote(promotable, files, history, this.#env);
    this.#open = undefined; // it is not ours to close any more
    await this.close(new LiveError("not_ready", "This replica becomes a primary: ask again"));
    return handed;
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    const { options, files, upstream } = this.#parts;
    upstream.renew?.();
    dropLinked(options.path, `${files.folder}/copy`);
    const bytes = fileSize(options.path);
    if (this.#open === undefined && bytes === undefined) return await this.#firstCopy(signal);
    if (this.#open === undefined) await this.#openFile(bytes === 0, signal);
    await this.#follow(signal);
  }

  /** What fails for good although it streams, a sentence; undefined while all is well. */
  trouble(): string | undefined {
    return this.#open?.trouble() ?? this.#syncError ?? this.#served?.trouble ??
      this.#sync.trouble() ?? this.#closing.trouble() ?? this.#file.trouble;
  }

  /** Once a second. */
  check(): void {
    const open = this.#open;
    if (open === undefined) return;
    open.maintain();
    this.#served?.retry();
    if (open.handle.wasMoved) this.#stopFollowing?.abort();
    else this.#makeDurable(open);
  }

  /** Ends the connection to the upstream with this error. */
  interrupt(error: LiveError): void {
    this.#interrupted = error;
    this.#stopFollowing?.abort();
  }

  /** The file is read again, and what differs is fetched. */
  distrust(pgno: number): void {
    this.#env.log.error("a page of the replica has changed on disk", { pgno });
    this.#open?.savedIndex.discard();
    this.#reopen = new LiveError("corrupt", `Page ${pgno} has changed on disk`);
    this.#stopFollowing?.abort();
  }

  async close(reason: LiveError): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    this.#source?.end(reason);
    this.#source = this.#served = this.#syncError = undefined;
    this.#position = undefined;
    this.#ours = false;
    this.#file.forget();
    if (open !== undefined) await this.#closing.watch(() => open.close());
  }

  /** Before the process ends. */
  flush(): void {
    this.#file.flush();
  }

  async #firstCopy(signal: AbortSignal): Promise<void> {
    this.#parts.changed("copying");
    await firstCopy(
      {
        ...this.#parts,
        approval: this.#approval,
        willBeAt: (id, commit) => this.#willBeAt(id, commit, undefined),
        events: (pageSize) => this.#events(pageSize),
      },
      this.#env,
      signal,
    );
  }

  async #openFile(empty: boolean, signal: AbortSignal): Promise<void> {
    const { options, files, history, view, counters } = this.#parts;
    if (empty) {
      const hello = await this.#approval.hello(signal);
      initialiseEmpty(options.path, hello.pageSize);
      this.#ours = true;
    }
    await this.#approval.refuseAgain(signal);
    this.#parts.changed("opening");
    this.#file.forget();
    if (!empty) this.#ours = await this.#approval.ofRollbackMode(signal);
    const saved = files.load();
    const progress = (done: number, total: number): void => view.progress(done, total);
    const willBeAt = (commit: Commit): void => this.#willBeAt(this.#id!, commit, this.#position);
    const isAt = (position: Position): void => this.#isAt(position);
    const mustBeGuarded = history.value.stepping === true;
    const { folder } = files;
    const opening = { options, saved, folder, counters, mustBeGuarded, progress, willBeAt, isAt };
    try {
      this.#open = await openReplica(opening, this.#env);
    } catch (error) {
      if (codeOf(error) !== "corrupt" || saved?.role !== "replica") throw error;
      throw this.#copyAgain(asLive(error));
    }
    view.endProgress();
    const { position, index, guarded, hashes } = this.#open;
    // What lies beside a file says nothing of it, unless the file itself says that it is ours.
    const ours = saved?.contents !== undefined && (guarded || position !== undefined);
    this.#id = ours || this.#open.was !== undefined ? saved?.id : undefined;
    if (position !== undefined) this.#isAt(position);
    const here = formatWords(index.hash);
    this.#unpublished = saved?.contents?.find(({ hash }) => hash !== here);
    this.#env.log.info("replica open", {
      pages: index.pageCount,
      hashes,
      position: position === undefined ? "unknown" : formatPosition(position),
    });
  }

  /**
   * Without its log, which somebody deleted while we were down, the file may be half checkpointed, and no
   * SQLite can read it. What is left of it is the beginning of a first copy: only pages that differ come.
   */
  #copyAgain(error: LiveError): LiveError {
    const { options: { path }, files } = this.#parts;
    const real = realPath(path);
    {
      using file = PlainFile.open(real);
      if (databaseHeader(file)?.guarded !== true) return error; // an application's, perhaps
    }
    refuseUsed(real, "cannot be read by SQLite any more"); // a reader may still have a whole old state
    this.#env.log.warn("no SQLite can read the file, it is copied again", {
      reason: error.message,
    });
    beginFrom(real, files.folder);
    return new LiveError("not_ready", `"${path}" cannot be read and is copied again`);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const open = this.#open!;
    this.#parts.changed("connecting");
    using stop = this.#stopFollowing = new Stop(signal);
    if (signal.aborted || this.#leaving) return;
    try {
      const { pageSize } = open.index;
      const request = await this.#request(open, stop.signal);
      const events = this.#events(pageSize);
      const { upstream, options } = this.#parts;
      const applier = open.applier();
      const paths = ["", "-wal", "-shm"].map((suffix) => `${open.handle.path}${suffix}`);
      applyOwnership(paths, options.ownership);
      open.savedIndex.checkpointed(); // that, too, is a change of the file
      await followOnce(upstream, request, applier, events, this.#env, stop.signal);
      if (this.#interrupted !== undefined) throw this.#interrupted;
    } catch (error) {
      if (codeOf(error) === "position_gone" && this.#position !== undefined) {
        this.#before = this.#position;
        this.#position = undefined;
        this.#source?.end(new LiveError("not_ready", "This replica compares hashes: ask again"));
      } else if (codeOf(error) === "corrupt" || (codeOf(error) === "guard" && !open.guarded)) {
        this.#reopen = asLive(error); // and nothing stays locked that is not ours
      }
      throw error;
    } finally {
      this.#interrupted = undefined;
      if (open.handle.moved()) {
        this.#reopen = new LiveError("not_ready", "The file was moved or replaced");
      }
      if (this.#reopen !== undefined) await this.close(this.#reopen);
      this.#reopen = undefined;
    }
  }

  async #request(open: OpenReplica, signal: AbortSignal): Promise<ChangesRequest> {
    const since = this.#position;
    if (since === undefined) return await this.#repairRequest(open, signal);
    const { ancestors } = this.#parts.history.lineage(since.epoch);
    if (open.guarded) return { since, ancestors, hash: open.index.hash };
    return { since, ancestors, wanted: [1] }; // page 1 brings the guard
  }

  async #repairRequest(open: OpenReplica, signal: AbortSignal): Promise<ChangesRequest> {
    this.#parts.changed("repairing");
    const { since, wanted, hello } = this.#ours
      ? await this.#approval.difference(open.index, signal)
      : await this.#approval.similar(open.index, this.#id, signal);
    this.#id = hello.id;
    const { counters, files } = this.#parts;
    if (open.was !== undefined && wanted.length > 0 && !this.#kept) {
      await keepAside(open, files.folder, this.#env);
      this.#kept = true;
    }
    countGivenUp(this.#before ?? open.was, hello, counters, this.#env);
    this.#before = undefined;
    const pages = open.guarded || wanted[0] === 1 ? wanted : [1, ...wanted];
    if (pages.length === 0) {
      this.#willBeAt(hello.id, { ...since, hash: hello.hash }, undefined);
      this.#isAt(since);
      return { since, hash: open.index.hash };
    }
    counters.repairs++;
    counters.repairedPages += pages.length;
    this.#env.log.info("repairing", { pages: pages.length, of: hello.pageCount });
    return { since, wanted: pages };
  }

  /** The upstream has gone over to a history that goes on from ours: our place has another name. */
  #adopt(hello: Hello): void {
    const at = this.#position;
    if (at === undefined || at.epoch === hello.epoch) return;
    const place = placeIn(at, hello);
    if (place === undefined) return;
    this.#willBeAt(hello.id, { ...place, hash: this.#open!.index.hash }, at);
    this.#env.log.info("a new epoch goes on from here", { position: formatPosition(place) });
    this.#isAt(place, true);
  }

  /** `goesOn`: the epoch may be new, but this place of it is the one that we were at. */
  #isAt(position: Position, goesOn = false): void {
    const { index } = this.#open!;
    const newEpoch = this.#position?.epoch !== position.epoch;
    this.#position = position;
    if (newEpoch) {
      // Versions of another history mean nothing here: who is behind this place compares hashes.
      if (!goesOn) index.setFloor(position.txid);
      const code = goesOn ? "not_ready" : "position_gone";
      this.#source?.end(new LiveError(code, "A new history has begun: ask again"));
      this.#source = new LiveSource(this.#local(this.#open!), this.#env);
    }
    this.#parts.view.appliedAt(position.txid);
    this.#source?.notify();
    this.#file.isAt(position);
    this.#parts.moved();
  }

  #local(open: OpenReplica): LocalDatabase {
    const { handle, index } = open;
    const backfilled = (): number => handle.backfilled();
    const database = this.#served = new WatchedFile(handle.database);
    const pages = new PageReader({ database, wal: handle.wal, backfilled });
    const position = (): Position => this.#position!;
    return {
      role: "replica",
      id: this.#id!,
      ancestors: this.#parts.history.lineage(position().epoch).ancestors,
      counters: this.#parts.counters,
      delayMs: this.#parts.options.monitorDelayMs,
      staleMs: () => this.#parts.view.lagMs(),
      index,
      pages,
      get position() {
        return position();
      },
      refresh: () => {
        if (this.#open !== open || this.#position === undefined) {
          throw new LiveError("not_ready", "The database is being opened again");
        }
        return true; // nobody else writes
      },
      distrust: (pgno) => this.distrust(pgno),
    };
  }

  /** Written down before it is so. */
  #willBeAt(id: DatabaseId, next: Next, current: Position | undefined): void {
    const { files, history, view } = this.#parts;
    if (view.lineage?.epoch === next.epoch) history.learn(view.lineage);
    const { epoch, txid } = next;
    const contents: KnownContent[] = [{ epoch, txid, hash: formatWords(next.hash) }];
    const index = this.#open?.index;
    if (current !== undefined && index !== undefined) {
      contents.push({ ...current, hash: formatWords(index.hash) });
      if (this.#unpublished !== undefined) contents.push(this.#unpublished);
    }
    files.save({ format: 1, role: "replica", id, epoch, txid, contents });
  }

  #events(pageSize: number): FollowEvents {
    const { counters, view, upstream } = this.#parts;
    return {
      hello: (hello, beside) => {
        this.#approval.checkPageSize(hello, pageSize);
        view.hello(hello);
        this.#adopt(hello);
        view.connected(upstream, beside);
        this.#parts.changed(this.#stateAt(hello));
      },
      begin: (begin) => view.begin(begin, pageSize),
      bytes: (count) => {
        counters.receivedBytes += count;
        view.bytes(count);
      },
      received: (commit) => view.received(commit),
      applied: () => {
        counters.applied++;
        this.#unpublished = undefined;
        view.reportSoon();
        if (this.#open === undefined) return true; // the first copy is whole
        this.#parts.changed("streaming");
        return false;
      },
      heartbeat: (beat, asOf) => {
        view.heartbeat(beat, asOf);
        const { index } = this.#open ?? {};
        const at = this.#position;
        if (index === undefined || at === undefined || beat.txid !== at.txid) return;
        if (beat.epoch === at.epoch && sameWords(beat.hash, index.hash)) {
          return this.#parts.changed("streaming");
        }
        throw new LiveError("position_gone", "The upstream has another content at this position");
      },
    };
  }

  /** An upstream that has nothing newer is streaming at once, else from the first answer on. */
  #stateAt({ epoch, txid }: Hello): State {
    if (this.#open === undefined) return "copying";
    const at = this.#position;
    return at?.epoch === epoch && txid <= at.txid ? "streaming" : "catching-up";
  }

  /** fsyncs the log now and then, so that the upstream learns what would survive a power cut. */
  #makeDurable(open: OpenReplica): void {
    const at = this.#position;
    if (this.#sync.busy || at === undefined || this.#parts.view.durable >= at.txid) return;
    void this.#syncLog(open, at);
  }

  async #syncLog(open: OpenReplica, at: Position): Promise<void> {
    try {
      await this.#sync.watch(() => open.handle.wal.sync());
      this.#syncError = undefined;
      this.#parts.view.durableAt(at.txid, at.epoch);
    } catch (error) {
      if (!(error instanceof LiveError)) throw error; // a bug
      if (this.#open !== open) return; // closed meanwhile
      if (this.#syncError === undefined) this.#env.log.warn(error.message);
      this.#syncError = error.message;
    }
  }
}

type Next = Pick<Commit, "epoch" | "txid" | "hash">;

/** Bytes, or undefined if there is no file. */
function fileSize(path: string): number | undefined {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new LiveError("forbidden", `Cannot look at "${path}": ${messageOf(error)}`);
  }
}
