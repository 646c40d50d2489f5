/**
 * The demo's nodes: a primary, a replica of it and a replica of the replica, each started from the
 * executable with a config file as a user writes it. May import: scripts/build (path),
 * scripts/tools, tests/support.
 * @module
 */
import { freePort } from "../../tests/support/node.ts";
import { Child, eventually } from "../../tests/support/process.ts";
import { EXECUTABLE } from "../build.ts";
import { ScriptError } from "../tools.ts";

const SHOWN_LINES = 20;
const HEALTHY_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 10_000;

/** Ctrl-C signals all that runs on the terminal; in a session of its own a node stops when told. */
const OWN_SESSION = "import os, sys; os.setsid(); os.execv(sys.argv[1], sys.argv[1:])";

export class DemoNode implements AsyncDisposable {
  readonly #port = freePort();
  readonly path: string;
  readonly configPath: string;
  #child: Child | undefined;
  #stopping = false;

  constructor(readonly name: string, folder: string, readonly upstream?: DemoNode) {
    this.path = `${folder}/${name}/shop.db`;
    this.configPath = `${folder}/${name}.yml`;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** As it stands in the config file. */
  yaml(): string {
    const lines = [`addr: 127.0.0.1:${this.#port}`, "dbs:", `  - path: ${quoted(this.path)}`];
    if (this.upstream !== undefined) {
      lines.push(
        "    upstream:",
        `      url: ${this.upstream.url}`,
        `      path: ${quoted(this.upstream.path)}`,
      );
    }
    return `${lines.join("\n")}\n`;
  }

  async prepare(): Promise<void> {
    await Deno.mkdir(this.path.slice(0, this.path.lastIndexOf("/")));
    await Deno.writeTextFile(this.configPath, this.yaml());
  }

  /** Starts it; `died` is called if it ends before stop(). */
  start(died: (error: ScriptError) => void): void {
    const child = new Child({
      program: "python3",
      args: ["-c", OWN_SESSION, EXECUTABLE, "replicate", "-config", this.configPath],
    });
    this.#child = child;
    void child.exited.then(({ code, signal }) => {
      if (this.#stopping) return;
      died(new ScriptError(`${this.name} has ended (${signal ?? `code ${code}`})\n${this.tail()}`));
    });
  }

  /** Waits until GET /health is 200: a replica then has its copy and is live. */
  async healthy(): Promise<void> {
    try {
      await eventually(`${this.name} is healthy`, async () => {
        const response = await fetch(`${this.url}/health`, { signal: AbortSignal.timeout(2000) });
        const text = await response.text();
        if (response.status !== 200) throw new Error(text);
        return true;
      }, HEALTHY_LIMIT_MS);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new ScriptError(`${reason}\n${this.tail()}`);
    }
  }

  /** SIGTERM. @throws {ScriptError} if it does not end by itself with code 0. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child === undefined) return;
    child.signal("SIGTERM");
    const exit = await child.wait(STOP_LIMIT_MS).catch(() => undefined);
    if (exit?.code === 0) return;
    const how = exit === undefined
      ? `did not stop within ${STOP_LIMIT_MS / 1000} s`
      : `stopped with ${exit.signal ?? `code ${exit.code}`}`;
    throw new ScriptError(`${this.name} ${how}\n${this.tail()}`);
  }

  /** The end of its log. */
  tail(): string {
    const lines = this.#child?.stderr.kept.slice(-SHOWN_LINES) ?? [];
    return [`the log of ${this.name} ends with:`, ...lines].join("\n  ");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    await this.#child?.kill();
  }
}

/** As a YAML scalar: most paths need no quotes. */
export function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : JSON.stringify(path);
}
