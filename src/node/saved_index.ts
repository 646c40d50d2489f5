/**
 * The hashes of a database's pages on disk, `<db>-live/index`, so that a start costs what changed since
 * and not a read of the whole file. May import: base/, pages/.
 *
 *     header   512 B, xxh64 and a line of JSON: whose hashes these are, and the proof below
 *     base     8 B a page: the high and the low word of its hash, in the machine's byte order
 *     changes  12 B each: page, high, low; what logs held when they began anew; the last one counts
 *
 * Written when a log begins anew: all of the old log is in the file then, and the new one is the redo
 * log of what is written here. Never fsynced: it is believed only if all of this holds,
 *   - the same boot, file (device, inode, birth) and page size: what was written is what is read,
 *   - the log of now is the one that began then (its salts); all of it is read again,
 *   - the file has not been changed (ctime, ns) since the last checkpoint of ours: no checkpoint of an
 *     application, no backup copied over it, no byte written by hand,
 *   - the hashes have the XOR that was written down.
 * Else the file is read. Nothing else rests on it: where it cannot be written, a start takes longer.
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { formatWords, giveBack, ZERO_WORDS } from "../base/bytes.ts";
import type { Env } from "../base/env.ts";
import { messageOf } from "../base/errors.ts";
import type { Txid } from "../base/types.ts";
import { hash64 } from "../pages/hash.ts";
import type { PageIndex } from "../pages/page_index.ts";
import { bootId } from "./side_files.ts";

/** Bytes; tests lower them. */
export const LIMITS = {
  /** A file below this is read as fast. */
  worth: 16 * 1024 * 1024,
  /** Changes up to which the base is not written anew; also up to as many bytes as it has itself. */
  changes: 4 * 1024 * 1024,
};
const HEADER_BYTES = 512;
const SUM_DIGITS = 16;
const HASH_BYTES = 8;
const CHANGE_BYTES = 12;
/** Hashes read or written before other work gets its turn: 1 MiB. */
const SLICE_PAGES = 131_072;
const AGAIN_MS = 60_000;

/** The open database (node/handle). */
export interface IndexedFile {
  readonly device: number;
  readonly inode: number;
  readonly born: number;
  readonly pageSize: number;
  /** ctime of the database file, ns. */
  changed(): bigint;
}

export interface Salts {
  readonly salt1: number;
  readonly salt2: number;
}

interface Header {
  readonly format: 1;
  readonly boot: string;
  readonly device: number;
  readonly inode: number;
  readonly born: number;
  readonly pageSize: number;
  /** ns; too large for a number. */
  readonly changed: string;
  readonly salt1: number;
  readonly salt2: number;
  /** Of the database at that time, and the XOR of their hashes. */
  readonly pages: number;
  readonly hash: string;
  /** Pages of the base, and bytes of the file that count. */
  readonly base: number;
  readonly end: number;
}

type Contents = Pick<Header, "salt1" | "salt2" | "pages" | "hash" | "base" | "end">;

export class SavedIndex {
  readonly #path: string;
  readonly #file: IndexedFile;
  readonly #index: PageIndex;
  readonly #env: Env;
  readonly #boot = bootId();
  /** What the file on disk says; undefined while it says nothing. */
  #contents: Contents | undefined;
  /** Changes of logs that began anew while a base is being written. */
  #meanwhile: { bytes: Bytes[]; last?: Contents } | undefined;
  /** After a failure, monotonic ms. */
  #notBefore = 0;
  #closed = false;

  /** `folder`: `<db>-live`. */
  constructor(folder: string, file: IndexedFile, index: PageIndex, env: Env) {
    this.#path = `${folder}/index`;
    this.#file = file;
    this.#index = index;
    this.#env = env;
  }

  /** From now on it is kept, for the log of `salts`. Resolves when it is on disk; never throws. */
  async begin(salts: Salts): Promise<void> {
    const { pageCount, pageSize } = this.#index;
    const worth = pageCount * pageSize >= LIMITS.worth && this.#boot !== "";
    if (this.#closed || this.#meanwhile !== undefined || !worth) return;
    if (this.#env.clock.monotonic() < this.#notBefore) return;
    this.#meanwhile = { bytes: [] };
    try {
      await this.#writeBase(salts);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#meanwhile = undefined;
    }
  }

  /** The log begins anew, as that of `salts`; the index still has the frames of the old one. Never throws. */
  restarted({ salt1, salt2 }: Salts): void {
    const index = this.#index;
    const now = { salt1, salt2, pages: index.pageCount, hash: formatWords(index.hash) };
    if (this.#meanwhile !== undefined) {
      this.#meanwhile.bytes.push(changesOf(index));
      this.#meanwhile.last = { ...now, base: 0, end: 0 };
      return;
    }
    const { base, end } = this.#contents ?? { base: 0, end: 0 };
    const tooLong = end - HEADER_BYTES - base * HASH_BYTES >
      Math.max(LIMITS.changes, base * HASH_BYTES);
    if (this.#contents === undefined || tooLong) return void this.begin({ salt1, salt2 });
    try {
      using file = Deno.openSync(this.#path, { write: true });
      const bytes = changesOf(index);
      writeAll(file, bytes, end);
      this.#writeHeader(file, { ...now, base, end: end + bytes.length });
    } catch (error) {
      this.#failed(error);
    }
  }

  /** A checkpoint has written to the database file. Never throws. */
  checkpointed(): void {
    if (this.#contents === undefined) return;
    try {
      using file = Deno.openSync(this.#path, { write: true });
      this.#writeHeader(file, this.#contents);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** The next start reads the database file. */
  discard(): void {
    this.#contents = undefined;
    for (const path of [this.#path, `${this.#path}.new`]) {
      try {
        Deno.removeSync(path);
      } catch { /* there was none */ }
    }
  }

  /** What is on disk stays; the last connection may still checkpoint. */
  close(): void {
    this.#closed = true;
  }

  async #writeBase({ salt1, salt2 }: Salts): Promise<void> {
    const index = this.#index;
    const path = `${this.#path}.new`;
    using file = Deno.openSync(path, { create: true, truncate: true, write: true });
    const base = index.pageCount;
    const sum = new Uint32Array(2);
    let end = HEADER_BYTES;
    for (let first = 1; first <= base; first += SLICE_PAGES) {
      const words = index.hashesFrom(first, Math.min(SLICE_PAGES, base - first + 1));
      addAll(sum, words);
      writeAll(file, new Uint8Array(words.buffer), end);
      end += words.byteLength;
      giveBack(words);
      await this.#env.clock.sleep(0);
      if (this.#closed) return;
    }
    const { bytes, last } = this.#meanwhile!;
    for (const changes of bytes) {
      writeAll(file, changes, end);
      end += changes.length;
    }
    const hash = formatWords({ high: sum[0]!, low: sum[1]! });
    this.#writeHeader(file, { ...(last ?? { salt1, salt2, pages: base, hash }), base, end });
    Deno.renameSync(path, this.#path);
  }

  #writeHeader(file: Deno.FsFile, contents: Contents): void {
    const { device, inode, born, pageSize } = this.#file;
    const changed = `${this.#file.changed()}`;
    const proof = { format: 1, boot: this.#boot, device, inode, born, pageSize, changed } as const;
    const header: Header = { ...proof, ...contents };
    writeAll(file, encodeHeader(header), 0);
    this.#contents = contents;
  }

  /** A full disk: a start takes longer. */
  #failed(error: unknown): void {
    this.#notBefore = this.#env.clock.monotonic() + AGAIN_MS;
    if (!this.#closed) {
      this.#env.log.warn("the page index is not saved, a restart reads the whole database", {
        why: messageOf(error),
      });
    }
    this.discard();
  }
}

/**
 * Fills `index` with what was saved for the log of `salts`, all pages as of `at`; false if that cannot
 * be believed, and then the index is of no use. The log is to be read from its start after this.
 */
export async function loadIndex(
  folder: string,
  file: IndexedFile,
  salts: Salts,
  index: PageIndex,
  at: Txid,
  env: Env,
): Promise<boolean> {
  try {
    using saved = openSaved(folder);
    const header = decodeHeader(readUpTo(saved, new Uint8Array(HEADER_BYTES)));
    if (header === undefined || !holds(header, file, salts)) return false;
    index.resize(header.pages);
    for (let first = 1; first <= header.base; first += SLICE_PAGES) {
      const count = Math.min(SLICE_PAGES, header.base - first + 1);
      const words = new Uint32Array(2 * count);
      readWhole(saved, words);
      const last = Math.min(first + count - 1, header.pages);
      for (let pgno = first, slot = 0; pgno <= last; pgno++, slot += 2) {
        index.record(pgno, words[slot]!, words[slot + 1]!, at, 0);
      }
      giveBack(words);
      await env.clock.sleep(0);
    }
    const changes = new Uint32Array(
      (header.end - HEADER_BYTES - header.base * HASH_BYTES) / 4,
    );
    readWhole(saved, changes);
    for (let slot = 0; slot < changes.length; slot += 3) {
      const pgno = changes[slot]!;
      if (pgno <= header.pages) index.record(pgno, changes[slot + 1]!, changes[slot + 2]!, at, 0);
    }
    return formatWords(index.hash) === header.hash;
  } catch (error) {
    const absent = error instanceof Deno.errors.NotFound;
    if (!absent) env.log.warn("the saved page index cannot be read", { why: messageOf(error) });
    return false;
  }
}

function openSaved(folder: string): Deno.FsFile {
  return Deno.openSync(`${folder}/index`, { read: true });
}

function holds(header: Header, file: IndexedFile, { salt1, salt2 }: Salts): boolean {
  const { device, inode, born, pageSize } = file;
  return header.boot !== "" && header.boot === bootId() && header.device === device &&
    header.inode === inode && header.born === born && header.pageSize === pageSize &&
    header.salt1 === salt1 && header.salt2 === salt2 &&
    header.changed === `${file.changed()}`;
}

/** The pages that the log holds, and their hashes. */
function changesOf(index: PageIndex): Bytes {
  const pages = index.logged;
  const words = new Uint32Array((CHANGE_BYTES / 4) * pages.length);
  let slot = 0;
  for (const pgno of pages) {
    const { high, low } = index.hashOf(pgno);
    words[slot++] = pgno;
    words[slot++] = high;
    words[slot++] = low;
  }
  return new Uint8Array(words.buffer);
}

function addAll(sum: Uint32Array, words: Uint32Array): void {
  let [high, low] = [sum[0]!, sum[1]!];
  for (let slot = 0; slot < words.length; slot += 2) {
    high ^= words[slot]!;
    low ^= words[slot + 1]!;
  }
  sum[0] = high;
  sum[1] = low;
}

/** "hash JSON", filled up with spaces. */
function encodeHeader(header: Header): Bytes {
  const json = JSON.stringify(header);
  return new TextEncoder().encode(`${`${sumOf(json)} ${json}`.padEnd(HEADER_BYTES - 1)}\n`);
}

/** Undefined if it is none, or torn. */
function decodeHeader(bytes: Bytes): Header | undefined {
  const text = new TextDecoder().decode(bytes).trimEnd();
  const json = text.slice(SUM_DIGITS + 1);
  if (text.slice(0, SUM_DIGITS) !== sumOf(json)) return undefined;
  const header: Header = JSON.parse(json);
  return header.format === 1 ? header : undefined;
}

function sumOf(json: string): string {
  return formatWords(hash64(new TextEncoder().encode(json), ZERO_WORDS));
}

function writeAll(file: Deno.FsFile, bytes: Bytes, offset: number): void {
  file.seekSync(offset, Deno.SeekMode.Start);
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}

/** What of `into` could be filled. */
function readUpTo(file: Deno.FsFile, into: Bytes): Bytes {
  let done = 0;
  while (done < into.length) {
    const count = file.readSync(into.subarray(done));
    if (count === null) break;
    done += count;
  }
  return into.subarray(0, done);
}

/** @throws {Error} if the file ends before. */
function readWhole(file: Deno.FsFile, words: Uint32Array<ArrayBuffer>): void {
  const bytes = new Uint8Array(words.buffer);
  if (readUpTo(file, bytes).length < bytes.length) throw new Error("it is cut short");
}
