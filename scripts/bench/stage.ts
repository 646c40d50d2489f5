/**
 * Where one run of a work happens: a folder of its own, nodes from the executable, the application
 * and readers in Python. All of it is gone when it ends. May import: scripts/bench/helper,
 * tests/support.
 * @module
 */
import { fileURLToPath } from "node:url";
import type { DatabaseConfig, LiveNode } from "../../tests/support/node.ts";
import { Scope } from "../../tests/support/scope.ts";
import { ScriptError } from "../tools.ts";
import { Helper } from "./helper.ts";

const APP = fileURLToPath(new URL("app.py", import.meta.url));
const READY_LIMIT_MS = 120_000;

export interface StageOptions {
  /** Of the large database, bytes. */
  readonly largeBytes: number;
  /** Of each timed part. */
  readonly seconds: number;
  /** Default: what the build makes. */
  readonly executable?: string;
  /** Litestream 0.5, to be measured beside ours. */
  readonly litestream?: string;
  /** A small form, of a second, that only shows that the work still works. */
  readonly quick: boolean;
}

export interface Pair {
  readonly source: string;
  readonly copy: string;
  readonly primary: LiveNode;
  readonly replica: LiveNode;
}

export interface Commit {
  readonly id: number;
  /** CLOCK_MONOTONIC, just before COMMIT and just after it has returned. */
  readonly beganNs: number;
  readonly ns: number;
}

export class Stage {
  readonly #scope: Scope;

  constructor(folder: string, readonly options: StageOptions) {
    this.#scope = new Scope(folder);
  }

  /** A command of app.py; see there. */
  helper(command: string, options: Readonly<Record<string, unknown>>): Helper {
    return this.#scope.own(new Helper(command, APP, [command, JSON.stringify(options)]));
  }

  /** A database of about `bytes` in a folder of its own; random, or text that compresses. */
  async database(name: string, bytes = 0, content: "random" | "text" = "random"): Promise<string> {
    const path = await this.#scope.path(`${name}/app.db`);
    await this.helper("make", { paths: [path], bytes, content }).next("made", 1_800_000);
    return path;
  }

  /** A path in a folder of its own, where nothing is yet. */
  async path(name: string): Promise<string> {
    return await this.#scope.path(`${name}/app.db`);
  }

  /** A primary that is not started. */
  primary(name: string, path: string): LiveNode {
    return this.node(name, [{ path }]);
  }

  /** A replica that is not started. */
  replica(name: string, path: string, upstream: LiveNode, upstreamPath: string): LiveNode {
    return this.node(name, [{ path, upstream: { url: upstream.url, path: upstreamPath } }]);
  }

  /** A node of any databases that is not started. */
  node(name: string, dbs: readonly DatabaseConfig[]): LiveNode {
    const node = this.#scope.node(name, { dbs });
    if (this.options.executable !== undefined) node.executable = this.options.executable;
    return node;
  }

  /** Starts it, and waits until all its databases are live. */
  async ready(node: LiveNode): Promise<void> {
    node.start();
    await node.healthy(READY_LIMIT_MS);
  }

  /** Ends with the stage. */
  own<T extends AsyncDisposable>(thing: T): T {
    return this.#scope.own(thing);
  }

  /** A database, a primary and a replica that is live. */
  async pair(name: string, bytes = 0): Promise<Pair> {
    const source = await this.database(`${name}-source`, bytes);
    const copy = await this.path(`${name}-copy`);
    const primary = this.primary(`${name}-primary`, source);
    const replica = this.replica(`${name}-replica`, copy, primary, source);
    for (const node of [primary, replica]) await this.ready(node);
    return { source, copy, primary, replica };
  }

  async watch(path: string, options: Readonly<Record<string, unknown>> = {}): Promise<Helper> {
    const watcher = this.helper("watch", { path, ...options });
    await watcher.next("watching");
    return watcher;
  }

  /**
   * Sees an id when the last of `paths` has it. A look each 0.1 ms: one that spins would take a core
   * from the processes it waits for.
   */
  async watchAll(paths: readonly string[], until: number): Promise<Helper> {
    const watcher = this.helper("watch_all", { paths, until, pause_ms: 0.1 });
    await watcher.next("watching");
    return watcher;
  }

  logs(): string {
    return this.#scope.logs();
  }

  async end(): Promise<void> {
    await this.#scope.end();
  }
}

/** Makes an application that holds a connection commit: "touch 100" (pages), "add 1000000" (bytes). */
export async function commit(holder: Helper, command: string): Promise<Commit> {
  await holder.tell(command);
  const { id, began_ns, ns } = await holder.next("committed", 120_000);
  return { id: Number(id), beganNs: Number(began_ns), ns: Number(ns) };
}

/** When a live watcher saw `id` or newer, CLOCK_MONOTONIC. */
export async function seen(watcher: Helper, id: number, limitMs = 60_000): Promise<number> {
  for (;;) {
    const sighting = await watcher.next("seen", limitMs);
    if (Number(sighting["id"]) >= id) return Number(sighting["ns"]);
  }
}

/** Replica and primary agree on position and content, by the hash that both keep. */
export async function sameContent({ primary, replica }: Pair, limitMs = 15_000): Promise<void> {
  const ours = await primary.database();
  const theirs = await replica.until(
    `is at ${ours.txid}`,
    ({ txid, state }) => txid === ours.txid && state === "streaming",
    { limitMs },
  );
  if (ours.hash !== undefined && theirs.hash === ours.hash) return;
  throw new ScriptError(`the copy differs: hash ${ours.hash} and ${theirs.hash}`);
}
