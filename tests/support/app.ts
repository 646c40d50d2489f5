/**
 * A handle on tests/support/app.py: the application or a reader, in a process of its own with stock
 * SQLite. May import: tests/support/process.
 * @module
 */
import { fileURLToPath } from "node:url";
import { Child, within } from "./process.ts";

export type Value = string | number | null | { readonly hex: string };
export type Row = readonly Value[];

/** SQLite's own refusal, with its result code: 5 busy, 8 read-only. */
export class SqlError extends Error {
  override readonly name = "SqlError";
  constructor(readonly code: number, message: string) {
    super(message);
  }
}

export interface AppOptions {
  /** A folder with apsw (support/apsw.ts): use that SQLite instead of the system's. */
  readonly apsw?: string;
}

export interface OpenOptions {
  /** The connection's name, for more than one. */
  readonly as?: string;
  readonly mode?: "ro" | "rw" | "rwc";
  readonly timeoutMs?: number;
}

export interface LoopReport {
  /** Transactions or reads. */
  readonly count: number;
  /** The last n written or read. */
  readonly n: number;
  /** How often each SQLite code came. */
  readonly errors: Readonly<Record<string, number>>;
  readonly messages: readonly string[];
  readonly longest_ms: number;
  /** How many took more than 50 ms. */
  readonly slow: number;
}

export interface WriterReport extends LoopReport {
  readonly checkpoints: number;
  /** Largest size of the -wal seen. */
  readonly wal_bytes: number;
}

export interface ReaderReport extends LoopReport {
  readonly checks: number;
  readonly waits: number;
  readonly seen: boolean;
  readonly violations: readonly string[];
}

export interface WriterOptions {
  readonly path: string;
  readonly count?: number;
  readonly pace_ms?: number;
  readonly timeout_ms?: number;
  readonly pad_bytes?: number;
  readonly pragmas?: readonly string[];
  readonly checkpoint_every?: number;
  readonly checkpoint_mode?: "PASSIVE" | "FULL" | "RESTART" | "TRUNCATE";
  readonly vacuum_every?: number;
}

export interface ReaderOptions {
  readonly path: string;
  readonly mode?: "ro" | "rw";
  readonly timeout_ms?: number;
  readonly pace_ms?: number;
  readonly check_every?: number;
  readonly reopen_every?: number;
  /** PRAGMA mmap_size: pages are read in a map of the file. */
  readonly mmap_bytes?: number;
}

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
}

const PROGRAM = fileURLToPath(new URL("app.py", import.meta.url));
const LIMIT_MS = 120_000;

export class App implements AsyncDisposable {
  readonly child: Child;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #nextId = 1;

  constructor(options: AppOptions = {}) {
    const env: Record<string, string> = options.apsw === undefined
      ? {}
      : { PYTHONPATH: options.apsw, APP_ENGINE: "apsw" };
    this.child = new Child({
      program: "python3",
      args: ["-B", PROGRAM],
      env,
      stdin: "piped",
    });
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
      const message = `app.py ended: ${this.child.stderr.kept.join("\n")}`;
      return { id, error: { code: -1, message } };
    });
    await this.child.write(`${JSON.stringify({ ...command, id, do: what })}\n`);
    const first = Promise.race([reply.promise, died]);
    const answer = await within(LIMIT_MS, first, () => `no answer to "${what}"`);
    if (answer.error === undefined) return answer.result;
    throw new SqlError(answer.error.code, answer.error.message);
  }

  async open(path: string, options: OpenOptions = {}): Promise<void> {
    const { as = "main", mode = "rwc", timeoutMs = 5000 } = options;
    await this.#ask("open", { path, as, mode, timeout_ms: timeoutMs });
  }

  async rows(sql: string, parameters: Row = [], as = "main"): Promise<Row[]> {
    return await this.#ask("exec", { sql, parameters, as }) as Row[];
  }

  /** Several statements, one after the other. */
  async exec(...statements: readonly string[]): Promise<void> {
    for (const sql of statements) await this.rows(sql);
  }

  /** The first column of the first row. */
  async value(sql: string, as = "main"): Promise<Value | undefined> {
    return (await this.rows(sql, [], as))[0]?.[0];
  }

  /** A copy by SQLite's backup API: the same pages at the same places. */
  async backup(path: string): Promise<void> {
    await this.#ask("backup", { path });
  }

  async close(as = "main"): Promise<void> {
    await this.#ask("close", { as });
  }

  async version(): Promise<string> {
    return String(await this.#ask("version"));
  }

  async startWriter(options: WriterOptions): Promise<void> {
    await this.#ask("start", { loop: "counter-writer", options });
  }

  /** One of several writers of `tally(name, k)`: ends by itself at its first refusal. */
  async startTally(options: { readonly path: string; readonly name: string }): Promise<void> {
    await this.#ask("start", { loop: "tally-writer", options });
  }

  async startReader(options: ReaderOptions): Promise<void> {
    await this.#ask("start", { loop: "counter-reader", options });
  }

  async writerProgress(): Promise<WriterReport> {
    return await this.#ask("progress") as WriterReport;
  }

  async readerProgress(): Promise<ReaderReport> {
    return await this.#ask("progress") as ReaderReport;
  }

  /** Waits until a loop with a `count` is done. */
  async joinWriter(): Promise<WriterReport> {
    return await this.#ask("join") as WriterReport;
  }

  async stopWriter(): Promise<WriterReport> {
    return await this.#ask("stop") as WriterReport;
  }

  async stopReader(): Promise<ReaderReport> {
    return await this.#ask("stop") as ReaderReport;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.kill();
  }
}
