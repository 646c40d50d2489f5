/**
 * A handle on tests/soak/worker.py: a writer or a reader that can be killed at any time and started
 * again, with what it counted kept. May import: tests/support/process.
 * @module
 */
import { fileURLToPath } from "node:url";
import { Child, within } from "../support/process.ts";

const PROGRAM = fileURLToPath(new URL("worker.py", import.meta.url));
/** Longer than a worker's own busy timeout: it answers when its transaction is over. */
const ANSWER_LIMIT_MS = 25_000;
const ONCE_LIMIT_MS = 60_000;

export interface SqlFailure {
  /** SQLite's extended result code. */
  readonly code: number;
  readonly message: string;
  readonly doing: string;
  /** How long it had been at it. */
  readonly ms: number;
}

export interface WorkerEvents {
  error(worker: Worker, failure: SqlFailure): void;
  violation(worker: Worker, sentence: string): void;
  /** It has ended without being told to. */
  died(worker: Worker, how: string): void;
}

export interface WorkerOptions {
  readonly name: string;
  /** A folder with apsw (support/apsw.ts); absent: the system's SQLite. */
  readonly apsw?: string;
  /** What worker.py gets. */
  readonly options: Readonly<Record<string, unknown>>;
}

export type Command =
  | { readonly do: "run"; readonly reset?: boolean }
  | { readonly do: "pause" }
  | { readonly do: "close" }
  | { readonly do: "stop" }
  | { readonly do: "backup"; readonly path: string };

type Stats = Readonly<Record<string, number>>;

interface Line {
  readonly stats?: Stats;
  readonly error?: SqlFailure;
  readonly violation?: string;
  readonly ack?: number;
}

export class Worker implements AsyncDisposable {
  readonly name: string;
  readonly path: string;
  readonly #options: WorkerOptions;
  readonly #events: WorkerEvents;
  readonly #acks = new Map<number, () => void>();
  #child: Child | undefined;
  #ending = false;
  #nextId = 1;
  #runs = 0;
  #before: Stats = {};
  #now: Stats = {};

  constructor(options: WorkerOptions, events: WorkerEvents) {
    this.name = options.name;
    this.path = String(options.options["path"]);
    this.#options = options;
    this.#events = events;
  }

  /** Counts of all its runs; `longest_ms` is the largest. */
  get stats(): Stats {
    return sum(this.#before, this.#now);
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exit === undefined;
  }

  start(): void {
    this.#before = this.stats;
    this.#now = {};
    this.#ending = false;
    const seed = Number(this.#options.options["seed"] ?? 0) + this.#runs++;
    const child = spawn(this.#options.apsw, { ...this.#options.options, seed });
    this.#child = child;
    child.stdout.onLine = (line) => this.#line(JSON.parse(line));
    void child.exited.then(({ code, signal }) => {
      if (this.#ending || this.#child !== child) return;
      const last = child.stderr.kept.slice(-5).join(" | ");
      this.#events.died(this, `ended with ${signal ?? `code ${code}`}: ${last}`);
    });
  }

  /** Waits until it has done so; what it is in the middle of is finished first. */
  async tell(command: Command): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.running) return;
    if (command.do === "stop") this.#ending = true;
    const id = this.#nextId++;
    const answered = new Promise<void>((resolve) => {
      this.#acks.set(id, resolve);
      void child.exited.then(() => resolve());
    });
    await child.write(`${JSON.stringify({ ...command, id })}\n`);
    await within(ANSWER_LIMIT_MS, answered, () => `${this.name} does not ${command.do}`);
    this.#acks.delete(id);
    if (command.do === "stop") await child.wait(10_000);
  }

  /** SIGKILL, wherever it is. */
  async kill(): Promise<void> {
    this.#ending = true;
    await this.#child?.kill();
  }

  freeze(): void {
    this.#child?.signal("SIGSTOP");
  }

  thaw(): void {
    this.#child?.signal("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #line(line: Line): void {
    if (line.stats !== undefined) this.#now = line.stats;
    if (line.error !== undefined) this.#events.error(this, line.error);
    if (line.violation !== undefined) this.#events.violation(this, line.violation);
    if (line.ack !== undefined) this.#acks.get(line.ack)?.();
  }
}

/** A role of worker.py that ends by itself; returns what it found. */
export async function runOnce(
  options: Readonly<Record<string, unknown>>,
): Promise<{ errors: SqlFailure[]; violations: string[] }> {
  await using child = spawn(undefined, options);
  const errors: SqlFailure[] = [];
  const violations: string[] = [];
  child.stdout.onLine = (text) => {
    const line: Line = JSON.parse(text);
    if (line.error !== undefined) errors.push(line.error);
    if (line.violation !== undefined) violations.push(line.violation);
  };
  const { code } = await child.wait(ONCE_LIMIT_MS);
  if (code === 0) return { errors, violations };
  throw new Error(`worker.py ${options["role"]} failed:\n${child.stderr.kept.join("\n")}`);
}

function spawn(apsw: string | undefined, options: Readonly<Record<string, unknown>>): Child {
  return new Child({
    program: "python3",
    args: ["-B", PROGRAM, JSON.stringify(options)],
    env: apsw === undefined ? {} : { PYTHONPATH: apsw, APP_ENGINE: "apsw" },
    stdin: "piped",
  });
}

function sum(a: Stats, b: Stats): Stats {
  const total: Record<string, number> = { ...a };
  for (const [key, value] of Object.entries(b)) {
    const known = total[key] ?? 0;
    total[key] = key === "longest_ms" ? Math.max(known, value) : known + value;
  }
  return total;
}
