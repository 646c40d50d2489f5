/**
 * A database in memory that answers as a primary does, beside a plain model of its states; and a copy
 * of one that applies answers. May import: src/base, src/pages, src/changes, src/node (LocalDatabase,
 * Counters, Target), tests/support.
 *
 * Faults it may inject: `late` commits are in the file before the index knows (a page that moved), as
 * on a primary whose log has not been read; `spoil()` changes a page behind everybody's back.
 * @module
 */
import { type Bytes, sameWords, type Words } from "../../src/base/bytes.ts";
import { LiveError } from "../../src/base/errors.ts";
import {
  type DatabaseId,
  type Epoch,
  type Position,
  type Txid,
  txid,
} from "../../src/base/types.ts";
import type { Begin, Commit, Pages } from "../../src/changes/records.ts";
import { Counters } from "../../src/node/counters.ts";
import type { LocalDatabase } from "../../src/node/live_source.ts";
import type { Target } from "../../src/node/target.ts";
import { hashPage } from "../../src/pages/hash.ts";
import { PageIndex } from "../../src/pages/page_index.ts";
import { PageReader } from "../../src/pages/page_reader.ts";
import { PendingPages } from "../../src/pages/pending.ts";
import { FakeFile } from "./fake_file.ts";
import { pageOf } from "./fixtures_wal.ts";

/** The version of each page, from page 1; its length is the database's size. */
export type Versions = readonly number[];

const hashWords = new Uint32Array(2);

function hashOf(page: Bytes, pgno: number): Words {
  hashPage(page, pgno, hashWords);
  return { high: hashWords[0]!, low: hashWords[1]! };
}

export class FakeDatabase implements LocalDatabase {
  readonly id: DatabaseId;
  readonly counters = new Counters();
  readonly index: PageIndex;
  readonly pages: PageReader;
  readonly file = new FakeFile();
  delayMs = 0;
  stale = 0;
  role: "primary" | "replica" = "primary";
  epoch = "00000000000000e1" as Epoch;
  ancestors: readonly Position[] = [];
  /** Commits wait for refresh(). */
  late = false;
  /** So many refresh() find the log in the middle of a commit. */
  unreadable = 0;
  /** Pages that were given up. */
  readonly distrusted: number[] = [];
  /** What stock SQLite would see at each txid. */
  readonly history = new Map<number, Versions>();
  onRefresh: () => void = () => {};
  #txid: Txid;
  #versions: Versions = [];
  #waiting: (() => void)[] = [];
  #version = 0;

  constructor(readonly pageSize: number, pageCount: number, start = 1) {
    this.id = "00000000000000d1" as DatabaseId;
    this.index = new PageIndex(pageSize);
    this.pages = new PageReader({ database: this.file, wal: new FakeFile(), backfilled: () => 0 });
    this.#txid = txid(start - 1);
    this.commit(Array.from({ length: pageCount }, (_, nth) => nth + 1), pageCount);
  }

  get position(): Position {
    return { epoch: this.epoch, txid: this.#txid };
  }

  staleMs(): number {
    return this.stale;
  }

  get versions(): Versions {
    return this.#versions;
  }

  refresh(): boolean {
    this.onRefresh();
    if (this.unreadable-- > 0) return false;
    for (const commit of this.#waiting.splice(0)) commit();
    return true;
  }

  distrust(pgno: number): void {
    this.distrusted.push(pgno);
  }

  /** New content for `pgnos` and all pages that are new, then `pageCount` pages in all. */
  commit(pgnos: readonly number[], pageCount: number): void {
    const version = ++this.#version;
    const changed = new Set(pgnos.filter((pgno) => pgno <= pageCount));
    for (let pgno = this.#versions.length + 1; pgno <= pageCount; pgno++) changed.add(pgno);
    const versions = [...this.#versions.slice(0, pageCount)];
    const pending = new PendingPages();
    for (const pgno of changed) {
      versions[pgno - 1] = version;
      const page = pageOf(this.pageSize, pgno, version);
      this.file.write(page, (pgno - 1) * this.pageSize);
      pending.add(pgno, hashOf(page, pgno), 0);
    }
    this.#versions = versions;
    this.file.truncate(pageCount * this.pageSize);
    const enter = (): void => {
      this.#txid = txid(this.#txid + 1);
      this.history.set(this.#txid, versions);
      pending.commitTo(this.index, pageCount, this.#txid);
    };
    if (this.late) this.#waiting.push(enter);
    else enter();
  }

  /** Changes a page of the file without a commit. */
  spoil(pgno: number): void {
    this.file.flip((pgno - 1) * this.pageSize + 9);
  }
}

/** Applies answers as a replica does, into a map of pages. */
export class FakeCopy implements Target {
  readonly index: PageIndex;
  /** The version of each page. */
  readonly content = new Map<number, number>();
  /** Where it is, and what happened: "begin", "commit 5", "abort". */
  readonly calls: string[] = [];
  position: Position | undefined;
  /** Copies of pages that came in the answer under way. */
  #copies: [pgno: number, version: number][] = [];
  readonly #pending = new PendingPages();
  /** Runs inside begin() and commit(); what it returns is waited for. */
  onBegin: () => Promise<void> = () => Promise.resolve();
  onCommit: () => Promise<void> = () => Promise.resolve();

  constructor(readonly pageSize: number) {
    this.index = new PageIndex(pageSize);
  }

  get versions(): Versions {
    return Array.from({ length: this.index.pageCount }, (_, nth) => this.content.get(nth + 1) ?? 0);
  }

  /** Takes over a state, as a file that was there before. */
  fill(versions: Versions, at: Position | undefined): void {
    this.content.clear();
    this.index.resize(versions.length);
    for (const [nth, version] of versions.entries()) {
      const pgno = nth + 1;
      this.content.set(pgno, version);
      const hash = hashOf(pageOf(this.pageSize, pgno, version), pgno);
      this.index.record(pgno, hash.high, hash.low, 0, 0);
    }
    this.position = at;
  }

  async begin(_begin: Begin): Promise<void> {
    this.calls.push("begin");
    this.#forget();
    await this.onBegin();
  }

  pages(pages: Pages): void {
    for (let nth = 0; nth < pages.count; nth++) {
      const pgno = pages.pgno(nth);
      const page = pages.page(nth);
      const { high, low } = hashOf(page, pgno);
      const hash = pages.hash(nth);
      if (high !== hash.high || low !== hash.low) {
        throw new LiveError("checksum", `Page ${pgno} arrived with another hash`);
      }
      this.#copies.push([pgno, new DataView(page.buffer, page.byteOffset).getUint32(4)]);
      this.#pending.add(pgno, hash, 1);
    }
  }

  async commit(commit: Commit): Promise<void> {
    if (!sameWords(this.#pending.hashWith(this.index, commit.pageCount), commit.hash)) {
      throw new LiveError("position_gone", "The copy would have another hash");
    }
    await this.onCommit();
    this.#pending.commitTo(this.index, commit.pageCount, commit.txid);
    for (const [pgno, version] of this.#copies) this.content.set(pgno, version);
    for (const pgno of [...this.content.keys()]) {
      if (pgno > commit.pageCount) this.content.delete(pgno);
    }
    this.position = { epoch: commit.epoch, txid: commit.txid };
    this.calls.push(`commit ${commit.txid}`);
    this.#copies = [];
  }

  abort(): void {
    this.calls.push("abort");
    this.#forget();
  }

  #forget(): void {
    this.#copies = [];
    this.#pending.clear();
  }
}
