/**
 * The records of the wire and their byte layouts: docs/PROTOCOL.md in code. Little-endian, 64-bit
 * numbers as low word, high word. No I/O. May import: base/, pages/hash.
 *
 *     header 16 B: u32 payload bytes | u8 type | u24 header check | u64 checksum
 *
 * The header check is of the 5 bytes before it: a broken length is seen before its bytes are waited
 * for. The checksum is xxh64 of the payload, seeded with the header's first 8 bytes; of a pages record it
 * covers the table only: each page is covered by its own hash, which stands in that table.
 * @module
 */
import {
  type Bytes,
  formatWords,
  parseWords,
  viewOf,
  type Words,
  ZERO_WORDS,
} from "../base/bytes.ts";
import { LiveError } from "../base/errors.ts";
import { MAX_ANCESTORS } from "../base/lineage.ts";
import { type DatabaseId, type Epoch, type Position, type Txid, txid } from "../base/types.ts";
import { hash64 } from "../pages/hash.ts";

/** Both nodes must speak the same version. History: docs/PROTOCOL.md "Versions". */
export const PROTOCOL_VERSION = 1;
export const RECORD_HEADER_BYTES = 16;
/** A record's pages are at most this many bytes, so that one record is one send. */
export const RECORD_PAGE_BYTES = 256 * 1024;
/** Largest payload that is accepted; a pages record of 512-byte pages needs 270,000. */
export const MAX_PAYLOAD_BYTES = 512 * 1024;

export const TYPE = {
  hello: 1,
  begin: 2,
  pages: 3,
  commit: 4,
  heartbeat: 5,
  error: 6,
  hashes: 7,
} as const;

/** First record of every stream. */
export interface Hello {
  readonly type: "hello";
  readonly protocol: number;
  readonly pageSize: number;
  readonly pageCount: number;
  readonly id: DatabaseId;
  readonly epoch: Epoch;
  readonly txid: Txid;
  readonly hash: Words;
  /** The histories that `epoch` goes on from, newest first (base/lineage). */
  readonly ancestors: readonly Position[];
}

/** An answer begins: all that is newer than `from`. */
export interface Begin {
  readonly type: "begin";
  readonly from: Txid;
  /** The newest txid now; the commit record may name a later one. */
  readonly to: Txid;
  /** Pages that will come, as far as is known now (for progress). */
  readonly pages: number;
  readonly pageCount: number;
}

/** Pages of an answer. A page may come again; the last one counts. */
export interface Pages {
  readonly type: "pages";
  readonly count: number;
  readonly pageSize: number;
  pgno(nth: number): number;
  hash(nth: number): Words;
  /** True if the two words at `at` of `words` are the hash of the nth. */
  hasHash(nth: number, words: Uint32Array, at: number): boolean;
  /** A view that is valid until the next record is asked for. */
  page(nth: number): Bytes;
  /** Such a view of the pages from `from` on, before `to`, side by side. */
  run(from: number, to: number): Bytes;
}

/** The answer is whole: apply it as one transaction. */
export interface Commit {
  readonly type: "commit";
  readonly epoch: Epoch;
  readonly txid: Txid;
  /** Of the whole database after this transaction. */
  readonly hash: Words;
  readonly pageCount: number;
  /** Page copies sent in this answer. */
  readonly sent: number;
}

/** Where the sender's database is. */
export interface Beat {
  readonly epoch: Epoch;
  readonly txid: Txid;
  readonly hash: Words;
  /** Since the sender was last known to be current itself, ms; 0 of a primary. */
  readonly staleMs: number;
}

export interface Heartbeat extends Beat {
  readonly type: "heartbeat";
  /** Of this stream: the answers sent so far lead to here, so a record that was lost shows. */
  readonly sent: Txid;
}

export interface ErrorRecord {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
}

/** Page hashes of one block, or (level "blocks") the XOR of each block from block `first` on. */
export interface Hashes {
  readonly type: "hashes";
  readonly level: "blocks" | "pages";
  readonly first: number;
  readonly epoch: Epoch;
  readonly txid: Txid;
  readonly pageCount: number;
  /** High word, low word of each. */
  readonly words: Uint32Array<ArrayBuffer>;
}

export type Record = Hello | Begin | Pages | Commit | Heartbeat | ErrorRecord | Hashes;

/** Writes fields one after the other. */
class Writer {
  readonly bytes: Bytes;
  readonly #view: DataView;
  #at = RECORD_HEADER_BYTES;

  constructor(payloadBytes: number) {
    this.bytes = new Uint8Array(RECORD_HEADER_BYTES + payloadBytes);
    this.#view = viewOf(this.bytes);
  }
  u32(value: number): this {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
    return this;
  }
  words(value: Words): this {
    return this.u32(value.low).u32(value.high);
  }
  hex(value: string): this {
    return this.words(parseWords(value) ?? ZERO_WORDS);
  }
  txid(value: Txid): this {
    return this.u32(value % 0x100000000).u32(Math.floor(value / 0x100000000));
  }
  raw(value: Uint8Array): this {
    this.bytes.set(value, this.#at);
    this.#at += value.length;
    return this;
  }
  /** Fills in the header; `checked` payload bytes are covered by the checksum. */
  seal(type: number, checked?: number): Bytes {
    sealRecord(this.bytes, type, checked ?? this.bytes.length - RECORD_HEADER_BYTES);
    return this.bytes;
  }
}

function sealRecord(bytes: Bytes, type: number, checked: number): void {
  const view = viewOf(bytes);
  view.setUint32(0, bytes.length - RECORD_HEADER_BYTES, true);
  view.setUint8(4, type);
  view.setUint32(4, (headerCheck(bytes) << 8) | type, true);
  const sum = hash64(bytes.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + checked), {
    low: view.getUint32(0, true),
    high: view.getUint32(4, true),
  });
  view.setUint32(8, sum.low, true);
  view.setUint32(12, sum.high, true);
}

/** Low 24 bits of xxh64 of length and type. */
function headerCheck(header: Bytes): number {
  return hash64(header.subarray(0, 5), ZERO_WORDS).low & 0xffffff;
}

/**
 * Bytes of the record that begins with `header` (RECORD_HEADER_BYTES of it).
 * @throws {LiveError} "checksum" or "upstream" if that cannot be: nothing is allocated for it.
 */
export function recordLength(header: Bytes): number {
  const view = viewOf(header);
  const payload = view.getUint32(0, true);
  if (payload > MAX_PAYLOAD_BYTES) {
    throw new LiveError("upstream", `Broken stream: a record of ${payload} bytes`, { payload });
  }
  if (view.getUint32(4, true) >>> 8 !== headerCheck(header)) {
    throw new LiveError("checksum", "Broken stream: the header of a record fails its check");
  }
  return RECORD_HEADER_BYTES + payload;
}

export function encodeHello(hello: Omit<Hello, "type" | "protocol">): Bytes {
  const { ancestors } = hello;
  const writer = new Writer(48 + 16 * ancestors.length).u32(PROTOCOL_VERSION).u32(hello.pageSize)
    .u32(hello.pageCount).u32(ancestors.length).hex(hello.id).hex(hello.epoch).txid(hello.txid)
    .words(hello.hash);
  for (const { epoch, txid } of ancestors) writer.hex(epoch).txid(txid);
  return writer.seal(TYPE.hello);
}

export function encodeBegin(begin: Omit<Begin, "type">): Bytes {
  return new Writer(24).txid(begin.from).txid(begin.to).u32(begin.pages).u32(begin.pageCount)
    .seal(TYPE.begin);
}

export function encodeCommit(commit: Omit<Commit, "type">): Bytes {
  return new Writer(32).hex(commit.epoch).txid(commit.txid).words(commit.hash)
    .u32(commit.pageCount).u32(commit.sent).seal(TYPE.commit);
}

export function encodeHeartbeat(beat: Omit<Heartbeat, "type">): Bytes {
  const stale = Math.min(beat.staleMs, 0xffffffff);
  return new Writer(40).hex(beat.epoch).txid(beat.txid).words(beat.hash).u32(stale).u32(0)
    .txid(beat.sent).seal(TYPE.heartbeat);
}

export function encodeError(code: string, message: string): Bytes {
  const text = new TextEncoder().encode(JSON.stringify({ code, message }));
  return new Writer(text.length).raw(text).seal(TYPE.error);
}

export function encodeHashes(hashes: Omit<Hashes, "type">): Bytes {
  const writer = new Writer(32 + 4 * hashes.words.length).hex(hashes.epoch).txid(hashes.txid)
    .u32(hashes.pageCount).u32(hashes.level === "blocks" ? 0 : 1).u32(hashes.first)
    .u32(hashes.words.length / 2);
  for (let at = 0; at < hashes.words.length; at += 2) {
    writer.u32(hashes.words[at + 1]!).u32(hashes.words[at]!);
  }
  return writer.seal(TYPE.hashes);
}

/** Where the pages of a pages record of `count` pages begin. */
export function pagesOffset(count: number): number {
  return RECORD_HEADER_BYTES + 8 + 16 * count;
}

/** A pages record whose pages stand at pagesOffset() already: writes header and table. */
export function sealPages(
  bytes: Bytes,
  pageSize: number,
  pgnos: readonly number[],
  hashOf: (pgno: number) => Words,
): void {
  const view = viewOf(bytes);
  view.setUint32(RECORD_HEADER_BYTES, pgnos.length, true);
  view.setUint32(RECORD_HEADER_BYTES + 4, pageSize, true);
  let at = RECORD_HEADER_BYTES + 8;
  for (const pgno of pgnos) {
    const hash = hashOf(pgno);
    view.setUint32(at, pgno, true);
    view.setUint32(at + 8, hash.low, true);
    view.setUint32(at + 12, hash.high, true);
    at += 16;
  }
  sealRecord(bytes, TYPE.pages, 8 + 16 * pgnos.length);
}

function broken(what: string): LiveError {
  return new LiveError("upstream", `Broken stream: ${what}`);
}

/** Decodes one whole record. @throws {LiveError} "checksum" or "upstream" if it is not one. */
export function decodeRecord(bytes: Bytes): Record {
  const view = viewOf(bytes);
  const type = view.getUint8(4);
  const payload = bytes.subarray(RECORD_HEADER_BYTES);
  let checked = payload.length;
  if (type === TYPE.pages) {
    if (payload.length < 8) throw broken("a pages record without a table");
    checked = 8 + 16 * view.getUint32(RECORD_HEADER_BYTES, true);
    if (checked > payload.length) throw broken("a pages record shorter than its table");
  }
  const sum = hash64(payload.subarray(0, checked), {
    low: view.getUint32(0, true),
    high: view.getUint32(4, true),
  });
  if (view.getUint32(8, true) !== sum.low || view.getUint32(12, true) !== sum.high) {
    throw new LiveError("checksum", `Broken stream: a record of type ${type} fails its checksum`);
  }
  return new Reader(payload).record(type);
}

class Reader {
  readonly #bytes: Bytes;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }
  record(type: number): Record {
    try {
      switch (type) {
        case TYPE.hello:
          return this.#hello();
        case TYPE.begin:
          return { type: "begin", from: this.#txid(), to: this.#txid(), ...this.#counts() };
        case TYPE.pages:
          return this.#pages();
        case TYPE.commit:
          return this.#commit();
        case TYPE.heartbeat:
          return this.#heartbeat();
        case TYPE.error:
          return this.#error();
        case TYPE.hashes:
          return this.#hashes();
      }
    } catch (error) {
      if (error instanceof RangeError) { // past its end, or a txid that is no safe integer
        throw broken(`a record of type ${type} is too short or has an impossible txid`);
      }
      throw error;
    }
    throw broken(`a record of unknown type ${type}`);
  }
  #u32(): number {
    const value = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }
  #words(): Words {
    const low = this.#u32();
    return { low, high: this.#u32() };
  }
  #hex(): string {
    return formatWords(this.#words());
  }
  #txid(): Txid {
    const { low, high } = this.#words();
    return txid(high * 0x100000000 + low);
  }
  #position(): Position {
    return { epoch: this.#hex() as Epoch, txid: this.#txid() };
  }
  #counts(): { pages: number; pageCount: number } {
    return { pages: this.#u32(), pageCount: this.#u32() };
  }
  #hello(): Hello {
    const protocol = this.#u32();
    if (protocol !== PROTOCOL_VERSION) {
      throw broken(`it speaks protocol ${protocol}, this node ${PROTOCOL_VERSION}`);
    }
    const pageSize = this.#u32();
    const pageCount = this.#u32();
    const count = this.#u32();
    if (count > MAX_ANCESTORS) throw broken(`a hello with ${count} ancestors`);
    const id = this.#hex() as DatabaseId;
    const at = this.#position();
    const hash = this.#words();
    const ancestors = Array.from({ length: count }, () => this.#position());
    return { type: "hello", protocol, pageSize, pageCount, id, ...at, hash, ancestors };
  }
  #pages(): Pages {
    const bytes = this.#bytes;
    const view = this.#view;
    const count = this.#u32();
    const pageSize = this.#u32();
    const start = 8 + 16 * count;
    if (bytes.length !== start + count * pageSize) throw broken("a pages record of a wrong length");
    return {
      type: "pages",
      count,
      pageSize,
      pgno: (nth) => view.getUint32(8 + 16 * nth, true),
      hash: (nth) => ({
        low: view.getUint32(16 + 16 * nth, true),
        high: view.getUint32(20 + 16 * nth, true),
      }),
      hasHash: (nth, words, at) =>
        view.getUint32(16 + 16 * nth, true) === words[at + 1] &&
        view.getUint32(20 + 16 * nth, true) === words[at],
      page: (nth) => bytes.subarray(start + nth * pageSize, start + (nth + 1) * pageSize),
      run: (from, to) => bytes.subarray(start + from * pageSize, start + to * pageSize),
    };
  }
  #commit(): Commit {
    const epoch = this.#hex() as Epoch;
    const id = this.#txid();
    const hash = this.#words();
    return { type: "commit", epoch, txid: id, hash, pageCount: this.#u32(), sent: this.#u32() };
  }
  #heartbeat(): Heartbeat {
    const epoch = this.#hex() as Epoch;
    const id = this.#txid();
    const hash = this.#words();
    const staleMs = this.#u32();
    this.#u32();
    return { type: "heartbeat", epoch, txid: id, hash, staleMs, sent: this.#txid() };
  }
  #error(): ErrorRecord {
    try {
      const { code, message } = JSON.parse(new TextDecoder().decode(this.#bytes));
      return { type: "error", code: String(code), message: String(message) };
    } catch {
      throw broken("an error record that is not JSON");
    }
  }
  #hashes(): Hashes {
    const epoch = this.#hex() as Epoch;
    const id = this.#txid();
    const pageCount = this.#u32();
    const level = this.#u32() === 0 ? "blocks" : "pages";
    const first = this.#u32();
    const count = this.#u32();
    if (this.#bytes.length !== 32 + 8 * count) throw broken("a hashes record of a wrong length");
    const words = new Uint32Array(2 * count);
    for (let nth = 0; nth < count; nth++) {
      const { high, low } = this.#words();
      words[2 * nth] = high;
      words[2 * nth + 1] = low;
    }
    return { type: "hashes", level, first, epoch, txid: id, pageCount, words };
  }
}
