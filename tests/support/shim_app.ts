/**
 * A handle on tests/fault/shim_app.py: applications and readers of many databases whose content follows
 * from the number of their commits. May import: tests/support.
 * @module
 */
import { fileURLToPath } from "node:url";
import type { Comparison } from "./content.ts";
import { Child, within } from "./process.ts";

const PROGRAM = fileURLToPath(new URL("../fault/shim_app.py", import.meta.url));
const LIMIT_MS = 60_000;

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

export interface Opened {
  readonly n: number;
  /** Transactions of this writer so far, the one that made the tables counted. */
  readonly commits: number;
}

export interface WorkReport {
  readonly n: Readonly<Record<string, number>>;
  readonly commits: Readonly<Record<string, number>>;
  readonly errors: readonly string[];
}

export interface WatchReport {
  readonly reads: number;
  /** How often n was less than at the read before. */
  readonly back: number;
  readonly n: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
}

export class ShimApp implements AsyncDisposable {
  readonly child: Child;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #nextId = 1;

  constructor(env: Readonly<Record<string, string>> = {}) {
    this.child = new Child({ program: "python3", args: ["-B", PROGRAM], env, stdin: "piped" });
    this.child.stdout.onLine = (line) => {
      const answer: Answer = JSON.parse(line);
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    };
  }

  async #ask(what: string, command: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const id = this.#nextId++;
    const reply = Promise.withResolvers<Answer>();
    this.#waiting.set(id, reply.resolve);
    const died = this.child.exited.then((): Answer => {
      return { id, error: `shim_app.py ended: ${this.child.stderr.kept.join("\n")}` };
    });
    await this.child.write(`${JSON.stringify({ ...command, id, do: what })}\n`);
    const first = Promise.race([reply.promise, died]);
    const { error, result } = await within(LIMIT_MS, first, () => `no answer to "${what}"`);
    if (error !== undefined) throw new Error(`"${what}": ${error}`);
    return result;
  }

  async open(
    path: string,
    synchronous: "normal" | "full" = "normal",
    pageSize?: number,
  ): Promise<Opened> {
    const size = pageSize === undefined ? {} : { page_size: pageSize };
    return await this.#ask("open", { path, synchronous, ...size }) as Opened;
  }

  /** Some commits on each; returns the last n of each. */
  async commits(paths: readonly string[], count: number): Promise<Record<string, number>> {
    return await this.#ask("commits", { paths, count }) as Record<string, number>;
  }

  async startWriting(paths: readonly string[], paceMs = 1, vacuum = true): Promise<void> {
    await this.#ask("start", { paths, pace_ms: paceMs, vacuum });
  }

  async stopWriting(): Promise<WorkReport> {
    return await this.#ask("stop") as WorkReport;
  }

  /** Reads all of them again and again, until unwatch(). */
  async watch(paths: readonly string[]): Promise<void> {
    await this.#ask("watch", { paths });
  }

  async unwatch(): Promise<WatchReport> {
    return await this.#ask("unwatch") as WatchReport;
  }

  /** n of each, or what is wrong with it. */
  async states(paths: readonly string[]): Promise<Record<string, number | string>> {
    return await this.#ask("states", { paths }) as Record<string, number | string>;
  }

  /** Each pair page by page, byte 18 of page 1 left out. All must be quiet. */
  async compare(pairs: readonly (readonly [string, string])[]): Promise<Comparison[]> {
    return await this.#ask("compare", { pairs }) as Comparison[];
  }

  async close(paths: readonly string[]): Promise<void> {
    await this.#ask("close", { paths });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.kill();
  }
}
