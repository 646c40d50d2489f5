/**
 * Waits until some of many databases may have a new commit, or much that is not committed yet: the
 * native half (watch.c) as a class. One nonblocking call for all of them. May import: base/.
 *
 * Invariant: a connection stays open from add() until remove() has returned; then no thread reads its
 * memory.
 * @module
 */
import { assert } from "../base/assert.ts";
import type { Connection } from "./connection.ts";
import { cString, type Sqlite, sqlite } from "./library.ts";

/** What node/waker needs; tests give a fake. */
export interface CommitWatch {
  /** Of a database whose log was read. Returns its number, which wait() then tells at least once. */
  add(connection: Connection): number;
  remove(id: number): void;
  /** Numbers of databases that may have something new; undefined once stop() was called. */
  wait(): Promise<readonly number[] | undefined>;
  /** Why the system refused a watch since this was asked last, a sentence. It is tried again. */
  refused(): string | undefined;
  stop(): void;
}

/** Numbers that one wait can tell; the next tells the others. */
const MOST = 256;

export class SqliteWatch implements CommitWatch {
  readonly #sqlite: Sqlite = sqlite();
  readonly #watcher: Deno.PointerObject;
  readonly #out = new Int32Array(MOST);
  #ended = false;

  constructor() {
    const watcher = this.#sqlite.live_watch_open();
    assert(watcher !== null, "there is memory for a watcher");
    this.#watcher = watcher;
  }

  add(connection: Connection): number {
    const file = this.#sqlite.live_file(connection.handle, 0);
    assert(file !== null, "a connection that has read has a file");
    const wal = cString(`${connection.path}-wal`);
    const log = this.#sqlite.live_file(connection.handle, 1);
    const id = this.#sqlite.live_watch_add(this.#watcher, wal, file, log);
    assert(id >= 0, "a database whose wal-index was read has one");
    return id;
  }

  remove(id: number): void {
    if (!this.#ended) this.#sqlite.live_watch_remove(this.#watcher, id);
  }

  async wait(): Promise<readonly number[] | undefined> {
    const count = await this.#sqlite.live_watch_wait(this.#watcher, this.#out, MOST);
    if (count >= 0) return [...this.#out.subarray(0, count)];
    this.#ended = true;
    this.#sqlite.live_watch_free(this.#watcher);
    return undefined;
  }

  refused(): string | undefined {
    const errno = this.#sqlite.live_watch_failed(this.#watcher);
    return errno === 0 ? undefined : reasonOf(errno);
  }

  stop(): void {
    if (!this.#ended) this.#sqlite.live_watch_stop(this.#watcher);
  }
}

/** Source: man 2 inotify_add_watch, man 2 inotify_init */
export function reasonOf(errno: number): string {
  switch (errno) {
    case 28: // ENOSPC
      return "this user has no inotify watch left: raise the sysctl fs.inotify.max_user_watches";
    case 24: // EMFILE
      return "this user has no inotify instance or this process no descriptor left: raise the " +
        "sysctl fs.inotify.max_user_instances, or the limit of open files";
    default:
      return `inotify refuses (errno ${errno})`;
  }
}
