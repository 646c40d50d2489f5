/**
 * One test's directory and processes, gone when it ends; its nodes' logs shown when it fails.
 * May import: tests/support.
 * @module
 */
import { App, type AppOptions } from "./app.ts";
import { LiveNode, type NodeConfig } from "./node.ts";
import { within } from "./process.ts";

const SHOWN_LINES = 60;

export class Scope {
  readonly #owned: AsyncDisposable[] = [];
  readonly nodes: LiveNode[] = [];

  constructor(readonly folder: string) {}

  /** A path in this test's directory; its own directory is made. */
  async path(name: string): Promise<string> {
    const path = `${this.folder}/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    return path;
  }

  async app(options: AppOptions = {}): Promise<App> {
    const app = this.own(new App(options));
    await app.version(); // it runs
    return app;
  }

  /** An application with `path` open as "main". */
  async open(path: string, options: AppOptions = {}): Promise<App> {
    const app = await this.app(options);
    await app.open(path);
    return app;
  }

  /** A node that is not started yet. */
  node(name: string, config: NodeConfig): LiveNode {
    const node = this.own(new LiveNode(`${this.folder}/${name}.yml`, name, config));
    this.nodes.push(node);
    return node;
  }

  /** A node that is started and, unless `ready` is false, healthy. */
  async start(name: string, config: NodeConfig, ready = true): Promise<LiveNode> {
    const node = this.node(name, config);
    node.start();
    if (ready) await node.healthy();
    return node;
  }

  own<T extends AsyncDisposable>(thing: T): T {
    this.#owned.push(thing);
    return thing;
  }

  logs(): string {
    return this.nodes.map((node) => {
      const lines = node.log.slice(-SHOWN_LINES);
      return `--- ${node.name}, last ${lines.length} lines\n${lines.join("\n")}`;
    }).join("\n");
  }

  async end(): Promise<void> {
    await Promise.allSettled(this.#owned.map((thing) => thing[Symbol.asyncDispose]()));
    await Deno.remove(this.folder, { recursive: true });
  }
}

export interface TestOptions {
  /** The test fails after this, ms. */
  readonly limitMs?: number;
  readonly ignore?: boolean;
}

/** Deno.test() with a Scope. */
export function scopedTest(
  name: string,
  work: (scope: Scope, t: Deno.TestContext) => Promise<void>,
  options: TestOptions = {},
): void {
  const { limitMs = 180_000, ignore = false } = options;
  Deno.test({
    name,
    ignore,
    sanitizeOps: true,
    sanitizeResources: true,
    async fn(t) {
      const scope = new Scope(await Deno.makeTempDir({ prefix: "litestream-live-" }));
      try {
        await within(limitMs, work(scope, t), () => "the test still runs");
      } catch (error) {
        // deno-lint-ignore no-console
        console.error(scope.logs());
        throw error;
      } finally {
        await scope.end();
      }
    },
  });
}
