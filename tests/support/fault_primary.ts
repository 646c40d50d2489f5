/**
 * An upstream as a model: a database that commits with growth, shrinks and rewrites, remembers every
 * state it ever had, and answers by the real LiveSource. May import: src/, tests/support.
 *
 * Faults it may inject: `restart()` begins a new epoch, with or without the loss of its last commits
 * (a power cut with synchronous=NORMAL); `down` refuses connections.
 * @module
 */
import { type Bytes, formatWords } from "../../src/base/bytes.ts";
import type { Env } from "../../src/base/env.ts";
import { LiveError } from "../../src/base/errors.ts";
import {
  type DatabaseId,
  type Epoch,
  formatPosition,
  type Position,
  type Txid,
  txid,
  ZERO_TXID,
} from "../../src/base/types.ts";
import { Counters } from "../../src/node/counters.ts";
import { LiveSource, type LocalDatabase } from "../../src/node/live_source.ts";
import { hashPage } from "../../src/pages/hash.ts";
import { PageIndex } from "../../src/pages/page_index.ts";
import { PageReader } from "../../src/pages/page_reader.ts";
import { PendingPages } from "../../src/pages/pending.ts";
import { FakeFile } from "./fake_file.ts";
import type { Chance } from "./fault_plan.ts";

/** The version of each page, from page 1. */
export type Versions = readonly number[];

/** One committed state. */
export interface Moment {
  /** Order of all moments of all epochs. */
  readonly seq: number;
  readonly position: Position;
  readonly versions: Versions;
  /** 16 hex digits. */
  readonly hash: string;
}

/** The one content of (page, version): every byte says which it is; page 1 is a database header. */
export class PageBook {
  readonly #pages = new Map<number, Bytes>();
  constructor(readonly pageSize: number) {}

  page(pgno: number, version: number): Bytes {
    const key = version * 2 ** 20 + pgno;
    let page = this.#pages.get(key);
    if (page === undefined) this.#pages.set(key, page = this.#make(pgno, version));
    return page;
  }

  versionOf(page: Bytes): number {
    return new DataView(page.buffer, page.byteOffset).getUint32(this.pageSize - 4);
  }

  #make(pgno: number, version: number): Bytes {
    const words = new Uint32Array(this.pageSize / 4);
    let word = (Math.imul(version, 0x9e3779b1) ^ pgno) >>> 0;
    for (let at = 0; at < words.length; at++) {
      words[at] = word = (Math.imul(word, 0x01000193) + at) >>> 0;
    }
    const page = new Uint8Array(words.buffer);
    if (pgno === 1) {
      page.set(new TextEncoder().encode("SQLite format 3\0"));
      const field = this.pageSize === 65536 ? 1 : this.pageSize;
      page.set([field >>> 8, field & 0xff, 2, 2], 16);
    }
    new DataView(page.buffer).setUint32(this.pageSize - 4, version);
    return page;
  }
}

export type CommitKind = "touch" | "grow" | "shrink" | "rewrite" | "same-pages";
export const COMMIT_KINDS: readonly CommitKind[] = [
  "touch",
  "touch",
  "touch",
  "same-pages",
  "grow",
  "shrink",
  "rewrite",
];

const words = new Uint32Array(2);

export class ModelPrimary implements LocalDatabase {
  readonly role = "primary";
  readonly ancestors = [];
  readonly counters = new Counters();
  readonly book: PageBook;
  readonly moments: Moment[] = [];
  delayMs = 0;
  down = false;
  source: LiveSource;
  index: PageIndex;
  pages: PageReader;
  readonly #byPosition = new Map<string, Moment>();
  readonly #byPage1 = new Map<number, Moment[]>();
  readonly #chance: Chance;
  readonly #env: Env;
  #file = new FakeFile();
  #epoch: Epoch;
  #txid: Txid = ZERO_TXID;
  #versions: Versions = [];
  #version: number;

  constructor(
    readonly id: DatabaseId,
    pageSize: number,
    pageCount: number,
    chance: Chance,
    env: Env,
    firstVersion = 1,
  ) {
    this.book = new PageBook(pageSize);
    this.#chance = chance;
    this.#env = env;
    this.#version = firstVersion;
    this.#epoch = env.random.id() as Epoch;
    this.index = new PageIndex(pageSize);
    this.pages = this.#reader();
    this.source = new LiveSource(this, env);
    this.#commit(Array.from({ length: pageCount }, (_, nth) => nth + 1), pageCount);
  }

  get position(): Position {
    return { epoch: this.#epoch, txid: this.#txid };
  }
  get now(): Moment {
    return this.moments.at(-1)!;
  }
  staleMs(): number {
    return 0;
  }
  refresh(): boolean {
    return true;
  }
  distrust(pgno: number): void {
    throw new Error(`the model's page ${pgno} is not what its index says`);
  }

  at(position: Position): Moment | undefined {
    return this.#byPosition.get(formatPosition(position));
  }

  /** Moments that had the content with this page 1, oldest first. */
  withPage1(version: number): readonly Moment[] {
    return this.#byPage1.get(version) ?? [];
  }

  commit(kind: CommitKind): void {
    const count = this.#versions.length;
    const below = (limit: number): number => this.#chance.below(Math.max(1, limit));
    const some = Array.from({ length: 1 + below(4) }, () => 1 + below(count));
    switch (kind) {
      case "touch":
        return this.#commit([1, ...some], count);
      case "same-pages": // so that an old answer would lead back to an old state
        return this.#commit([1, 2].slice(0, count), count);
      case "grow":
        return this.#commit([1, ...some], count + 1 + below(Math.max(6, count / 4)));
      case "shrink":
        return this.#commit([1, ...some], Math.max(2, count - 1 - below(count / 3)));
      case "rewrite":
        return this.#commit(
          Array.from({ length: count }, (_, nth) => nth + 1),
          Math.max(2, count - below(count / 2)),
        );
    }
  }

  /** A new opening of the file, `lost` commits older. Every txid of it is unknown before. */
  restart(lost: number): void {
    const from = this.moments[Math.max(0, this.moments.length - 1 - lost)]!;
    const ended = this.source;
    this.#epoch = this.#env.random.id() as Epoch;
    this.#txid = txid(from.position.txid + 1);
    this.#file = new FakeFile();
    this.index = new PageIndex(this.book.pageSize);
    this.index.resize(from.versions.length);
    for (const [nth, version] of from.versions.entries()) {
      const pgno = nth + 1;
      const page = this.book.page(pgno, version);
      this.#file.write(page, nth * this.book.pageSize);
      hashPage(page, pgno, words);
      this.index.record(pgno, words[0]!, words[1]!, this.#txid, 0);
    }
    this.index.setFloor(this.#txid);
    this.#versions = from.versions;
    this.pages = this.#reader();
    this.source = new LiveSource(this, this.#env);
    this.#remember();
    ended.end(new LiveError("not_ready", "The database is being opened again"));
  }

  #commit(pgnos: readonly number[], pageCount: number): void {
    const version = this.#version++;
    const { pageSize } = this.book;
    const changed = new Set(pgnos.filter((pgno) => pgno <= pageCount));
    for (let pgno = this.#versions.length + 1; pgno <= pageCount; pgno++) changed.add(pgno);
    const versions = this.#versions.slice(0, pageCount);
    const pending = new PendingPages();
    for (const pgno of changed) {
      versions[pgno - 1] = version;
      const page = this.book.page(pgno, version);
      this.#file.write(page, (pgno - 1) * pageSize);
      hashPage(page, pgno, words);
      pending.add(pgno, { high: words[0]!, low: words[1]! }, 0);
    }
    this.#versions = versions;
    this.#file.truncate(pageCount * pageSize);
    this.#txid = txid(this.#txid + 1);
    pending.commitTo(this.index, pageCount, this.#txid);
    this.#remember();
    this.source.notify();
  }

  #remember(): void {
    const { position } = this;
    const hash = formatWords(this.index.hash);
    const moment = { seq: this.moments.length, position, versions: this.#versions, hash };
    this.moments.push(moment);
    this.#byPosition.set(formatPosition(position), moment);
    const key = this.#versions[0]!;
    const same = this.#byPage1.get(key);
    if (same === undefined) this.#byPage1.set(key, [moment]);
    else same.push(moment);
  }

  #reader(): PageReader {
    const database = this.#file;
    return new PageReader({ database, wal: new FakeFile(), backfilled: () => 0 });
  }
}
