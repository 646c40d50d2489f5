/**
 * Checks of databases' pages on disk: all of one because somebody asks, or some of all replicas each
 * second. May import: base/, node/{counters,live_source,self_check,status}.
 * @module
 */
import type { Env } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import type { Counters } from "./counters.ts";
import type { LiveSource } from "./live_source.ts";
import { checkAll, type CheckProgress, SelfCheck } from "./self_check.ts";
import type { Role } from "./status.ts";

const NOTHING = { bytes: 0, isLast: true } as const;

export interface FileChecksParts {
  readonly counters: Counters;
  /** Of the opening there is now; undefined while there is none. */
  source(): LiveSource | undefined;
  /** A page that went bad. A replica fetches it anew, a primary has nobody to fetch it from. */
  distrust(pgno: number): void;
}

export class FileChecks {
  readonly #parts: FileChecksParts;
  readonly #env: Env;
  #verifying = false;
  #some: { readonly source: LiveSource; readonly check: SelfCheck } | undefined;

  constructor(parts: FileChecksParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  /**
   * Compares what is on disk with the index, page by page. With `repair` a replica then fetches from
   * its upstream what differs. @throws {LiveError} "not_ready", "busy" if that is under way.
   */
  async *verify(repair: boolean, signal: AbortSignal): AsyncGenerator<CheckProgress> {
    const { counters } = this.#parts;
    const source = this.#parts.source();
    if (source === undefined) throw new LiveError("not_ready", "The database is not ready yet");
    if (this.#verifying) throw new LiveError("busy", "It is being verified already");
    this.#verifying = true;
    try {
      let last: CheckProgress | undefined;
      for await (last of checkAll(source.checked, this.#env, signal)) yield last;
      if (last === undefined) return;
      counters.checkedPages += last.donePages;
      counters.badPages += last.badCount;
      if (repair && last.badCount > 0) this.#parts.distrust(last.bad[0]!);
    } finally {
      this.#verifying = false;
    }
  }

  /** Checks up to `bytes`. @returns how many it read, and whether these were the last pages. */
  async some(bytes: number): Promise<{ readonly bytes: number; readonly isLast: boolean }> {
    const source = this.#parts.source();
    if (source === undefined) return NOTHING;
    if (this.#some?.source !== source) {
      this.#some = { source, check: new SelfCheck(source.checked, this.#env) };
    }
    const { check } = this.#some;
    const { pageSize, pageCount } = source.checked.index;
    const from = check.next;
    const bad = await check.step(Math.max(1, Math.floor(bytes / pageSize)));
    const pages = check.next > from ? check.next - from : pageCount + 1 - from;
    this.#parts.counters.checkedPages += pages;
    this.#parts.counters.badPages += bad.length;
    if (bad.length > 0) this.#parts.distrust(bad[0]!);
    return { bytes: pages * pageSize, isLast: check.next === 1 };
  }
}

/** Small databases are not read again and again: a round takes so long at least. */
const ROUND_S = 30;

/** The replicas of a node, one after the other and from the beginning again, so many bytes a second. */
export class SelfChecks {
  readonly #bytesPerSecond: number;
  /** The database whose pages are checked next; beyond the last one: the next round begins. */
  #next = Infinity;
  #second = 0;
  #roundBegan = -ROUND_S;
  #working = false;

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** What is due in a second. A primary's file is only checked when asked. */
  async step(
    databases: readonly { readonly role: Role; readonly checks: Pick<FileChecks, "some"> }[],
  ): Promise<void> {
    this.#second++;
    if (this.#working) return;
    this.#working = true;
    try {
      for (let left = this.#bytesPerSecond; left > 0;) {
        if (this.#next >= databases.length && !this.#beginRound(databases.length)) return;
        const { role, checks } = databases[this.#next]!;
        const { bytes, isLast } = role === "replica" ? await checks.some(left) : NOTHING;
        left -= bytes;
        if (isLast) this.#next++; // from its first page, the next time round
      }
    } catch (error) {
      if (!(error instanceof LiveError)) throw error; // a bug
      this.#next++; // what the disk does is told as trouble
    } finally {
      this.#working = false;
    }
  }
  #beginRound(databases: number): boolean {
    if (databases === 0 || this.#second - this.#roundBegan < ROUND_S) return false;
    this.#roundBegan = this.#second;
    this.#next = 0;
    return true;
  }
}
