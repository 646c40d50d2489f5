/**
 * Every database of a config: start, one slow timer for all, another config, status, stop. May
 * import: base/, sqlite/{places,process,watch}, changes/, node/.
 * @module
 */
import type { Env } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import { lookForMoves } from "../sqlite/places.ts";
import { LOWER_PRIORITY, processorTime, trim, watchdog } from "../sqlite/process.ts";
import { SqliteWatch } from "../sqlite/watch.ts";
import { type Connect, Database } from "./database.ts";
import { type DatabaseOptions, DEFAULT_SELF_CHECK_BYTES, type NodeOptions } from "./options.ts";
import { SelfChecks } from "./file_checks.ts";
import { GiveWay } from "./give_way.ts";
import type { NodeStatus } from "./status.ts";
import { Pulse } from "./pulse.ts";
import { Starved } from "./starved.ts";
import { Waker } from "./waker.ts";

/** A node whose event loop stands still for so long ends itself. */
const WATCHDOG_S = 15;
/** V8 collects what is left of a large work within half a minute. */
const TRIM_MS = 60_000;
const DRAIN_LOOK_MS = 10;

/** A database while it runs. */
interface Running {
  readonly leave: AbortController;
  /** Resolves when it has stopped. */
  readonly done: Promise<void>;
}

/** What a new config changes, by path. */
export interface Reloaded {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Stopped and started again with other options. */
  readonly changed: readonly string[];
}

export class Node {
  readonly #connect: Connect;
  readonly #env: Env;
  readonly #waker: Waker;
  readonly #pulse: Pulse;
  readonly #version: string;
  readonly #started: number;
  #databases: readonly Database[];
  #byPath: ReadonlyMap<string, Database>;
  readonly #running = new Map<Database, Running>();
  readonly #selfChecks: SelfChecks;
  readonly #starved: Starved;
  #trimAt: number;
  readonly #giveWay: GiveWay | undefined;
  #bug: (error: unknown) => void = () => {};
  #signal: AbortSignal | undefined;

  constructor(options: NodeOptions, connect: Connect, version: string, env: Env) {
    this.#connect = connect;
    this.#env = env;
    this.#version = version;
    this.#started = env.clock.monotonic();
    this.#trimAt = this.#started + TRIM_MS;
    this.#pulse = new Pulse(env.clock, () => this.#tick(), () => this.#check());
    this.#waker = new Waker(() => new SqliteWatch(), env.log, () => this.#stirred());
    this.#selfChecks = new SelfChecks(options.selfCheckBytes ?? DEFAULT_SELF_CHECK_BYTES);
    this.#starved = new Starved(env, () => processorTime()?.waited);
    if (options.giveWay) this.#giveWay = new GiveWay(env, LOWER_PRIORITY, processorTime);
    this.#databases = options.databases.map((database) => this.#make(database));
    this.#byPath = byPath(this.#databases);
  }

  /** In the order of the config. */
  get databases(): readonly Database[] {
    return this.#databases;
  }

  /** Paths are as they were written. */
  get byPath(): ReadonlyMap<string, Database> {
    return this.#byPath;
  }

  /** Runs until `signal` aborts and everything has stopped. */
  async run(signal: AbortSignal): Promise<void> {
    this.#pulse.start();
    this.#signal = signal;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#bug = reject;
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
    for (const database of this.#databases) this.#start(database, signal);
    try {
      await promise;
      await Promise.all([...this.#running.values()].map(({ done }) => done));
    } finally {
      this.#pulse.stop();
      this.#giveWay?.stop();
      await this.#waker.stop();
      watchdog(0);
    }
  }

  /** What a node at rest used does not count in how busy it is from now on. */
  #stirred(): void {
    if (this.#pulse.hurry()) this.#giveWay?.look();
  }

  #tick(): boolean {
    watchdog(WATCHDOG_S);
    let soon = this.#giveWay?.look() ?? false;
    this.#databases.forEach((database) => {
      if (database.tick()) soon = true;
    });
    return soon;
  }

  #check(): void {
    this.#starved.look();
    lookForMoves();
    const now = this.#env.clock.monotonic();
    this.#databases.forEach((database) => database.check(now));
    this.#trim(now);
    this.#selfChecks.step(this.#databases).catch((error) => this.#bug(error));
  }

  #trim(now: number): void {
    if (now < this.#trimAt) return;
    this.#trimAt = now + TRIM_MS;
    void trim();
  }

  /**
   * Goes on with these databases instead, while run() runs. What is the same in both is not touched;
   * what is not named any more gives its files and locks up.
   */
  async reload(wanted: readonly DatabaseOptions[]): Promise<Reloaded> {
    const signal = this.#signal!;
    const kept = (options: DatabaseOptions): Database | undefined =>
      this.#databases.find((database) => sameOptions(database.options, options));
    const before = this.#databases.map(({ options }) => options.path);
    const next = wanted.map((options) => kept(options) ?? this.#make(options));
    const gone = this.#databases.filter((database) => !next.includes(database));
    const fresh = next.filter((database) => !this.#databases.includes(database));
    this.#databases = next;
    this.#byPath = byPath(next);
    await Promise.all(gone.map((database) => this.#end(database)));
    for (const database of fresh) this.#start(database, signal);
    const paths = (databases: readonly Database[]): string[] =>
      databases.map(({ options }) => options.path);
    const changed = paths(fresh).filter((path) => before.includes(path));
    return {
      added: paths(fresh).filter((path) => !changed.includes(path)),
      removed: paths(gone).filter((path) => !changed.includes(path)),
      changed,
    };
  }

  /** Why an application would not find its replicas, a sentence; undefined once all can be read. */
  unreadable(): string | undefined {
    for (const database of this.#databases) {
      const { path, role, readable, state, reason } = database.status();
      if (role === "primary" || readable) continue;
      return `"${path}" is ${state}${reason === undefined ? "" : `: ${reason}`}`;
    }
    return undefined;
  }

  /** Until every connected replica has received what is committed now, or `limitMs` have passed. */
  async drain(limitMs: number): Promise<boolean> {
    const { clock } = this.#env;
    const until = clock.monotonic() + limitMs;
    for (const database of this.#databases) database.newest();
    while (!this.#databases.every((database) => database.drained())) {
      if (clock.monotonic() >= until) return false;
      await clock.sleep(DRAIN_LOOK_MS);
    }
    return true;
  }

  #make(options: DatabaseOptions): Database {
    return new Database(options, this.#connect, this.#waker, this.#env);
  }

  #start(database: Database, signal: AbortSignal): void {
    const leave = new AbortController();
    const done = database.run(AbortSignal.any([signal, leave.signal]));
    done.catch((error) => this.#bug(error)); // run() throws it
    this.#running.set(database, { leave, done });
  }

  async #end(database: Database): Promise<void> {
    const running = this.#running.get(database)!;
    running.leave.abort();
    await running.done;
    await database.close();
    this.#running.delete(database);
  }

  /** Paths are compared as written. @throws {LiveError} "not_found". */
  database(path: string): Database {
    const found = this.#byPath.get(path);
    if (found !== undefined) return found;
    throw new LiveError("not_found", "No database of this path is served here");
  }

  status(): NodeStatus {
    const { waitedMs } = this.#starved;
    const givesWay = this.#giveWay?.giving;
    return {
      version: this.#version,
      pid: Deno.pid,
      uptimeMs: Math.round(this.#env.clock.monotonic() - this.#started),
      ...(waitedMs === undefined ? {} : { processorWaitMs: Math.round(waitedMs) }),
      ...(givesWay === undefined ? {} : { givesWay }),
      databases: this.#databases.map((database) => database.status()),
    };
  }
}

function byPath(databases: readonly Database[]): ReadonlyMap<string, Database> {
  return new Map(databases.map((database) => [database.options.path, database]));
}

/** Both come from the same parser, which writes their keys in one order. */
function sameOptions(a: DatabaseOptions, b: DatabaseOptions): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
