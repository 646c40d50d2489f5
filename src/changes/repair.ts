/**
 * Which pages differ from an upstream whose history is not ours: hashes of blocks first, then of the
 * pages in the blocks that differ. Driven by the asker, the answerer keeps nothing. May import: base/,
 * wal/format, pages/, changes/.
 *
 * Consistent without stopping anybody: the first hashes are as of txid H, and whatever changes after
 * H comes anyway with the answer to changes(since H, wanted).
 * @module
 */
import { type Bytes, sameWords, type Words } from "../base/bytes.ts";
import { LiveError } from "../base/errors.ts";
import type { Position } from "../base/types.ts";
import { isPageSize } from "../wal/format.ts";
import { BLOCK_PAGES, type PageIndex } from "../pages/page_index.ts";
import { decode } from "./decoder.ts";
import type { Hashes, Hello } from "./records.ts";
import type { ChangeSource } from "./source.ts";

/** Blocks asked for at once; their answer is 8 MB at most. */
const BLOCKS_PER_REQUEST = 1024;

export interface Difference {
  readonly hello: Hello;
  /** H: ask for changes since here. */
  readonly since: Position;
  /** Pages to ask for besides, ascending; empty if all is equal. */
  readonly wanted: readonly number[];
  /** Pages of the upstream that are here with the same content. */
  readonly equal: number;
}

/** The upstream's hello alone. @throws {LiveError} as findDifference() does. */
export async function askHello(source: ChangeSource, signal: AbortSignal): Promise<Hello> {
  return (await ask(source.hashes({ blocks: [] }, signal), () => {}, acceptPages([]))).hello;
}

/** @throws {LiveError} "upstream" if the other side breaks the protocol, or what the source throws. */
export async function findDifference(
  index: PageIndex,
  source: ChangeSource,
  signal: AbortSignal,
  onHello: (hello: Hello) => void,
): Promise<Difference> {
  const { hello, hashes } = await ask(source.hashes({}, signal), onHello, acceptBlocks());
  const { epoch, txid, pageCount } = hashes[0]!;
  const since = { epoch, txid };
  const whole = pageCount === index.pageCount && sameWords(hello.hash, index.hash) &&
    hello.txid === txid;
  if (whole) return { hello, since, wanted: [], equal: pageCount };
  const differing = differingBlocks(index, hashes, pageCount);
  const wanted: number[] = [];
  for (let at = 0; at < differing.length; at += BLOCKS_PER_REQUEST) {
    const blocks = differing.slice(at, at + BLOCKS_PER_REQUEST);
    const answer = await ask(source.hashes({ blocks }, signal), onHello, acceptPages(blocks));
    if (answer.hello.epoch !== epoch) {
      throw new LiveError("position_gone", "The upstream began a new history meanwhile");
    }
    for (const block of answer.hashes) addDifferingPages(index, block, wanted);
  }
  // What is beyond our end, or cut off at theirs, shows in page 1, which is asked for in any case.
  if (wanted[0] !== 1) wanted.unshift(1);
  const pages = wanted.filter((pgno) => pgno <= pageCount);
  return { hello, since, wanted: pages, equal: Math.max(0, pageCount - pages.length) };
}

async function ask(
  chunks: AsyncIterable<Bytes>,
  onHello: (hello: Hello) => void,
  accept: Accept,
): Promise<{ hello: Hello; hashes: Hashes[] }> {
  let hello: Hello | undefined;
  const hashes: Hashes[] = [];
  for await (const record of decode(chunks)) {
    if (record.type === "error") throw new LiveError("upstream", record.message);
    if ((record.type === "hello") !== (hello === undefined)) throw broken("not one hello first");
    if (record.type === "hello") {
      if (!isPageSize(record.pageSize)) throw broken(`a page size of ${record.pageSize}`);
      onHello(hello = record);
    } else if (record.type !== "hashes") throw broken(`${record.type} among hashes`);
    else if (!accept(record, hashes.length)) throw missing();
    else hashes.push(record);
  }
  if (hello === undefined) throw broken("no hello");
  if (!accept(undefined, hashes.length)) throw missing();
  return { hello, hashes };
}

function broken(what: string): LiveError {
  return new LiveError("upstream", `Broken stream: ${what}`);
}

function missing(): LiveError {
  return broken("hashes are missing, or are not those that were asked for");
}

// Hashes that are missing would count as equal pages, and make a stranger's database look like ours.

/** Says of each hashes record, before it is kept, whether it may come; called with undefined at the end. */
type Accept = (record: Hashes | undefined, nth: number) => boolean;

/** All blocks of a database, in order. */
function acceptBlocks(): Accept {
  let next = 0;
  let all = 0;
  return (record, nth) => {
    if (record === undefined) return nth > 0 && next === all;
    if (nth === 0) all = Math.ceil(record.pageCount / BLOCK_PAGES);
    const { level, first, words } = record;
    const fits = level === "blocks" && first === next && (words.length > 0 || all === 0);
    next += words.length / 2;
    return fits && next <= all && (nth === 0 || words.length > 0);
  };
}

/** The pages of each of `blocks`, as many as there were when they were read. */
function acceptPages(blocks: readonly number[]): Accept {
  return (record, nth) => {
    if (record === undefined) return nth === blocks.length;
    const { level, first, words, pageCount } = record;
    const pages = Math.max(0, Math.min(BLOCK_PAGES, pageCount - first * BLOCK_PAGES));
    return level === "pages" && first === blocks[nth] && words.length === 2 * pages;
  };
}

function differingBlocks(index: PageIndex, hashes: readonly Hashes[], pageCount: number): number[] {
  const ours = index.blockHashes();
  const blocks = Math.ceil(pageCount / BLOCK_PAGES);
  const differing: number[] = [];
  for (const { first, words } of hashes) {
    for (let nth = 0; nth < words.length / 2 && first + nth < blocks; nth++) {
      const at = 2 * (first + nth);
      const equal = at < ours.length && ours[at] === words[2 * nth] &&
        ours[at + 1] === words[2 * nth + 1];
      // A last block of another length is compared page by page, too.
      if (!equal) differing.push(first + nth);
    }
  }
  return differing;
}

function addDifferingPages(index: PageIndex, block: Hashes, wanted: number[]): void {
  const { words } = block;
  for (let nth = 0; nth < words.length / 2; nth++) {
    const pgno = block.first * BLOCK_PAGES + nth + 1;
    if (pgno === index.lockPage) continue;
    const ours: Words = index.hashOf(pgno);
    if (ours.high !== words[2 * nth] || ours.low !== words[2 * nth + 1]) wanted.push(pgno);
  }
}
