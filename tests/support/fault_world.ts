/**
 * A world of a seed: an upstream, a network, one machine with a replica's node and its readers, and
 * what must be true at every moment. May import: src/, tests/support.
 *
 * Real: node/database with replica, follow, copier, applier, open_replica, side_files, upstream_view,
 * live_source; changes/, pages/, wal/. Models: disk, shared memory, SQLite's own half, the network, the
 * primary's half. Only promises and the fake clock make anything happen, so a seed replays exactly.
 * @module
 */
import { type LogFields, silentLog } from "../../src/base/env.ts";
import type { DatabaseId } from "../../src/base/types.ts";
import { noteAcceptance } from "../../src/node/aside.ts";
import { Database } from "../../src/node/database.ts";
import type { OpenResult } from "../../src/node/handle.ts";
import type { DatabaseStatus } from "../../src/node/status.ts";
import { DATABASE_DEFAULTS } from "../../src/node/options.ts";
import { Waker } from "../../src/node/waker.ts";
import { SeededRandom } from "./fake_env.ts";
import { Life, turn, WorldClock } from "./fault_clock.ts";
import { openHandle } from "./fault_handle.ts";
import { FaultLink, type Trouble } from "./fault_link.ts";
import { Judge, Violation } from "./fault_judge.ts";
import { Machine } from "./fault_machine.ts";
import { FaultPlan, Killed } from "./fault_plan.ts";
import { type Other, others } from "./fault_others.ts";
import { ModelPrimary } from "./fault_primary.ts";
import { type Reader, ReaderFiles } from "./fault_reader.ts";
import { installSeam, ROOT, type Seat } from "./fault_deno.ts";

export const PATH = `${ROOT}/shop.db`;
const CONVERGE_MS = 120_000;
/** A replica of the node, as far as it is asked by one. */
const LEAF = "00000000000000aa";
/** Only replicas run here, and they wait for nothing on this machine. */
const NO_WAKER = new Waker(() => {
  throw new Error("a replica watches no log");
}, silentLog);

export interface WorldOptions {
  readonly seed: number;
  readonly pageSize: number;
  readonly pageCount: number;
  readonly soft: number;
  readonly hard: number;
  /** Longest fsync, ms. */
  readonly syncMs: number;
  /** The upstream tells beside the stream where it is. */
  readonly beside: boolean;
}

interface NodeProcess {
  readonly life: Life;
  readonly database: Database;
  readonly handles: object[];
}

export class World implements Disposable {
  readonly random: SeededRandom;
  readonly clock = new WorldClock();
  readonly plan: FaultPlan;
  readonly machine: Machine;
  readonly primary: ModelPrimary;
  readonly readers: Reader[] = [];
  readonly files: ReaderFiles;
  /** What happened, in order. */
  readonly story: string[] = [];
  /** What the next connection suffers. */
  trouble: () => Trouble = () => "none";
  /** Another database answers in the upstream's place. */
  impostor: ModelPrimary | undefined;
  readonly #options: WorldOptions;
  readonly #seam: Disposable;
  readonly #earlier: Uint8Array<ArrayBuffer>[] = [];
  #node: NodeProcess | undefined;
  #life: Life;
  #bug: unknown;
  readonly #judge: Judge;
  /** It was killed and nothing else happened: it knows where it is. */
  #exact = false;
  /** Nobody knows any more that the file is a replica of this upstream: a person must say so. */
  #mayRefuse = false;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.random = new SeededRandom(options.seed);
    this.plan = new FaultPlan(this.random);
    this.machine = new Machine(ROOT, this.plan, this.random);
    this.files = new ReaderFiles(this.machine, PATH, options.pageSize);
    this.primary = this.#model("00000000000000d1", options.pageCount, 1);
    this.#judge = new Judge(this.files, this.primary);
    this.plan.onEnd = (kind, label) => this.#ended(kind, label);
    this.#life = new Life(this.clock, () => {});
    const seat = (): Seat => ({
      disk: this.machine.disk,
      life: this.#life,
      syncMs: () => this.random.below(options.syncMs + 1),
      open: (path) => this.#open(path),
    });
    this.#seam = installSeam(seat);
  }

  [Symbol.dispose](): void {
    this.#life.end();
    this.#seam[Symbol.dispose]();
  }

  get up(): boolean {
    return this.#node !== undefined;
  }
  /** The file has been readable. */
  get readable(): boolean {
    return this.#judge.mustExist;
  }
  get database(): Database | undefined {
    return this.#node?.database;
  }

  /** A promise that nobody waits for has failed. */
  stray(error: unknown): void {
    this.#failed(error);
  }

  note(text: string): void {
    this.story.push(`${Math.round(this.clock.now)} ms: ${text}`);
  }

  /** A database that has nothing in common with the upstream. */
  stranger(): ModelPrimary {
    return this.#model("00000000000000d2", this.#options.pageCount, 500_000);
  }

  // ---- The node ----

  start(): void {
    if (this.up) return;
    this.note("start");
    const life = new Life(this.clock, (error) => this.#failed(error));
    const random = new SeededRandom(this.random.u32());
    const log = { ...silentLog, with: () => log, ...this.#log() };
    const { soft, hard } = this.#options;
    const link = new FaultLink({
      life,
      chance: this.random,
      upstream: () => {
        const { down, source } = this.impostor ?? this.primary;
        return down ? undefined : {
          ...boundTo(source),
          report: (report) => {
            this.#judge.heard(report);
            return Promise.resolve(undefined);
          },
        };
      },
      beat: () => {
        const { down, source } = this.impostor ?? this.primary;
        return down || !this.#options.beside ? undefined : source.beat();
      },
      trouble: () => this.trouble(),
      earlier: this.#earlier,
    });
    this.#life = life;
    const database = new Database(
      {
        ...DATABASE_DEFAULTS,
        path: PATH,
        upstream: { url: "http://upstream", path: "/shop.db" },
        minCheckpointPageCount: soft,
        maxCheckpointPageCount: hard,
      },
      () => link,
      NO_WAKER,
      { clock: life.clock, random, log },
    );
    database.downstreams.connect(LEAF, "10.0.0.9:40000", this.primary.position.epoch);
    this.#node = { life, database, handles: [] };
    const check = (): void => {
      life.clock.after(1000, check);
      database.check(life.clock.monotonic());
    };
    life.clock.after(1000, check);
    database.run(new AbortController().signal).catch((error) => {
      if (life.alive) this.#failed(error);
    });
  }

  /** kill -9, from outside. */
  kill(): void {
    if (this.up) this.#ended("kill", "no call");
  }

  /** Everything on the machine stops, and what was not fsynced is uncertain. */
  cutPower(): void {
    this.#ended("cut", "no call");
  }

  #ended(kind: "kill" | "cut", label: string): void {
    this.note(`${kind} at ${label}`);
    this.#exact = kind === "kill" && !this.plan.hurt && this.#status()?.epoch !== undefined;
    this.#life.end();
    for (const handle of this.#node?.handles ?? []) this.machine.detach(handle);
    this.#node = undefined;
    if (kind === "kill") return;
    this.readers.length = 0;
    this.machine.cutPower();
    this.#judge.afterPowerCut();
  }

  #open(path: string): OpenResult {
    const result = openHandle(path, {
      machine: this.machine,
      life: this.#life,
      syncMs: () => this.random.below(this.#options.syncMs + 1),
    });
    this.#node?.handles.push(result.handle);
    return result;
  }

  /** Somebody else at the files, while the node is down. */
  async foreign(what: Other): Promise<void> {
    if (this.up || !this.files.there) return;
    if (!await others(what, this.machine, this.files)) return;
    this.note(`somebody else: ${what}`);
    if (what === "state removed") this.#mayRefuse = true;
    if (what === "database removed") this.#judge.mustExist = false;
    if (what.endsWith("removed")) this.#exact = false;
  }

  // ---- What must be true ----

  /** @throws {Violation} */
  async check(): Promise<void> {
    await turn();
    if (this.#bug instanceof Violation) throw this.#bug;
    if (this.#bug !== undefined) {
      throw new Violation(`the node ended by an error of its own: ${describe(this.#bug)}`);
    }
    const state = this.machine.disk.find(`${PATH}-live/state`)?.content;
    this.#judge.check(this.#status(), state, this.readers);
    const beat = this.#node?.database.beat(LEAF);
    if (beat !== undefined) this.#judge.told(beat);
  }

  /** Until the replica is what the upstream is. @throws {Violation} if it never is. */
  async converge(): Promise<void> {
    this.plan.disarm();
    this.trouble = () => "none";
    this.impostor = undefined;
    this.primary.down = false;
    this.note("no more faults");
    for (const reader of this.readers.splice(0)) reader.close();
    this.start();
    const until = this.clock.now + CONVERGE_MS;
    while (!this.#isCurrent()) {
      if (this.clock.now > until) throw new Violation(`it never became current: ${this.#told()}`);
      await this.clock.advance(500, () => this.#isCurrent() || this.#bug !== undefined);
      await this.#accept();
      await this.check();
    }
    await this.check();
    const { now } = this.primary;
    const seen = this.#judge.see(true);
    if (seen.hash !== now.hash) throw new Violation(`it shows ${seen.seq}, not ${now.seq}`);
    await this.#judge.ask(this.#node!.database.served().source, now);
  }

  /** What a person does with a file that is refused: `litestream-live accept`. */
  async #accept(): Promise<void> {
    const { state, reason } = this.#status()!;
    if (!this.#mayRefuse || state !== "failed" || reason?.includes("accept") !== true) return;
    this.note("somebody accepts");
    noteAcceptance(`${PATH}-live`);
    await this.clock.advance(10_000, () => !this.files.there);
    this.#judge.mustExist = this.#mayRefuse = false;
  }

  /** Looks, and nothing fails of it. */
  #status(): DatabaseStatus | undefined {
    this.plan.asleep = true;
    try {
      return this.#node?.database.status();
    } finally {
      this.plan.asleep = false;
    }
  }

  #isCurrent(): boolean {
    const status = this.#status();
    const { position } = this.primary;
    return status?.state === "streaming" && status.epoch === position.epoch &&
      status.txid === position.txid;
  }

  #told(): string {
    const { state, reason, epoch, txid } = this.#status()!;
    return JSON.stringify({ state, reason, epoch, txid, wanted: this.primary.position });
  }

  #failed(error: unknown): void {
    if (!(error instanceof Killed)) this.#bug ??= error;
  }

  #model(id: string, pageCount: number, firstVersion: number): ModelPrimary {
    const random = new SeededRandom(this.random.u32());
    const clock = new Life(this.clock, (error) => this.#failed(error)).clock;
    const env = { clock, random, log: silentLog };
    const { pageSize } = this.#options;
    return new ModelPrimary(id as DatabaseId, pageSize, pageCount, random, env, firstVersion);
  }

  #log(): Pick<typeof silentLog, "info" | "warn" | "error"> {
    const line = (message: string, fields: LogFields = {}): void => {
      this.note(`  node: ${message} ${JSON.stringify(fields)}`);
      const lost = message === "replica open" && fields["position"] === "unknown";
      if (lost && this.#exact) {
        this.#failed(new Violation("after a kill it does not know where it is"));
      }
    };
    return { info: line, warn: line, error: line };
  }
}

function boundTo(source: ModelPrimary["source"]): Pick<typeof source, "changes" | "hashes"> {
  return {
    changes: (request, signal) => source.changes(request, signal),
    hashes: (request, signal) => source.hashes(request, signal),
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
