/**
 * A CommitWatch without a system: a test says what has something new, and when the system refuses.
 * May import: src/sqlite/watch (types).
 * @module
 */
import type { CommitWatch } from "../../src/sqlite/watch.ts";

export class FakeWatch implements CommitWatch {
  readonly watched = new Set<number>();
  reason: string | undefined;
  waits = 0;
  #next = 0;
  #stopped = false;
  #told: number[] = [];
  #wake: (() => void) | undefined;

  add(): number {
    const id = this.#next++;
    this.watched.add(id);
    return id;
  }

  remove(id: number): void {
    this.watched.delete(id);
  }

  async wait(): Promise<readonly number[] | undefined> {
    this.waits++;
    while (!this.#stopped && this.#told.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#stopped ? undefined : this.#told.splice(0);
  }

  refused(): string | undefined {
    return this.reason;
  }

  stop(): void {
    this.#stopped = true;
    this.#wake?.();
  }

  /** Ends the wait with these numbers. */
  tell(...ids: readonly number[]): void {
    this.#told.push(...ids);
    this.#wake?.();
  }
}
