/**
 * Says when to look at which log, for all primaries of a node: one wait for all of them, in the native
 * half (sqlite/watch.c), which returns when a commit has been published. May import: base/,
 * sqlite/watch.
 *
 * It only decides when to look. Whatever it misses is found by the node's slow timer.
 * @module
 */
import type { Log } from "../base/env.ts";
import type { CommitWatch } from "../sqlite/watch.ts";

/** An open database: adds itself, and returns the number that it got. */
export interface Watchable {
  watch(by: CommitWatch): number;
}

export class Waker {
  /** Called after each look, and by who has seen what this does not wait for: a replica has moved. */
  readonly stirred: () => void;
  readonly #open: () => CommitWatch;
  readonly #log: Log;
  readonly #looks = new Map<number, () => void>();
  #watch: CommitWatch | undefined;
  #running: Promise<void> = Promise.resolve();
  #told = false;
  #stopped = false;

  /** `open` is called at the first add(): a node without primaries waits for nothing. */
  constructor(open: () => CommitWatch, log: Log, stirred: () => void = () => {}) {
    this.#open = open;
    this.#log = log;
    this.stirred = stirred;
  }

  /**
   * Calls `look` when there may be a commit; it must not throw. The returned function ends that, and
   * must be called before the database is closed.
   */
  add(database: Watchable, look: () => void): () => void {
    if (this.#stopped) return () => {};
    if (this.#watch === undefined) {
      this.#watch = this.#open();
      this.#running = this.#run(this.#watch);
    }
    const watch = this.#watch;
    const id = database.watch(watch);
    this.#looks.set(id, look);
    this.#tell(watch);
    return () => {
      if (!this.#looks.delete(id)) return;
      watch.remove(id);
    };
  }

  /** Nothing is looked at from now on; resolves when the wait has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#looks.clear();
    this.#watch?.stop();
    await this.#running;
  }

  async #run(watch: CommitWatch): Promise<void> {
    for (;;) {
      const ids = await watch.wait();
      if (ids === undefined) return;
      for (const id of ids) this.#looks.get(id)?.();
      this.stirred();
      if (!this.#stopped) this.#tell(watch);
    }
  }

  /** Once: the logs are read from time to time then, which is slower, not wrong. */
  #tell(watch: CommitWatch): void {
    const reason = watch.refused();
    if (reason === undefined || this.#told) return;
    this.#told = true;
    this.#log.warn("commits are seen up to 10 ms later", { reason });
  }
}
