/**
 * A second database of every node, in which little happens: what is said of it is mostly said beside its
 * streams, together with what is said of the busy one. May import: tests/support, tests/soak/ledger.
 * @module
 */
import { App, SqlError } from "../support/app.ts";
import { sleep } from "../support/process.ts";
import type { Ledger } from "./ledger.ts";

/** Longer than a heartbeat may take, shorter than what a stream waits for one at most. */
const PAUSE_MS = 4000;
const LOOK_MS = 50;

export class Quiet implements AsyncDisposable {
  readonly #path: string;
  readonly #ledger: Ledger;
  readonly #app = new App();
  #mayWrite = true;
  #stopped = false;
  #writing: Promise<void> | undefined;
  #working: Promise<void> | undefined;

  /** `path`: the primary's. */
  constructor(path: string, ledger: Ledger) {
    this.#path = path;
    this.#ledger = ledger;
  }

  /** Makes it, and writes to it from now on. */
  async start(): Promise<void> {
    await this.#app.open(this.#path);
    await this.#app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(n INTEGER PRIMARY KEY, x)");
    this.#working = this.#run();
  }

  /** Nothing is written until resume(). */
  async pause(): Promise<void> {
    this.#mayWrite = false;
    await this.#writing;
  }

  resume(): void {
    this.#mayWrite = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#working;
    await this.#app[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    for (let waited = 0; !this.#stopped; waited += LOOK_MS) {
      await sleep(LOOK_MS);
      if (!this.#mayWrite || waited < PAUSE_MS) continue;
      waited = 0;
      await (this.#writing = this.#write());
    }
  }

  async #write(): Promise<void> {
    try {
      await this.#app.exec("INSERT INTO t(x) VALUES(randomblob(100))");
      this.#ledger.count("quiet commits");
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      this.#ledger.excuse(`the quiet database: ${error.message}`);
    }
  }
}
