/**
 * Records of the wire, of all kinds, as fast-check draws them. May import: src/base, src/changes,
 * src/pages.
 * @module
 */
import fc from "fast-check";
import { type Bytes, formatWords, type Words } from "../../src/base/bytes.ts";
import { MAX_ANCESTORS } from "../../src/base/lineage.ts";
import type { DatabaseId, Epoch } from "../../src/base/types.ts";
import { txid } from "../../src/base/types.ts";
import {
  encodeBegin,
  encodeCommit,
  encodeError,
  encodeHashes,
  encodeHeartbeat,
  encodeHello,
  pagesOffset,
  type Record,
  sealPages,
} from "../../src/changes/records.ts";
import { hashPage } from "../../src/pages/hash.ts";

export interface PageOfRecord {
  readonly pgno: number;
  readonly page: Bytes;
}

/** A whole pages record. */
export function encodePages(pageSize: number, pages: readonly PageOfRecord[]): Bytes {
  const bytes = new Uint8Array(pagesOffset(pages.length) + pages.length * pageSize);
  for (const [nth, { page }] of pages.entries()) {
    bytes.set(page, pagesOffset(pages.length) + nth * pageSize);
  }
  const hashes = pages.map(({ pgno, page }) => hashOfPage(page, pgno));
  let nth = 0;
  sealPages(bytes, pageSize, pages.map(({ pgno }) => pgno), () => hashes[nth++]!);
  return bytes;
}

export function hashOfPage(page: Bytes, pgno: number): Words {
  const into = new Uint32Array(2);
  hashPage(page, pgno, into);
  return { high: into[0]!, low: into[1]! };
}

/** A record as plain data, so that two can be compared. */
export type Told = { readonly type: Record["type"]; readonly [field: string]: unknown };

export function tell(record: Record): Told {
  if (record.type === "hashes") return { ...record, words: [...record.words] };
  if (record.type !== "pages") return { ...record };
  const { type, count, pageSize } = record;
  const pages = Array.from({ length: count }, (_, nth) => ({
    pgno: record.pgno(nth),
    hash: record.hash(nth),
    page: [...record.page(nth)],
  }));
  return { type, count, pageSize, pages };
}

/** True if each page of a pages record has the hash that its table says: what a target checks. */
export function pagesHold(record: Record): boolean {
  if (record.type !== "pages") return true;
  for (let nth = 0; nth < record.count; nth++) {
    const { high, low } = hashOfPage(record.page(nth), record.pgno(nth));
    if (high !== record.hash(nth).high || low !== record.hash(nth).low) return false;
  }
  return true;
}

/** An encoded record, and what it must be read as. */
export interface Sample {
  readonly bytes: Bytes;
  readonly want: Told;
}

const u32 = fc.nat({ max: 0xffffffff });
const words = fc.record({ high: u32, low: u32 }, { noNullPrototype: true });
const id = fc.nat({ max: Number.MAX_SAFE_INTEGER }).map(txid);
const epoch = words.map((value) => formatWords(value) as Epoch);
const databaseId = words.map((value) => formatWords(value) as DatabaseId);
const plain = { noNullPrototype: true } as const;

const hello = fc.record({
  pageSize: u32,
  pageCount: u32,
  id: databaseId,
  epoch,
  txid: id,
  hash: words,
  ancestors: fc.array(fc.record({ epoch, txid: id }, plain), { maxLength: MAX_ANCESTORS }),
}, plain).map((value) => ({
  bytes: encodeHello(value),
  want: { type: "hello", protocol: 1, ...value },
} as Sample));
const begin = fc.record({ from: id, to: id, pages: u32, pageCount: u32 }, plain)
  .map((value) => ({ bytes: encodeBegin(value), want: { type: "begin", ...value } } as Sample));
const commit = fc.record({ epoch, txid: id, hash: words, pageCount: u32, sent: u32 }, plain)
  .map((value) => ({ bytes: encodeCommit(value), want: { type: "commit", ...value } } as Sample));
const heartbeat = fc.record({ epoch, txid: id, hash: words, staleMs: u32, sent: id }, plain).map((
  value,
) => ({
  bytes: encodeHeartbeat(value),
  want: { type: "heartbeat", ...value },
} as Sample));
const failure = fc.record({ code: fc.string(), message: fc.string({ unit: "grapheme" }) }, plain)
  .map(({ code, message }) => ({
    bytes: encodeError(code, message),
    want: { type: "error", code, message },
  } as Sample));
const hashes = fc.record({
  level: fc.constantFrom("blocks" as const, "pages" as const),
  first: u32,
  epoch,
  txid: id,
  pageCount: u32,
  words: fc.array(u32, { maxLength: 40 }).map((all) => all.slice(0, all.length & ~1)),
}, plain).map((value) => ({
  bytes: encodeHashes({ ...value, words: Uint32Array.from(value.words) }),
  want: { type: "hashes", ...value },
} as Sample));
const pages = fc.tuple(
  fc.constantFrom(512, 1024),
  fc.array(fc.tuple(u32, fc.nat({ max: 255 })), { maxLength: 4 }),
).map(([pageSize, drawn]) => {
  const all = drawn.map(([pgno, fill]) => ({ pgno, page: new Uint8Array(pageSize).fill(fill) }));
  return {
    bytes: encodePages(pageSize, all),
    want: {
      type: "pages",
      count: all.length,
      pageSize,
      pages: all.map(({ pgno, page }) => ({ pgno, hash: hashOfPage(page, pgno), page: [...page] })),
    },
  } as Sample;
});

export const samples: fc.Arbitrary<Sample> = fc.oneof(
  hello,
  begin,
  pages,
  commit,
  heartbeat,
  failure,
  hashes,
);
