/**
 * The application and the readers: three writers of the primary's file and up to three readers of
 * every file, each a process of its own with the SQLite of another year. Says which of their errors
 * are no fault of ours. May import: tests/support, tests/soak/{ledger,schedule,worker}.
 * @module
 */
import type { ApswVersion } from "../support/apsw.ts";
import { SeededRandom } from "../support/chaos_random.ts";
import type { Ledger } from "./ledger.ts";
import { type NodeName, NODES, type WriterName } from "./schedule.ts";
import { type Command, runOnce, type SqlFailure, Worker, type WorkerEvents } from "./worker.ts";

const SQLITE_FULL = 13;
const FAILS_ON_A_FULL_DISK: readonly number[] = [SQLITE_FULL, 10, /* IOERR */ 14 /* CANTOPEN */];
const READER_PACE_MS = 60;

/** Where the apsw versions are installed; absent where there is no pip. */
export type Engines = Readonly<Partial<Record<ApswVersion, string>>>;

interface WriterPlan {
  readonly name: WriterName;
  readonly engine: ApswVersion | "system";
  readonly pace_ms: number;
  readonly pragmas?: readonly string[];
  /** Weight of each kind of transaction: methods of worker.py's Writer. */
  readonly work: Readonly<Record<string, number>>;
}

const WRITER_PLANS: readonly WriterPlan[] = [
  {
    name: "w1",
    engine: "system",
    pace_ms: 6,
    work: { plain: 70, transfer: 15, rows: 10, attach: 2, checkpoint: 1, big: 0.3, undone: 0.5 },
  },
  {
    name: "w2",
    engine: "3.46.1.0",
    pace_ms: 12,
    pragmas: ["wal_autocheckpoint=0"],
    work: {
      plain: 20,
      transfer: 10,
      rows: 20,
      drop: 4,
      savepoint: 6,
      big: 2,
      undone: 3,
      vacuum: 0.15,
    },
  },
  {
    name: "w3",
    engine: "3.53.1.0",
    pace_ms: 15,
    pragmas: ["synchronous=FULL"],
    work: { plain: 30, transfer: 10, rows: 10, savepoint: 4, attach: 4, checkpoint: 3, shrink: 1 },
  },
];

/** A reader of each replica; on the primary's file the first and the last. */
const READER_PLANS: readonly {
  readonly engine: ApswVersion | "system";
  readonly mode: "ro" | "rw";
  readonly reopen_every: number;
}[] = [
  { engine: "system", mode: "ro", reopen_every: 40 },
  { engine: "3.46.1.0", mode: "rw", reopen_every: 0 },
  { engine: "3.53.1.0", mode: "ro", reopen_every: 15 },
];

export interface CrewOptions {
  readonly folder: string;
  readonly engines: Engines;
  readonly seed: number;
  readonly ledger: Ledger;
  path(name: NodeName): string;
}

/** Of the database, once for all. */
export interface Shape {
  readonly page_size: number;
  /** 0 none, 1 full, 2 incremental. */
  readonly auto_vacuum: number;
}

export function shapeOf(random: SeededRandom): Shape {
  return {
    page_size: random.pick([1024, 4096, 4096, 8192]),
    auto_vacuum: random.pick([0, 0, 1, 2]),
  };
}

export class Crew implements AsyncDisposable {
  readonly writers = new Map<WriterName, Worker>();
  readonly readers = new Map<NodeName, readonly Worker[]>();
  readonly #options: CrewOptions;
  /** Files whose disk is full now, or was a moment ago. */
  readonly #full = new Set<string>();

  constructor(options: CrewOptions) {
    this.#options = options;
    const random = new SeededRandom(options.seed);
    for (const plan of WRITER_PLANS) {
      const { engine, ...rest } = plan;
      const path = options.path("primary");
      this.writers.set(
        plan.name,
        this.#worker(plan.name, "primary", engine, {
          ...rest,
          role: "writer",
          path,
          seed: random.seed(),
        }),
      );
    }
    for (const name of NODES) {
      const plans = name === "primary" ? [READER_PLANS[0]!, READER_PLANS[2]!] : READER_PLANS;
      const readers = plans.map(({ engine, ...rest }, nth) =>
        this.#worker(`reader ${name}${nth + 1}`, name, engine, {
          ...rest,
          role: "reader",
          path: options.path(name),
          seed: random.seed(),
          pace_ms: READER_PACE_MS,
        })
      );
      this.readers.set(name, readers);
    }
  }

  get all(): readonly Worker[] {
    return [...this.writers.values(), ...[...this.readers.values()].flat()];
  }

  async createDatabase(shape: Shape): Promise<void> {
    await runOnce({ ...shape, role: "init", path: this.#options.path("primary") });
  }

  /** To all writers; frozen ones must not be asked. */
  async tellWriters(command: Command): Promise<void> {
    await Promise.all([...this.writers.values()].map((writer) => writer.tell(command)));
  }

  async tellReaders(name: NodeName, command: Command): Promise<void> {
    await Promise.all(this.readers.get(name)!.map((reader) => reader.tell(command)));
  }

  /** How often so much was moved about that a backup of before has hardly a page in common. */
  get upheavals(): number {
    const names = ["vacuums", "incremental_vacuums", "did_big"];
    return [...this.writers.values()].flatMap(({ stats }) => names.map((name) => stats[name] ?? 0))
      .reduce((sum, count) => sum + count, 0);
  }

  /** Errors of a full disk are no violation until this is called with false. */
  diskIsFull(name: NodeName, full: boolean): void {
    if (full) this.#full.add(this.#options.path(name));
    else this.#full.delete(this.#options.path(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.all.map((worker) => worker.kill()));
  }

  #worker(
    name: string,
    node: NodeName,
    engine: ApswVersion | "system",
    options: Readonly<Record<string, unknown>>,
  ): Worker {
    const apsw = engine === "system" ? undefined : this.#options.engines[engine];
    const floor = `${this.#options.folder}/floor-${node}`;
    return new Worker(
      { name, ...(apsw === undefined ? {} : { apsw }), options: { ...options, name, floor } },
      this.#events(),
    );
  }

  #events(): WorkerEvents {
    const { ledger } = this.#options;
    return {
      error: (worker, failure) => {
        const { code, message, doing, ms } = failure;
        if (this.#isExcused(worker, failure)) return ledger.excuse(`${code}: ${message}`);
        ledger.violation(`${worker.name}: SQLite ${code} "${message}" in ${doing} after ${ms} ms`);
      },
      violation: (worker, sentence) => ledger.violation(`${worker.name}: ${sentence}`),
      died: (worker, how) => ledger.violation(`${worker.name} ${how}`),
    };
  }

  #isExcused(worker: Worker, { code }: SqlFailure): boolean {
    return this.#full.has(worker.path) && FAILS_ON_A_FULL_DISK.includes(code & 0xff);
  }
}
