/**
 * Says when to look at a WAL. Idle: inotify on the -wal, and the node's one slow timer. Busy: a look
 * each millisecond and no watch, because every watched write costs the writer. May import: base/.
 *
 * A look right after an event may come too early: the wal-index is written after the WAL, with
 * synchronous=FULL after an fsync. So an event means a look at once and some later ones.
 * @module
 */
import type { Clock } from "../base/env.ts";

/** Looks that found something within the window, from which polling is cheaper than watching. */
const BUSY_LOOKS = 20;
const BUSY_WINDOW_MS = 50;
const POLL_MS = 1;
/** Quiet time after which polling ends. */
const QUIET_MS = 50;
/** After the last event. */
const RECHECKS_MS = [0, 1, 5, 10, 20, 50, 100] as const;

export class Waker {
  readonly #clock: Clock;
  readonly #path: string;
  readonly #look: () => boolean;
  #watcher: Deno.FsWatcher | undefined;
  #stopped = false;
  #polling = false;
  #lastFound = 0;
  #windowStart = 0;
  #foundInWindow = 0;
  #step = 0;
  #cancelRecheck: () => void = () => {};

  /** `look` returns true if it found something new. It must not throw. */
  constructor(clock: Clock, path: string, look: () => boolean) {
    this.#clock = clock;
    this.#path = path;
    this.#look = look;
  }

  start(): void {
    this.#watch();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelRecheck();
    this.#unwatch();
  }

  /** A look out of turn, as the slow timer makes. */
  poke(): void {
    this.#lookOnce();
  }

  #lookOnce(): void {
    if (this.#stopped || !this.#look()) return;
    const now = this.#clock.monotonic();
    this.#lastFound = now;
    if (now - this.#windowStart > BUSY_WINDOW_MS) {
      this.#windowStart = now;
      this.#foundInWindow = 0;
    }
    if (++this.#foundInWindow >= BUSY_LOOKS && !this.#polling) this.#poll();
  }

  #watch(): void {
    if (this.#stopped || this.#watcher !== undefined) return;
    try {
      this.#watcher = Deno.watchFs(this.#path);
      void this.#events(this.#watcher);
    } catch { // no inotify left, or no file: the slow timer looks, and tries again
      this.#watcher = undefined;
    }
  }

  #unwatch(): void {
    try {
      this.#watcher?.close();
    } catch { /* closed already */ }
    this.#watcher = undefined;
  }

  async #events(watcher: Deno.FsWatcher): Promise<void> {
    try {
      for await (const event of watcher) {
        if (this.#stopped || this.#watcher !== watcher) return;
        if (event.kind !== "access") this.#event();
      }
    } catch { /* the watcher was closed, or the system gave up: the slow timer goes on */ }
  }

  #event(): void {
    this.#lookOnce();
    this.#step = 0;
    this.#recheckLater(RECHECKS_MS[0]);
  }

  #recheckLater(ms: number): void {
    this.#cancelRecheck();
    this.#cancelRecheck = this.#clock.after(ms, () => {
      this.#lookOnce();
      const last = RECHECKS_MS[this.#step]!;
      const next = RECHECKS_MS[++this.#step];
      if (next !== undefined && !this.#polling) this.#recheckLater(next - last);
    });
  }

  #poll(): void {
    this.#polling = true;
    this.#unwatch();
    const tick = (): void => {
      if (this.#stopped) return;
      this.#lookOnce();
      if (this.#clock.monotonic() - this.#lastFound < QUIET_MS) {
        this.#clock.after(POLL_MS, tick);
        return;
      }
      this.#polling = false;
      this.#watch();
      this.#lookOnce(); // what came between the last look and the watch
    };
    this.#clock.after(POLL_MS, tick);
  }
}
