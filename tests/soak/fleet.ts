/**
 * The four nodes and the links between them: each node's databases in a folder of its own, two of them
 * on small file systems that can be filled. May import: tests/support, tests/soak/{ledger,schedule}.
 * @module
 */
import { type DatabaseConfig, LiveNode } from "../support/node.ts";
import { sleep } from "../support/process.ts";
import { TcpProxy } from "../support/proxy_tcp.ts";
import type { Ledger } from "./ledger.ts";
import { type NodeName, NODES, SMALL_DISKS, UPSTREAM } from "./schedule.ts";

/** Room for the database, the longest log and what the nemesis leaves free. */
const SMALL_DISK_BYTES = 400 * 1024 * 1024;
const FILL_CHUNK_BYTES = 1024 * 1024;
const SHOWN_LINES = 25;
/** What a node logs when something was thrown that nobody expected. */
const BUGS: readonly string[] = ["a bug, stopping", "a request failed"];

interface LogLine {
  readonly level?: string;
  readonly message: string;
  readonly code?: string | number;
  readonly reason?: string;
  readonly error?: string;
  readonly stack?: string;
}

export interface FleetOptions {
  readonly folder: string;
  readonly executable: string;
  readonly smallDisks: boolean;
  readonly ledger: Ledger;
}

/** One node with its database, and the proxy between it and its upstream. */
export class Member implements AsyncDisposable {
  readonly folder: string;
  readonly path: string;
  /** Of its second database (quiet.ts). */
  readonly quietPath: string;
  readonly node: LiveNode;
  /** Undefined for the primary. */
  readonly proxy: TcpProxy | undefined;
  frozen = false;
  #expectsEnd = true;
  readonly #options: FleetOptions;

  constructor(readonly name: NodeName, options: FleetOptions, upstream: Member | undefined) {
    this.#options = options;
    this.folder = `${options.folder}/${name}`;
    this.path = `${this.folder}/app.db`;
    this.quietPath = `${this.folder}/quiet.db`;
    this.proxy = upstream && proxyTo(upstream);
    const url = this.proxy?.url;
    const dbOf = (which: "path" | "quietPath"): DatabaseConfig => ({
      path: this[which],
      ...(url === undefined ? {} : { upstream: { url, path: upstream![which] } }),
    });
    this.node = new LiveNode(`${options.folder}/${name}.yml`, name, {
      dbs: [dbOf("path"), dbOf("quietPath")],
      "log-level": "debug",
    });
  }

  get running(): boolean {
    return !this.#expectsEnd;
  }

  get pid(): number {
    return this.node.child.pid;
  }

  start(): void {
    this.#expectsEnd = false;
    this.frozen = false;
    this.node.start({ executable: this.#options.executable });
    const { child } = this.node;
    const { onLine } = child.stderr;
    child.stderr.onLine = (line) => {
      onLine(line);
      this.#complaint(line);
    };
    void child.exited.then(({ code, signal }) => {
      if (this.#expectsEnd || this.node.child !== child) return;
      this.#expectsEnd = true;
      const log = this.node.log.slice(-SHOWN_LINES).join("\n    ");
      this.#options.ledger.violation(
        `node ${this.name} ended by itself with ${signal ?? `code ${code}`}:\n    ${log}`,
      );
    });
  }

  async kill(): Promise<void> {
    this.#expectsEnd = true;
    await this.node.kill();
  }

  /** SIGTERM; must end by itself. */
  async stop(): Promise<void> {
    this.#expectsEnd = true;
    await this.node.stop();
  }

  freeze(): void {
    this.frozen = true;
    this.node.pause();
  }

  thaw(): void {
    this.frozen = false;
    this.node.resume();
  }

  /** Writes until not a block is free; returns what gives the space back. */
  async fillDisk(): Promise<() => Promise<void>> {
    const filler = `${this.folder}/filler`;
    using file = await Deno.open(filler, { create: true, write: true });
    for (let chunk = FILL_CHUNK_BYTES; chunk >= 512;) {
      try {
        for (let done = 0; done < chunk;) done += await file.write(new Uint8Array(chunk - done));
      } catch { // full
        chunk /= 2;
      }
    }
    return () => Deno.remove(filler);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running || this.frozen) await this.kill();
    await this.proxy?.[Symbol.asyncDispose]();
  }

  /** Warnings and errors are counted: some are what a fault must lead to. A bug is one anyhow. */
  #complaint(line: string): void {
    const { ledger } = this.#options;
    const { level, message, code, reason, error, stack }: LogLine = line.startsWith("{")
      ? JSON.parse(line)
      : { level: "error", message: line };
    if (level !== "warn" && level !== "error") return;
    if (BUGS.includes(message)) {
      ledger.violation(`${this.name}: ${message}: ${error}\n${stack}`);
    }
    const what = `log of ${this.name}: ${message}${code === undefined ? "" : ` (${code})`}`;
    ledger.event(`${what} ${reason ?? error ?? ""}`);
    ledger.count(what);
  }
}

function proxyTo({ node }: Member): TcpProxy {
  return new TcpProxy(() => {
    const { hostname, port } = new URL(node.url);
    return { hostname, port: Number(port) };
  });
}

export class Fleet implements AsyncDisposable {
  readonly members: ReadonlyMap<NodeName, Member>;

  private constructor(members: ReadonlyMap<NodeName, Member>) {
    this.members = members;
  }

  static async create(options: FleetOptions): Promise<Fleet> {
    const members = new Map<NodeName, Member>();
    for (const name of NODES) {
      const upstream = name === "primary" ? undefined : members.get(UPSTREAM[name]);
      const member = new Member(name, options, upstream);
      await Deno.mkdir(member.folder);
      if (options.smallDisks && SMALL_DISKS.includes(name)) await mountSmall(member.folder);
      members.set(name, member);
    }
    return new Fleet(members);
  }

  get all(): readonly Member[] {
    return [...this.members.values()];
  }

  get primary(): Member {
    return this.get("primary");
  }

  get(name: NodeName): Member {
    return this.members.get(name)!;
  }

  get replicas(): readonly Member[] {
    return this.all.filter(({ name }) => name !== "primary");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.all.map((member) => member[Symbol.asyncDispose]()));
  }
}

/** True in a mount namespace of our own: see main.ts. */
export async function mountSmall(folder: string): Promise<void> {
  const { code, stderr } = await new Deno.Command("mount", {
    args: ["-t", "tmpfs", "-o", `size=${SMALL_DISK_BYTES}`, "soak", folder],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (code !== 0) throw new Error(`Cannot mount ${folder}: ${new TextDecoder().decode(stderr)}`);
}

/** @throws {Error} if it is still mounted after some tries. */
export async function unmountSmall(folder: string): Promise<void> {
  for (let tries = 0;; tries++) {
    const { code, stderr } = await new Deno.Command("umount", {
      args: [folder],
      stdout: "null",
      stderr: "piped",
    }).output();
    if (code === 0) return;
    if (tries === 20) throw new Error(new TextDecoder().decode(stderr));
    await sleep(100);
  }
}
