/**
 * All that runs during the demo, in a folder of its own: nodes, the application, a reader of each
 * copy. Owns them: end() leaves nothing behind. May import: scripts/bench, scripts/demo,
 * tests/support.
 * @module
 */
import { fileURLToPath } from "node:url";
import { eventually } from "../../tests/support/process.ts";
import { Helper } from "../bench/helper.ts";
import { ScriptError } from "../tools.ts";
import { DemoNode } from "./cluster.ts";
import { Lag } from "../bench/lag.ts";
import type { View } from "./view.ts";

const APP = fileURLToPath(new URL("app.py", import.meta.url));

class Copy {
  readonly lag = new Lag();
  reader: Helper | undefined;
  constructor(readonly node: DemoNode) {}
}

export class Shop {
  readonly primary: DemoNode;
  readonly copies: readonly Copy[];
  /** Orders written since the demo began. */
  written = 0;
  /** Rejects as soon as anything that must run has ended. */
  readonly died: Promise<never>;
  readonly #reject: (error: ScriptError) => void;
  readonly #owned: AsyncDisposable[] = [];
  #writer: Helper | undefined;
  #ending = false;

  constructor(readonly folder: string) {
    this.primary = this.#own(new DemoNode("primary", folder));
    const replica = this.#own(new DemoNode("replica", folder, this.primary));
    const replica2 = this.#own(new DemoNode("replica2", folder, replica));
    this.copies = [new Copy(replica), new Copy(replica2)];
    const died = Promise.withResolvers<never>();
    died.promise.catch(() => {}); // looked at when somebody waits
    this.died = died.promise;
    this.#reject = died.reject;
  }

  #own<T extends AsyncDisposable>(thing: T): T {
    this.#owned.push(thing);
    return thing;
  }

  get nodes(): readonly DemoNode[] {
    return [this.primary, ...this.copies.map(({ node }) => node)];
  }

  #helper(name: string, command: string, path: string): Helper {
    const helper = this.#own(new Helper(name, APP, [command, path]));
    void helper.child.exited.then(({ code }) => {
      if (!this.#ending && code !== 0) this.#reject(new ScriptError(helper.ending()));
    });
    return helper;
  }

  /** The database, the nodes and the readers; nobody writes yet. */
  async start(): Promise<void> {
    for (const node of this.nodes) await node.prepare();
    const maker = this.#helper("the program that makes the database", "create", this.primary.path);
    await maker.next("created");
    for (const node of this.nodes) node.start(this.#reject);
    for (const node of this.nodes) await node.healthy();
    for (const copy of this.copies) {
      const { name, path } = copy.node;
      copy.reader = this.#helper(`the reader of ${name}`, "read", path);
      copy.reader.on("seen", ({ id, ns }) => copy.lag.seen(Number(id), Number(ns)));
      await copy.reader.next("reading");
    }
  }

  openForOrders(): void {
    this.#writer = this.#helper("the application", "write", this.primary.path);
    this.#writer.on("order", ({ id, ns }) => {
      this.written++;
      for (const { lag } of this.copies) lag.committed(Number(id), Number(ns));
    });
  }

  /** No more orders; what is committed may still be on its way. */
  async close(): Promise<void> {
    await this.#writer?.tell("stop");
    await this.#writer?.next("stopped", 10_000);
  }

  /** Waits until the readers have seen every order. @throws {Error} after `limitMs`. */
  async settled(limitMs: number): Promise<void> {
    for (const { node, lag } of this.copies) {
      await eventually(
        `${node.name} has every order`,
        () => lag.missing === 0 || undefined,
        limitMs,
      );
    }
  }

  /** Ends readers and nodes as an operator would. @throws {ScriptError} if a node does not end well. */
  async stop(): Promise<void> {
    for (const { reader } of this.copies) {
      await reader?.tell("stop");
      await reader?.child.wait(10_000);
    }
    for (const node of [...this.nodes].reverse()) await node.stop();
  }

  view(seconds: number, doing: string): View {
    const copies = this.copies.map(({ node: { name }, lag }) => ({
      name,
      rows: lag.count,
      last: lag.last,
      p50: lag.percentile(50),
      p99: lag.percentile(99),
      max: lag.max,
    }));
    return { seconds, written: this.written, copies, doing };
  }

  /** Whatever still runs is killed and the folder removed. */
  async end(): Promise<void> {
    this.#ending = true;
    await Promise.allSettled(this.#owned.map((thing) => thing[Symbol.asyncDispose]()));
    await Deno.remove(this.folder, { recursive: true });
  }
}
