/**
 * Every database of a config: start, one slow timer for all, status, stop. May import: base/,
 * sqlite/process, sqlite/watch, changes/, node/.
 * @module
 */
import type { Env } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import { watchdog } from "../sqlite/process.ts";
import { SqliteWatch } from "../sqlite/watch.ts";
import { type Connect, Database } from "./database.ts";
import type { NodeOptions } from "./options.ts";
import type { NodeStatus } from "./status.ts";
import { Waker } from "./waker.ts";

/** For what no commit starts: checkpoints that are due, and commits that nobody told of. */
const TICK_MS = 250;
const TICKS_PER_CHECK = 4;
/** A node whose event loop stands still for so long ends itself. */
const WATCHDOG_S = 15;

export class Node {
  readonly databases: readonly Database[];
  readonly #env: Env;
  readonly #waker: Waker;
  readonly #version: string;
  readonly #started: number;

  constructor(options: NodeOptions, connect: Connect, version: string, env: Env) {
    this.#env = env;
    this.#version = version;
    this.#started = env.clock.monotonic();
    const waker = new Waker(() => new SqliteWatch(), env.log);
    this.#waker = waker;
    this.databases = options.databases.map((database) => {
      return new Database(database, connect, waker, env);
    });
  }

  /** Runs until `signal` aborts and everything has stopped. */
  async run(signal: AbortSignal): Promise<void> {
    let ticks = 0;
    let cancel = (): void => {};
    const tick = (): void => {
      watchdog(WATCHDOG_S);
      for (const database of this.databases) database.tick();
      if (++ticks % TICKS_PER_CHECK === 0) {
        for (const database of this.databases) database.check();
      }
      cancel = this.#env.clock.after(TICK_MS, tick);
    };
    tick();
    try {
      await Promise.all(this.databases.map((database) => database.run(signal)));
    } finally {
      cancel();
      await this.#waker.stop();
      watchdog(0);
    }
  }

  /** Paths are compared as written. @throws {LiveError} "not_found". */
  database(path: string): Database {
    const found = this.databases.find((database) => database.options.path === path);
    if (found !== undefined) return found;
    throw new LiveError("not_found", "No database of this path is served here");
  }

  status(): NodeStatus {
    return {
      version: this.#version,
      pid: Deno.pid,
      uptimeMs: Math.round(this.#env.clock.monotonic() - this.#started),
      databases: this.databases.map((database) => database.status()),
    };
  }
}
