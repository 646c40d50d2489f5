/**
 * What must be true of a replica at every moment, whatever failed. May import: src/, tests/support.
 *
 * What a reader sees is one whole state that the primary had, page by page; within one boot never an
 * older one, after a power cut none older than was told as durable; what the node says and wrote down
 * about its position is so; a file that was readable does not vanish; who stands in a read transaction
 * sees one state.
 * @module
 */
import { type Bytes, formatWords } from "../../src/base/bytes.ts";
import type { Position } from "../../src/base/types.ts";
import { decode } from "../../src/changes/decoder.ts";
import type { Beat } from "../../src/changes/records.ts";
import type { ChangeSource, Report } from "../../src/changes/source.ts";
import type { DatabaseStatus } from "../../src/node/status.ts";
import type { ModelPrimary, Moment } from "./fault_primary.ts";
import { type Reader, type ReaderFiles, samePage } from "./fault_reader.ts";
import type { View } from "./fault_stock.ts";

const GUARD = 127;
const GUARD_BYTE = 18;

/** Something that must never be was seen. */
export class Violation extends Error {
  override readonly name = "Violation";
}

export class Judge {
  /** The file has been readable: it does not vanish. */
  mustExist = false;
  readonly #files: ReaderFiles;
  readonly #primary: ModelPrimary;
  /** No reader of this boot has seen less. */
  #floor = 0;
  /** Told to the upstream as durable: no power cut leads to less. */
  #durable = 0;

  constructor(files: ReaderFiles, primary: ModelPrimary) {
    this.#files = files;
    this.#primary = primary;
  }

  afterPowerCut(): void {
    this.#floor = this.#durable;
  }

  heard({ epoch, durable }: Report): void {
    const moment = this.#primary.at({ epoch, txid: durable });
    if (moment !== undefined) this.#durable = Math.max(this.#durable, moment.seq);
  }

  /** `status` of the node if it runs, the bytes of its state file. @throws {Violation} */
  check(
    status: DatabaseStatus | undefined,
    state: Bytes | undefined,
    readers: readonly Reader[],
  ): void {
    if (!this.#files.there) {
      if (this.mustExist) throw new Violation("the database is gone");
      return;
    }
    const moment = this.see(status !== undefined);
    for (const reader of readers) {
      if (!reader.holds()) throw new Violation("a read transaction saw another state on its way");
    }
    if (status?.epoch !== undefined) this.#mustBe(status as Position, moment.hash, "it says it is");
    for (const { hash, ...position } of contentsOf(state)) {
      this.#mustBe(position, hash, "it wrote down");
    }
    if (status?.readable === true) this.mustExist = true;
  }

  /** What the node tells its own replicas beside their streams. @throws {Violation} */
  told({ epoch, txid, hash }: Beat): void {
    this.#mustBe({ epoch, txid }, formatWords(hash), "it tells that it is");
  }

  /** What a reader sees that begins now, and one that began before the last checkpoint. */
  see(up: boolean): Moment {
    if (this.#files.look(false) === undefined) {
      if (up) throw new Violation("the wal-index is broken while the node runs");
      this.#files.recover();
    }
    const moment = this.#momentOf(this.#files.look(false)!);
    this.#momentOf(this.#files.look(true)!);
    this.#floor = moment.seq;
    return moment;
  }

  /** What the node serves to its own replicas. */
  async ask(source: ChangeSource, wanted: Moment): Promise<void> {
    const pages = new Map<number, Bytes>();
    for await (const record of decode(source.changes({}, new AbortController().signal))) {
      if (record.type === "commit") break;
      if (record.type !== "pages") continue;
      for (let nth = 0; nth < record.count; nth++) {
        pages.set(record.pgno(nth), record.page(nth).slice());
      }
    }
    const { versions } = wanted;
    const { book } = this.#primary;
    const same = pages.size === versions.length &&
      versions.every((version, nth) => samePage(pages.get(nth + 1)!, book.page(nth + 1, version)));
    if (!same) throw new Violation("it serves another state than it shows");
  }

  #momentOf(view: View): Moment {
    const page1 = view.page(1);
    if (page1[GUARD_BYTE] !== GUARD) throw new Violation("page 1 has lost the write guard");
    page1[GUARD_BYTE] = 2;
    const moments = this.#primary.withPage1(this.#primary.book.versionOf(page1))
      .filter((moment) => this.#shows(view, page1, moment));
    if (moments.length === 0) {
      throw new Violation(`no state that ever was: ${this.#mixture(view, page1)}`);
    }
    const moment = moments.find(({ seq }) => seq >= this.#floor);
    if (moment !== undefined) return moment;
    throw new Violation(`it went back: shows ${moments.at(-1)!.seq}, was at ${this.#floor}`);
  }

  #shows(view: View, page1: Bytes, { versions }: Moment): boolean {
    if (view.pageCount !== versions.length) return false;
    const { book } = this.#primary;
    return versions.every((version, nth) =>
      samePage(nth === 0 ? page1 : view.page(nth + 1), book.page(nth + 1, version))
    );
  }

  #mixture(view: View, page1: Bytes): string {
    const { book } = this.#primary;
    const pages = Array.from({ length: view.pageCount }, (_, nth) => {
      const page = nth === 0 ? page1 : view.page(nth + 1);
      const version = book.versionOf(page);
      return samePage(page, book.page(nth + 1, version)) ? version : "broken";
    });
    return `${view.pageCount} pages of versions ${pages.join(" ")}`;
  }

  #mustBe(position: Position, hash: string, what: string): void {
    const known = this.#primary.at(position);
    if (known?.hash === hash) return;
    const { epoch, txid } = position;
    throw new Violation(`${what} ${epoch}/${txid} with hash ${hash}, which is ${known?.hash}`);
  }
}

/** What a state file claims; a torn one claims nothing. */
function contentsOf(bytes: Bytes | undefined): readonly (Position & { hash: string })[] {
  if (bytes === undefined) return [];
  try {
    const line = new TextDecoder().decode(bytes).split("\n", 1)[0]!;
    const state: { contents?: (Position & { hash: string })[] } = JSON.parse(line);
    return state.contents ?? [];
  } catch {
    return [];
  }
}
