/**
 * dist/litestream-live as a process of its own: config written to YAML, started with an empty
 * environment, asked over HTTP. May import: tests/support, src/node/status (types).
 * @module
 */
import { fileURLToPath } from "node:url";
import { parseTxid } from "../../src/base/types.ts";
import type { DatabaseStatus, NodeStatus } from "../../src/node/status.ts";
import { Child, eventually, type Exit } from "./process.ts";

export const EXECUTABLE = fileURLToPath(new URL("../../dist/litestream-live", import.meta.url));

export interface DatabaseConfig {
  readonly path: string;
  /** A node, or its URL; `path` defaults to this database's. */
  readonly upstream?: {
    readonly url: string | readonly string[];
    readonly path?: string;
    readonly token?: string;
    readonly [key: string]: string | readonly string[] | undefined;
  };
  /** Any other key, as it stands in the YAML. */
  readonly [key: string]: unknown;
}

export interface NodeConfig {
  readonly dbs: readonly DatabaseConfig[];
  /** Default: a free port of 127.0.0.1. null: no addr. */
  readonly addr?: string | null;
  readonly token?: string;
  /** Any other top-level key. */
  readonly [key: string]: unknown;
}

export interface Posted {
  readonly status: number;
  readonly message?: string;
  readonly result?: string;
  /** "epoch/txid" */
  readonly position?: string;
  readonly parent?: string;
  readonly next?: readonly string[];
}

export interface StartOptions {
  /** In front of the executable: setpriv, unshare. */
  readonly wrapper?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly executable?: string;
}

/**
 * Below the ports that the system gives to clients, so that nobody takes it while a node is down; and
 * no other test, of any process, for as long as the longest takes.
 */
export function freePort(): number {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) continue;
      throw error;
    }
    if (reserve(port)) return port;
  }
}

const PORTS = "/tmp/litestream-live-test-ports";
const RESERVED_MS = 600_000;

/** False if another test has it. */
function reserve(port: number): boolean {
  const path = `${PORTS}/${port}`;
  Deno.mkdirSync(PORTS, { recursive: true });
  try {
    Deno.openSync(path, { write: true, createNew: true }).close();
    globalThis.addEventListener("unload", () => remove(path));
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  try {
    if (Date.now() - Deno.statSync(path).mtime!.getTime() < RESERVED_MS) return false;
    remove(path); // and one that is quicker may have it
  } catch { /* it is gone */ }
  return false;
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch { /* it is gone */ }
}

export class LiveNode implements AsyncDisposable {
  /** Lines on stderr of all its runs. */
  readonly log: string[] = [];
  /** "host:port" as configured, or as the log said when it was port 0. */
  address: string | undefined;
  /** What start() runs unless it is told another. */
  executable: string = EXECUTABLE;
  readonly #configPath: string;
  #config: NodeConfig;
  #child: Child | undefined;
  #client: Deno.HttpClient | undefined;

  constructor(configPath: string, readonly name: string, config: NodeConfig) {
    this.#configPath = configPath;
    this.#config = config;
    const addr = config.addr === undefined ? `127.0.0.1:${freePort()}` : config.addr;
    this.address = addr === null ? undefined : addr;
  }

  get url(): string {
    return `${this.#config["tls"] === undefined ? "http" : "https"}://${this.address}`;
  }

  /** This test believes certificates of the CA in this PEM file. */
  trust(ca: string): void {
    this.#client?.close();
    this.#client = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(ca)] });
  }

  get child(): Child {
    if (this.#child === undefined) throw new Error(`node ${this.name} was not started`);
    return this.#child;
  }

  get configPath(): string {
    return this.#configPath;
  }

  /** YAML is a superset of JSON, but what users write is tested: plain YAML, values quoted. */
  #yaml(): string {
    const { dbs, addr: _, token, ...others } = this.#config;
    const lines: string[] = [];
    if (this.address !== undefined) lines.push(`addr: ${JSON.stringify(this.address)}`);
    if (token !== undefined) lines.push("auth:", `  token: ${JSON.stringify(token)}`);
    for (const [key, value] of Object.entries({ "log-format": "json", ...others })) {
      lines.push(`${key}: ${JSON.stringify(value)}`);
    }
    lines.push("dbs:");
    for (const { path, upstream, ...rest } of dbs) {
      lines.push(`  - path: ${JSON.stringify(path)}`);
      for (const [key, value] of Object.entries(rest)) {
        lines.push(`    ${key}: ${JSON.stringify(value)}`);
      }
      if (upstream === undefined) continue;
      lines.push("    upstream:");
      for (const [key, value] of Object.entries(upstream)) {
        if (value !== undefined) lines.push(`      ${key}: ${JSON.stringify(value)}`);
      }
    }
    return `${lines.join("\n")}\n`;
  }

  /** The config file alone. */
  write(): void {
    Deno.writeTextFileSync(this.#configPath, this.#yaml());
  }

  start(options: StartOptions = {}): void {
    this.write();
    const command = [
      ...options.wrapper ?? [],
      options.executable ?? this.executable,
      "replicate",
      "-config",
      this.#configPath,
    ];
    this.#child = new Child({
      program: command[0]!,
      args: command.slice(1),
      clearEnv: true,
      env: options.env ?? {},
      cwd: options.cwd ?? "/",
    });
    this.#child.stderr.onLine = (line) => {
      this.log.push(line);
      this.#learnAddress(line);
    };
    this.#child.stdout.onLine = (line) => this.log.push(`stdout: ${line}`);
    void this.#child.exited.then(({ code, signal }) => {
      this.log.push(`exited with ${signal ?? `code ${code}`}`);
    });
  }

  /** Writes another config and lets the node read it. `addr` stays. */
  reload(config: NodeConfig): void {
    this.#config = config;
    this.write();
    this.child.signal("SIGHUP");
  }

  /** Port 0 is chosen by the system and told in the log; a restart takes the same again. */
  #learnAddress(line: string): void {
    if (!this.address?.endsWith(":0") || !line.startsWith("{")) return;
    const entry: { message?: unknown; addr?: unknown } = JSON.parse(line);
    if (entry.message === "listening" && typeof entry.addr === "string") this.address = entry.addr;
  }

  async get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return await fetch(`${this.url}${path}`, {
      headers: { ...headers },
      signal: AbortSignal.timeout(20_000),
      ...(this.#client === undefined ? {} : { client: this.#client }),
    });
  }

  /** Answers of nodes with a token need it; this sends the configured one. */
  async getText(path: string): Promise<{ status: number; text: string }> {
    const token = this.#config.token;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await this.get(path, headers as Readonly<Record<string, string>>);
    return { status: response.status, text: await response.text() };
  }

  /** A POST without a body; its JSON, whatever the status. */
  async post(path: string, query: Readonly<Record<string, string>>): Promise<Posted> {
    const { token } = this.#config;
    const response = await fetch(`${this.url}${path}?${new URLSearchParams({ ...query })}`, {
      method: "POST",
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(20_000),
    });
    return { ...await response.json(), status: response.status };
  }

  async status(): Promise<NodeStatus> {
    const { status, text } = await this.getText("/status");
    if (status !== 200) throw new Error(`GET /status: ${status} ${text}`);
    return withNumbers(JSON.parse(text)) as NodeStatus;
  }

  async database(path?: string): Promise<DatabaseStatus> {
    const { databases } = await this.status();
    const found = databases.find((one) => path === undefined || one.path === path);
    if (found === undefined) throw new Error(`no database ${path} at node ${this.name}`);
    return found;
  }

  async health(): Promise<{ status: number; text: string }> {
    return await this.getText("/health");
  }

  /** Waits until GET /health is 200. */
  async healthy(limitMs?: number): Promise<void> {
    await eventually(`node ${this.name} is healthy`, async () => {
      this.#mustRun();
      const { status, text } = await this.health();
      if (status === 200) return true;
      throw new Error(`${status} ${text}`);
    }, limitMs);
  }

  /** Waits until the database is as `test` says. */
  async until(
    what: string,
    test: (database: DatabaseStatus) => boolean,
    options: { readonly path?: string; readonly limitMs?: number } = {},
  ): Promise<DatabaseStatus> {
    let last: DatabaseStatus | undefined;
    try {
      return await eventually(`node ${this.name}: ${what}`, async () => {
        this.#mustRun();
        last = await this.database(options.path);
        return test(last) ? last : undefined;
      }, options.limitMs);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`${message}\nlast status: ${JSON.stringify(last)}`);
    }
  }

  /** Waits for a line of the log of any of its runs. */
  async logged(pattern: RegExp, limitMs?: number): Promise<string> {
    return await eventually(
      `node ${this.name} logs ${pattern}`,
      () => this.log.find((line) => pattern.test(line)),
      limitMs,
    );
  }

  #mustRun(): void {
    const exit = this.#child?.exit;
    if (exit !== undefined) {
      throw new Error(`node ${this.name} has ended: ${JSON.stringify(exit)}`);
    }
  }

  /** SIGTERM; must end by itself with exit code 0. */
  async stop(): Promise<void> {
    this.child.signal("SIGTERM");
    const exit = await this.child.wait(10_000);
    if (exit.code !== 0) {
      throw new Error(`node ${this.name} did not stop cleanly: ${JSON.stringify(exit)}`);
    }
  }

  async kill(): Promise<Exit> {
    return await this.child.kill();
  }

  pause(): void {
    this.child.signal("SIGSTOP");
  }

  resume(): void {
    this.child.signal("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.kill();
    this.#client?.close();
  }
}

/** Txids stand in JSON as 16 hex digits, in the types of a status as numbers. */
function withNumbers(status: { databases: Readonly<Record<string, unknown>>[] }): unknown {
  const keys = ["txid", "sent", "received", "durable", "applied"];
  const convert = (from: unknown): unknown => {
    const entries = Object.entries(from ?? {});
    return Object.fromEntries(
      entries.map(([key, value]) => [key, keys.includes(key) ? parseTxid(String(value)) : value]),
    );
  };
  const databases = status.databases.map((database) => ({
    ...convert(database) as object,
    ...(database["upstream"] === undefined ? {} : { upstream: convert(database["upstream"]) }),
    replicas: (database["replicas"] as unknown[]).map(convert),
  }));
  return { ...status, databases };
}
