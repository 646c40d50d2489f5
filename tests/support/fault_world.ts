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
import type { DatabaseId, Position } from "../../src/base/types.ts";
import type { Report } from "../../src/changes/source.ts";
import { noteAcceptance } from "../../src/node/aside.ts";
import { Database } from "../../src/node/database.ts";
import type { OpenResult } from "../../src/node/handle.ts";
import { DATABASE_DEFAULTS } from "../../src/node/options.ts";
import { SeededRandom } from "./fake_env.ts";
import { Life, turn, WorldClock } from "./fault_clock.ts";
import { type CheckpointParts, passive, truncate } from "./fault_checkpoint.ts";
import { openHandle } from "./fault_handle.ts";
import { isKnown } from "./fault_known.ts";
import { FaultLink, type Trouble } from "./fault_link.ts";
import { Machine } from "./fault_machine.ts";
import { FaultPlan, Killed } from "./fault_plan.ts";
import { ModelPrimary, type Moment } from "./fault_primary.ts";
import { Reader, ReaderFiles, samePage } from "./fault_reader.ts";
import { installSeam, ROOT, type Seat } from "./fault_deno.ts";
import type { View } from "./fault_stock.ts";

export const PATH = `${ROOT}/shop.db`;
const GUARD = 127;
const CONVERGE_MS = 120_000;

/** Something that must never be was seen. */
export class Violation extends Error {
  override readonly name = "Violation";
}

export interface WorldOptions {
  readonly seed: number;
  readonly pageSize: number;
  readonly pageCount: number;
  readonly soft: number;
  readonly hard: number;
  /** Longest fsync, ms. */
  readonly syncMs: number;
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
  /** No reader of this boot has seen less. */
  #floor = 0;
  /** Told to the upstream as durable: no power cut may lead to less. */
  #durable = 0;
  /** The file has been readable: it never vanishes. */
  #mustExist = false;
  /** Nobody knows any more that the file is a replica of this upstream: a person must say so. */
  #mayRefuse = false;
  /** A person has said so: the old file goes aside. */
  #accepted = false;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.random = new SeededRandom(options.seed);
    this.plan = new FaultPlan(this.random);
    this.machine = new Machine(ROOT, this.plan, this.random);
    this.files = new ReaderFiles(this.machine, PATH, options.pageSize);
    this.primary = this.#model("00000000000000d1", options.pageCount, 1);
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
    return this.#mustExist;
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
        return down ? undefined : { ...boundTo(source), report: (report) => this.#report(report) };
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
      { clock: life.clock, random, log },
    );
    this.#node = { life, database, handles: [] };
    const check = (): void => {
      life.clock.after(1000, check);
      database.check();
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
    this.#life.end();
    for (const handle of this.#node?.handles ?? []) this.machine.detach(handle);
    this.#node = undefined;
    if (kind === "kill") return;
    this.readers.length = 0;
    this.machine.cutPower();
    this.#floor = this.#durable;
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

  #report({ epoch, durable }: Report): Promise<void> {
    const moment = this.primary.at({ epoch, txid: durable });
    const epochs = epoch !== this.primary.moments[0]!.position.epoch;
    if (epochs && isKnown("durable of an old epoch")) return Promise.resolve();
    if (moment !== undefined) this.#durable = Math.max(this.#durable, moment.seq);
    return Promise.resolve();
  }

  // ---- What others do to the files ----

  /** A stock connection that is closed last, or a TRUNCATE by one, while the node is down. */
  async foreign(what: "truncate" | "last close" | "state lost"): Promise<void> {
    if (this.up || !this.files.there) return;
    this.note(`somebody else: ${what}`);
    this.plan.asleep = true;
    try {
      const state = `${PATH}-live/state`;
      if (what === "state lost") {
        if (this.machine.disk.find(state) === undefined) return;
        this.machine.disk.remove(state, "");
        this.#mayRefuse = true;
        return;
      }
      const { disk } = this.machine;
      if (this.files.wal === undefined) disk.make(`${PATH}-wal`, "");
      const reader = new Reader(this.files);
      const parts: CheckpointParts = {
        machine: this.machine,
        owner: reader,
        database: disk.find(PATH)!,
        wal: this.files.wal!,
        pageSize: this.#options.pageSize,
        syncLog: () => disk.sync(this.files.wal!, ""),
        pause: () => Promise.resolve(),
      };
      if (what === "truncate") await truncate(parts);
      else if (this.readers.length === 0) {
        await passive(parts);
        disk.remove(`${PATH}-wal`, "");
      }
      reader.close();
    } finally {
      this.plan.asleep = false;
    }
  }

  // ---- What must be true ----

  /** @throws {Violation} */
  async check(): Promise<void> {
    await turn();
    if (this.#bug !== undefined) {
      throw new Violation(`the node ended by an error of its own: ${describe(this.#bug)}`);
    }
    if (!this.files.there) {
      if (this.#mustExist && !this.#accepted) throw new Violation("the database is gone");
      this.#mustExist = this.#accepted = false;
      return;
    }
    const moment = this.#see(false);
    this.#see(true);
    this.#floor = moment.seq;
    for (const reader of this.readers) {
      if (!reader.holds()) throw new Violation("a read transaction saw another state on its way");
    }
    this.#checkClaims(moment);
    if (this.#node?.database.status().readable === true) this.#mustExist = true;
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
      this.#accept();
      await this.check();
    }
    await this.check();
    const { now } = this.primary;
    const seen = this.#see(false);
    if (seen.hash !== now.hash) throw new Violation(`it shows ${seen.seq}, not ${now.seq}`);
  }

  /** What a person does with a file that is refused: `litestream-live accept`. */
  #accept(): void {
    const { state, reason } = this.#node!.database.status();
    if (!this.#mayRefuse || state !== "failed" || reason?.includes("accept") !== true) return;
    this.note("somebody accepts");
    noteAcceptance(`${PATH}-live`);
    this.#mayRefuse = false;
    this.#accepted = true;
  }

  #isCurrent(): boolean {
    const status = this.#node?.database.status();
    const { position } = this.primary;
    return status?.state === "streaming" && status.epoch === position.epoch &&
      status.txid === position.txid;
  }

  #told(): string {
    const { state, reason, epoch, txid } = this.#node!.database.status();
    return JSON.stringify({ state, reason, epoch, txid, wanted: this.primary.position });
  }

  #see(all: boolean): Moment {
    let view = this.files.look(all);
    if (view === undefined) {
      if (this.up) throw new Violation("the wal-index is broken while the node runs");
      this.files.recover();
      view = this.files.look(all)!;
    }
    const page1 = view.page(1);
    if (page1[18] !== GUARD) throw new Violation("page 1 has lost the write guard");
    page1[18] = 2;
    const moments = this.primary.withPage1(this.primary.book.versionOf(page1))
      .filter((moment) => this.#shows(view, page1, moment));
    if (moments.length === 0) {
      throw new Violation(`no state that ever was: ${this.#mixture(view, page1)}`);
    }
    const moment = moments.find(({ seq }) => seq >= this.#floor);
    if (moment !== undefined) return moment;
    throw new Violation(`it went back: shows ${moments.at(-1)!.seq}, was at ${this.#floor}`);
  }

  #shows(view: View, page1: Uint8Array<ArrayBuffer>, { versions }: Moment): boolean {
    if (view.pageCount !== versions.length) return false;
    const { book } = this.primary;
    return versions.every((version, nth) =>
      samePage(nth === 0 ? page1 : view.page(nth + 1), book.page(nth + 1, version))
    );
  }

  #mixture(view: View, page1: Uint8Array<ArrayBuffer>): string {
    const { book } = this.primary;
    const pages = Array.from({ length: view.pageCount }, (_, nth) => {
      const page = nth === 0 ? page1 : view.page(nth + 1);
      const version = book.versionOf(page);
      return samePage(page, book.page(nth + 1, version)) ? version : "broken";
    });
    return `${view.pageCount} pages of versions ${pages.join(" ")}`;
  }

  /** What is said and written about where the replica is. */
  #checkClaims(moment: Moment): void {
    const status = this.#node?.database.status();
    if (status?.epoch !== undefined) this.#mustBe(status as Position, moment.hash, "it says it is");
    const bytes = this.machine.disk.find(`${PATH}-live/state`)?.content;
    if (bytes === undefined) return;
    let state: { contents?: (Position & { hash: string })[] };
    try {
      state = JSON.parse(new TextDecoder().decode(bytes).split("\n", 1)[0]!);
    } catch {
      return; // torn: no state
    }
    for (const content of state.contents ?? []) {
      this.#mustBe(content, content.hash, "it wrote down");
    }
  }

  #mustBe(position: Position, hash: string, what: string): void {
    const known = this.primary.at(position);
    if (known?.hash === hash) return;
    const { epoch, txid } = position;
    throw new Violation(`${what} ${epoch}/${txid} with hash ${hash}, which is ${known?.hash}`);
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
