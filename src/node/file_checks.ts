/**
 * Checks of one database's pages on disk: all of them because somebody asks, or some each second. May
 * import: base/, node/{counters,live_source,self_check}.
 * @module
 */
import type { Env } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import type { Counters } from "./counters.ts";
import type { LiveSource } from "./live_source.ts";
import { checkAll, type CheckProgress, SelfCheck } from "./self_check.ts";

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

  /** Checks up to `bytes`. @returns the bytes of what it did, or undefined: all pages are done. */
  async some(bytes: number): Promise<number | undefined> {
    const source = this.#parts.source();
    if (source === undefined) return undefined;
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
    return check.next === 1 ? undefined : pages * pageSize;
  }
}
