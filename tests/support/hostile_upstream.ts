/**
 * An upstream that means harm, as an HTTP server of the test: each ill is an answer to GET /v1/stream,
 * to GET /v1/hashes, or to both. May import: src/{base,changes,pages}, tests/support.
 * @module
 */
import type { Bytes, Words } from "../../src/base/bytes.ts";
import { type DatabaseId, type Epoch, type Txid, txid } from "../../src/base/types.ts";
import {
  encodeBegin,
  encodeCommit,
  encodeHashes,
  encodeHeartbeat,
  encodeHello,
} from "../../src/changes/records.ts";
import type { Address } from "./raw_http.ts";
import { encodePages } from "./fixtures_records.ts";

/** What the victim has, so that the beginning is believed. */
export interface Victim {
  readonly id: DatabaseId;
  readonly epoch: Epoch;
  readonly txid: Txid;
  readonly hash: Words;
  readonly pageSize: number;
  readonly pageCount: number;
}

type Body = Generator<Bytes>;

export interface Ill {
  readonly name: string;
  /** In the status of the victim. */
  readonly reason: RegExp;
  /** Absent: it has another history, so hashes are asked for. */
  stream?(victim: Victim): Body;
  hashes?(victim: Victim): Body;
  /** Instead of 200. */
  readonly status?: number;
}

const MOST_PAGES = 0xfffffffe;
const NO_PAGE: Words = { high: 0, low: 0 };

function hello(victim: Victim, change: Partial<Victim> = {}): Bytes {
  return encodeHello({ ancestors: [], ...victim, ...change });
}

function begin({ txid: at }: Victim, pageCount: number): Bytes {
  return encodeBegin({ from: at, to: txid(at + 1), pages: 1, pageCount });
}

function commit({ epoch, txid: at }: Victim, pageCount: number, hash: Words, to = at + 1): Bytes {
  return encodeCommit({ epoch, txid: txid(to), hash, pageCount, sent: 1 });
}

function pages(pageSize: number, ...pgnos: readonly number[]): Bytes {
  return encodePages(pageSize, pgnos.map((pgno) => ({ pgno, page: new Uint8Array(pageSize) })));
}

function* endless(bytes: Bytes): Body {
  for (;;) yield bytes;
}

function noise(length: number): Bytes {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, Math.min(length, at + 65_536)));
  }
  return bytes;
}

/** Against a replica that has a copy already. */
export const ILLS: readonly Ill[] = [
  { name: "noise without end", reason: /Broken stream/, stream: () => endless(noise(65_536)) },
  {
    name: "a record of 4 GB",
    reason: /a record of 4294967295 bytes/,
    *stream(victim) {
      yield hello(victim);
      yield Uint8Array.from([255, 255, 255, 255, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
      yield* endless(new Uint8Array(65_536));
    },
  },
  {
    name: "records of nothing without end",
    reason: /a record of no pages/,
    *stream(victim) {
      yield hello(victim);
      yield begin(victim, victim.pageCount);
      yield* endless(pages(victim.pageSize));
    },
  },
  {
    name: "pages without end and no commit",
    reason: /an answer that does not end/,
    *stream(victim) {
      yield hello(victim);
      yield begin(victim, victim.pageCount);
      const pgnos = Array.from({ length: 400 }, (_, nth) => nth + 1);
      yield* endless(pages(victim.pageSize, ...pgnos));
    },
  },
  {
    name: "answers that lead nowhere without end",
    reason: /answers that lead nowhere/,
    *stream(victim) {
      yield hello(victim);
      const to = commit(victim, victim.pageCount, victim.hash, victim.txid);
      for (;;) {
        yield begin(victim, victim.pageCount);
        yield to;
      }
    },
  },
  {
    name: "a page beyond the last that SQLite has",
    reason: /Page 4294967295 arrived/,
    *stream(victim) {
      yield hello(victim);
      yield begin(victim, victim.pageCount);
      yield pages(victim.pageSize, 0xffffffff);
      yield commit(victim, 0xffffffff, victim.hash);
    },
  },
  {
    name: "a size of 2 TB with the hash that fits",
    reason: /4294967294 pages, \d+ were here, and not all came/,
    *stream(victim) {
      yield hello(victim);
      yield begin(victim, MOST_PAGES);
      const page = new Uint8Array(victim.pageSize);
      yield encodePages(victim.pageSize, [{ pgno: MOST_PAGES, page }]);
      yield commit(victim, MOST_PAGES, victim.hash);
    },
  },
  {
    name: "another content at the same place, again and again",
    reason: /another content at this position/,
    *stream(victim) {
      yield hello(victim);
      const { epoch, txid: at } = victim;
      const beat = { epoch, txid: at, hash: NO_PAGE, staleMs: 0, sent: at };
      yield encodeHeartbeat(beat);
    },
    *hashes(victim) {
      yield hello(victim);
      const { epoch, txid: at, pageCount, hash } = victim; // one block
      const words = Uint32Array.of(hash.high, hash.low);
      yield encodeHashes({ level: "blocks", first: 0, epoch, txid: at, pageCount, words });
    },
  },
  { name: "an error text without end", reason: /answers 500: x+/, status: 500 },
  {
    name: "hashes without end",
    reason: /hashes are missing, or are not those/,
    *hashes(victim) {
      yield hello(victim);
      const words = new Uint32Array(32_768);
      const { epoch, txid: at } = victim;
      const record = { level: "blocks", first: 0, epoch, txid: at, pageCount: MOST_PAGES } as const;
      for (let first = 0;; first += 16_384) yield encodeHashes({ ...record, first, words });
    },
  },
  {
    name: "hashes of nothing without end",
    reason: /hashes are missing, or are not those/,
    *hashes(victim) {
      yield hello(victim);
      const { epoch, txid: at, pageCount } = victim;
      const words = new Uint32Array(0);
      yield* endless(
        encodeHashes({ level: "blocks", first: 0, epoch, txid: at, pageCount, words }),
      );
    },
  },
];

/** Against a replica that has no file yet. */
export const ILLS_OF_A_FIRST_COPY: readonly Ill[] = [
  {
    name: "a page size of 3",
    reason: /a page size of 3/,
    *hashes(victim) {
      yield hello(victim, { pageSize: 3 });
    },
  },
  {
    name: "a page far away",
    reason: /page 4294967294 after \d+ pages/,
    *stream(victim) {
      const nowhere = { ...victim, txid: txid(0) };
      yield hello(victim, { pageCount: MOST_PAGES });
      yield begin(nowhere, MOST_PAGES);
      yield pages(victim.pageSize, 1);
      yield pages(victim.pageSize, MOST_PAGES);
    },
  },
  {
    name: "a size of 2 TB and one page",
    reason: /page 4294967294 never came/,
    *stream(victim) {
      const nowhere = { ...victim, txid: txid(0) };
      yield hello(victim, { pageCount: MOST_PAGES });
      yield begin(nowhere, MOST_PAGES);
      yield pages(victim.pageSize, 1);
      yield commit(nowhere, MOST_PAGES, victim.hash);
    },
  },
];

export class HostileUpstream implements AsyncDisposable {
  /** Requests for a stream or hashes. */
  asked = 0;
  ill: Ill | undefined;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor({ hostname, port }: Address, readonly victim: Victim) {
    const options = { hostname, port, onListen: () => {} };
    this.#server = Deno.serve(options, (request) => this.#answer(request));
  }

  #answer(request: Request): Response {
    const { pathname } = new URL(request.url);
    const { ill, victim } = this;
    if (ill === undefined || pathname === "/v1/report") return new Response(null, { status: 503 });
    this.asked++;
    if (ill.status !== undefined) {
      return new Response(bodyOf(endless(new TextEncoder().encode("x".repeat(65_536)))), {
        status: ill.status,
      });
    }
    const { searchParams } = new URL(request.url);
    if (pathname === "/v1/stream") {
      if (ill.stream !== undefined) return new Response(bodyOf(ill.stream(victim)));
      return Response.json({ code: "position_gone", message: "not here" }, { status: 410 });
    }
    if (ill.hashes !== undefined) return new Response(bodyOf(ill.hashes(victim)));
    if (searchParams.get("blocks") === "") return new Response(hello(victim));
    return new Response(bodyOf(endless(hello(victim))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function bodyOf(chunks: Body): ReadableStream<Bytes> {
  return new ReadableStream({
    pull(controller) {
      const { done, value } = chunks.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
  }, { highWaterMark: 0 });
}
