/**
 * Which file may be filled from the upstream: one that is ours, one that shares pages with it, one that
 * a person has accepted to be set aside. May import: base/, changes/, pages/, node/.
 *
 * Invariant: a file that is refused is left as it was: no lock on it, no journal mode changed, no byte
 * written. A live database must survive an `upstream` that was set by mistake, and a good copy an
 * upstream that was emptied or made anew.
 * @module
 */
import type { Env } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import { type Lineage, supersedes } from "../base/lineage.ts";
import { type DatabaseId, ZERO_TXID } from "../base/types.ts";
import type { Hello } from "../changes/records.ts";
import { askHello, type Difference, findDifference } from "../changes/repair.ts";
import type { ChangeSource } from "../changes/source.ts";
import { PageIndex } from "../pages/page_index.ts";
import { setAside, takeAcceptance } from "./aside.ts";
import { databaseHeader, PlainFile } from "./plain_file.ts";
import { refuseUsed } from "./proc_locks.ts";
import { scanFile } from "./scan.ts";
import type { UpstreamView } from "./upstream_view.ts";

/** A file that is not known to be ours must share this part of its pages with the upstream. */
const SIMILAR = 0.1;

export interface ApprovalParts {
  readonly path: string;
  readonly upstream: ChangeSource;
  readonly view: UpstreamView;
  /** The history of the file, as far as it is known. */
  history(): Pick<Lineage, "ancestors">;
}

interface Refused {
  readonly refusal: LiveError;
  readonly upstream: DatabaseId;
  readonly file: string;
}

export class Approval {
  readonly #parts: ApprovalParts;
  readonly #env: Env;
  #refused: Refused | undefined;

  constructor(parts: ApprovalParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  /** The upstream's hello, without changes: its page size is needed before anything else. */
  async hello(signal: AbortSignal): Promise<Hello> {
    const hello = await askHello(this.#parts.upstream, signal);
    this.#parts.view.hello(hello);
    return hello;
  }

  /** @throws {LiveError} "guard" if a file of `pageSize` cannot hold what the upstream has. */
  checkPageSize(hello: Hello, pageSize: number): void {
    if (hello.pageSize === pageSize) return;
    throw new LiveError(
      "guard",
      `The upstream's page size is ${hello.pageSize}, this file's ${pageSize}; ${this.#howTo()}`,
      { acceptable: 1 },
    );
  }

  /** @throws {LiveError} "guard" if the upstream is where this file's history has left it. */
  #checkHistory({ epoch }: Hello): void {
    if (!supersedes(this.#parts.history(), epoch)) return;
    throw new LiveError(
      "guard",
      `The upstream is still in epoch ${epoch}, which ended when a replica of it was promoted, and ` +
        `"${this.#parts.path}" has followed that one: give it that node as upstream.url; ${this.#howTo()}`,
      { acceptable: 1 },
    );
  }

  /** What differs, of a file that may be filled whatever it holds. */
  async difference(index: PageIndex, signal: AbortSignal): Promise<Difference> {
    return await findDifference(index, this.#parts.upstream, signal, (hello) => {
      this.checkPageSize(hello, index.pageSize);
      this.#checkHistory(hello);
      this.#parts.view.hello(hello);
    });
  }

  /**
   * What differs, of a file that is known as a copy of database `known`, or not at all.
   * @throws {LiveError} "guard" if it is not ours and shares hardly a page with the upstream.
   */
  async similar(
    index: PageIndex,
    known: DatabaseId | undefined,
    signal: AbortSignal,
  ): Promise<Difference> {
    const difference = await this.difference(index, signal);
    const { hello, equal } = difference;
    const most = Math.min(index.pageCount, hello.pageCount);
    if (hello.id === known || equal >= Math.max(1, most * SIMILAR)) return difference;
    const { path } = this.#parts;
    const refusal = new LiveError(
      "guard",
      `"${path}" shares ${equal} of ${most} pages with the upstream: it seems to be another ` +
        `database and is not touched; ${this.#howTo()}`,
      { equal, pages: most, acceptable: 1 },
    );
    this.#refused = { refusal, upstream: hello.id, file: fingerprint(path) };
    throw refusal;
  }

  /**
   * A database in rollback mode is set to WAL when it is opened: not before it is known as a copy.
   * @returns true if it is; false if the file is in WAL mode and is judged once it is open.
   */
  async ofRollbackMode(signal: AbortSignal): Promise<boolean> {
    const { path, view } = this.#parts;
    using file = PlainFile.open(path);
    const header = databaseHeader(file);
    if (header?.rollback !== true) return false;
    refuseUsed(path);
    if (header.empty) return true;
    const index = new PageIndex(header.pageSize);
    index.resize(Math.floor(file.size() / header.pageSize));
    const progress = (done: number, total: number): void => view.progress(done, total);
    await scanFile({ database: file }, index, ZERO_TXID, this.#env, progress);
    view.endProgress();
    await this.similar(index, undefined, signal);
    return true;
  }

  /** A file that was refused and has not changed is not read again, which could take minutes. */
  async refuseAgain(signal: AbortSignal): Promise<void> {
    const refused = this.#refused;
    if (refused === undefined) return;
    if (fingerprint(this.#parts.path) === refused.file) {
      if ((await this.hello(signal)).id === refused.upstream) throw refused.refusal;
    }
    this.#refused = undefined;
  }

  /** True once if `error` is a refusal and a person has accepted that the file is set aside. */
  accepted(error: unknown, folder: string): boolean {
    const refusal = error instanceof LiveError && error.context["acceptable"] === 1;
    return refusal && takeAcceptance(folder);
  }

  /** The file must be closed. */
  setAside(folder: string): void {
    this.#refused = undefined;
    const aside = setAside(this.#parts.path, folder);
    this.#env.log.warn("the old file is set aside, as was accepted", { aside });
  }

  #howTo(): string {
    return `\`litestream-live accept ${this.#parts.path}\` sets the old file aside and receives a ` +
      "first copy";
  }
}

/** Changes when the file does. */
function fingerprint(path: string): string {
  try {
    const { dev, ino, size, mtime } = Deno.statSync(path);
    return [dev, ino, size, mtime?.getTime()].join();
  } catch {
    return "";
  }
}
