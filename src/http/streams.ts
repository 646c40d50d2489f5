/**
 * Answers that are streams: records for replicas, hashes, events. Each is one of the node's guests until
 * its body ends, whoever ends it. May import: base/, changes/, node/options, node/database (types),
 * pages/page_index, http/{body,compression,endpoints,events,limits,ranges,stream}.
 *
 * Invariant: whatever a stream has taken (its place, its memory, its list of pages) is given back once,
 * also if it ends before its first byte.
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import type { Env } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import { isId } from "../base/types.ts";
import type { ChangesRequest } from "../changes/source.ts";
import type { Served } from "../node/database.ts";
import type { Limits } from "../node/options.ts";
import { BLOCK_PAGES } from "../pages/page_index.ts";
import { readBody } from "./body.ts";
import { COMPRESSION_HEADER, Compressor } from "./compression.ts";
import { ENDPOINTS, type Needs } from "./endpoints.ts";
import { CONTENT_TYPE, type Events, formatOf } from "./events.ts";
import type { Guests } from "./limits.ts";
import { parseRanges, RunsDecoder } from "./ranges.ts";
import { changesRequest, streamOf } from "./stream.ts";

const BINARY = {
  "content-type": "application/octet-stream",
  "cache-control": "no-store, no-transform", // compressing proxies would hold back what is live
};
/** nginx, too, hands on what is not compressed only when it has a buffer full of it. */
const EVENTS = { "cache-control": BINARY["cache-control"], "x-accel-buffering": "no" };
/** A run of 8 B for every second page of 32 million. */
const MAX_RUNS_BYTES = 128 * 1024 * 1024;
/** Lists of more pages than this are kept for few repairs at a time. */
const LARGE_LIST_PAGES = 65_536;
const MAX_LARGE_LISTS = 4;
/** Streams that are compressed at the same time. */
const MAX_COMPRESSED = 200;

/** A request as far as a stream needs it. */
export interface Asked {
  query(name: string): string | undefined;
  header(name: string): string | undefined;
  readonly body: ReadableStream<Bytes> | null;
  /** Of who asks. */
  readonly address: string;
}

/** What a body without an end needed, and the header that opened it. */
export interface Opened {
  readonly needs: Needs;
  readonly header: string | undefined;
}

export class Streams {
  readonly #guests: Guests;
  readonly #limits: Limits;
  readonly #env: Env;
  /** Those without an end that run, and what opened each. */
  readonly #open = new Map<AbortController, Opened>();
  #largeLists = 0;
  #compressing = 0;

  constructor(guests: Guests, limits: Limits, env: Env) {
    this.#guests = guests;
    this.#limits = limits;
    this.#env = env;
  }

  endAll(which: (opened: Opened) => boolean): void {
    for (const [stop, opened] of [...this.#open]) if (which(opened)) stop.abort();
  }

  /** A stream that begins with a repair: the pages that the body names besides. */
  async repair(asked: Asked, served: () => Served): Promise<Response> {
    const list = new RunsDecoder(served().pageCount); // or nothing is read of who may not ask
    let large = false;
    const done = (): void => {
      if (large) this.#largeLists--;
      large = false;
    };
    try {
      const limits = { bytes: MAX_RUNS_BYTES, ms: this.#limits.stallMs };
      await readBody(asked.body, limits, this.#env.clock, (chunk) => {
        list.take(chunk);
        if (large || list.length <= LARGE_LIST_PAGES) return;
        if (this.#largeLists >= MAX_LARGE_LISTS) {
          throw new LiveError("busy", `${MAX_LARGE_LISTS} large repairs are under way: try again`);
        }
        large = true;
        this.#largeLists++;
      });
      return await this.changes(asked, served(), list.end(), done);
    } catch (error) {
      done();
      throw error;
    }
  }

  /** `wantedTaken` is called once `wanted` is not needed any more, also if it is never sent. */
  async changes(
    asked: Asked,
    served: Served,
    wanted?: number[],
    wantedTaken = (): void => {},
  ): Promise<Response> {
    const replica = asked.query("replica") === undefined ? undefined : replicaOf(asked.query);
    const question = changesRequest(asked.query, wanted);
    const left = this.#guests.stream();
    const stop = new AbortController();
    const { counters, downstreams, position } = served;
    const reader = this.#guests.enter(() => stop.abort());
    const isCopy = question.since === undefined || wanted !== undefined; // its first answer
    const copying = isCopy ? this.#guests.copy(reader, stop.signal) : undefined;
    const request: ChangesRequest = {
      ...question,
      taken: ({ epoch, txid }) => {
        wantedTaken();
        copying?.done();
        this.#guests.holds(reader, undefined, 0);
        if (replica !== undefined) downstreams.sent(replica, epoch, txid);
      },
      holds: (pieces, bytes) => this.#guests.holds(reader, pieces, bytes),
      ...(replica === undefined ? {} : { toldAt: () => downstreams.beatAt(replica) }),
    };
    const gone = replica === undefined
      ? () => {}
      : downstreams.connect(replica, asked.address, position.epoch);
    this.#began(asked, stop, ENDPOINTS.stream.needs);
    const compressor = this.#compressor(asked);
    const log = this.#env.log.with({ db: asked.query("path"), replica, address: asked.address });
    const body = await streamOf(served.source.changes(request, stop.signal), stop, {
      sent: (bytes) => {
        counters.sentBytes += bytes.length;
        this.#guests.sent(reader, bytes);
      },
      asked: () => this.#guests.asked(reader),
      ended: () => {
        this.#open.delete(stop);
        wantedTaken();
        copying?.done();
        this.#guests.leave(reader);
        left();
        compressor?.[Symbol.dispose]();
        if (compressor !== undefined) this.#compressing--;
        gone();
        log.debug("replica disconnected");
      },
      ...(compressor && { encode: (record: Bytes) => compressor.encode(record) }),
      ...(copying && { turn: copying.turn }),
    });
    log.debug("replica connected");
    const headers = compressor === undefined ? BINARY : { ...BINARY, [COMPRESSION_HEADER]: "zstd" };
    return new Response(body, { headers });
  }

  async hashes(asked: Asked, { source, pageCount }: Served): Promise<Response> {
    const text = asked.query("blocks");
    const last = Math.ceil(pageCount / BLOCK_PAGES) - 1;
    const blocks = text === undefined ? undefined : parseRanges(text, last);
    const stop = new AbortController();
    const records = source.hashes(blocks === undefined ? {} : { blocks }, stop.signal);
    const reader = this.#guests.enter(() => stop.abort());
    const body = await streamOf(records, stop, {
      sent: (bytes) => this.#guests.sent(reader, bytes),
      asked: () => this.#guests.asked(reader),
      ended: () => this.#guests.leave(reader),
    });
    return new Response(body, { headers: BINARY });
  }

  /** `path`: of one database alone. */
  async events(asked: Asked, events: Events, path: string | undefined): Promise<Response> {
    const one = path === undefined ? {} : { path };
    const format = formatOf(asked.header("accept"));
    const left = events.enter();
    const stop = new AbortController();
    const reader = this.#guests.enter(() => stop.abort());
    this.#began(asked, stop, ENDPOINTS.events.needs);
    const body = await streamOf(events.listen({ ...one, format }, stop.signal), stop, {
      sent: (bytes) => this.#guests.sent(reader, bytes),
      asked: () => this.#guests.asked(reader),
      ended: () => {
        this.#open.delete(stop);
        this.#guests.leave(reader);
        left();
      },
    });
    return new Response(body, { headers: { ...EVENTS, "content-type": CONTENT_TYPE[format] } });
  }

  /** Only of so many streams: a window costs memory, and a replica takes what it gets. */
  #compressor({ query }: Asked): Compressor | undefined {
    if (query("compress") !== "zstd" || this.#compressing >= MAX_COMPRESSED) return undefined;
    this.#compressing++;
    return new Compressor();
  }

  /** Of a body that has no end: other credentials may end it. */
  #began({ header }: Asked, stop: AbortController, needs: Needs): void {
    this.#open.set(stop, { needs, header: header("authorization") });
  }
}

/** @throws {LiveError} "bad_request". */
export function replicaOf(query: Asked["query"]): string {
  const id = query("replica") ?? "";
  if (isId(id)) return id;
  throw new LiveError("bad_request", "Which replica? Say ?replica= and 16 hex digits");
}
