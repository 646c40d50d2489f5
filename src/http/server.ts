/**
 * The node's HTTP server: streams for replicas, status, metrics and health for people. The one module
 * that imports hono. May import: base/, changes/, node/, http/.
 *
 * Invariant: where a token is set, nothing but /health and the page without data answers without
 * one, not even with a 404.
 * @module
 */
import { type Context, Hono } from "hono";
import type { Bytes } from "../base/bytes.ts";
import type { Env } from "../base/env.ts";
import { codeOf, httpStatus, LiveError, messageOf } from "../base/errors.ts";
import { parseAncestors } from "../base/lineage.ts";
import { isId, parseEpoch } from "../base/types.ts";
import { MAX_TREE_BYTES, parseBranches } from "../changes/tree.ts";
import { PROTOCOL_VERSION } from "../changes/records.ts";
import type { ChangesRequest } from "../changes/source.ts";
import type { Database, Served } from "../node/database.ts";
import { waitFor } from "../node/wait.ts";
import type { Node } from "../node/node.ts";
import { BLOCK_PAGES } from "../pages/page_index.ts";
import { LIMIT_DEFAULTS, type Limits, type ListenAddress } from "../node/options.ts";
import { parseDuration } from "../base/duration.ts";
import { readBody, wholeBody } from "./body.ts";
import { COMPRESSION_HEADER, Compressor } from "./compression.ts";
import { CHAIN_HEADER, ENDPOINTS, LITESTREAM_STREAM_PATH, type Needs } from "./endpoints.ts";
import { CONTENT_TYPE, Events, formatOf } from "./events.ts";
import { Guard, needsOf, secure, type Tokens } from "./guard.ts";
import { healthOf } from "./health.ts";
import { Guests } from "./limits.ts";
import { Listener } from "./listener.ts";
import { Metrics } from "./metrics.ts";
import { makePage } from "./page.ts";
import { HttpPeer, parsePeer } from "./peer.ts";
import { demotedJson, promotedJson } from "./promote.ts";
import { parseRanges, RunsDecoder } from "./ranges.ts";
import {
  aboveOf,
  formatAnswers,
  MAX_REPORT_BYTES,
  MAX_REPORTS_BYTES,
  parseReport,
  takeReports,
} from "./report.ts";
import { statusJson } from "./status_json.ts";
import { changesRequest, streamOf } from "./stream.ts";
import { verifyLines } from "./verify.ts";
import { positionJson, WAIT_STATUS, waitJson, waitRequest } from "./wait.ts";
import type { CertificatePair } from "./tls.ts";

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

type Bindings = {
  Bindings: { address: string; completed: Promise<unknown> };
  /** Of a stream or of events: it counts as a request no longer. */
  Variables: { leave: (() => void) | undefined };
};
type Request = Context<Bindings>;

/** What a body without an end needed, and the header that opened it. */
interface Opened {
  readonly needs: Needs;
  readonly header: string | undefined;
}

/** What SIGHUP may change. */
export interface Credentials extends Tokens {
  /** Absent: plain HTTP. */
  readonly tls?: CertificatePair;
}

export interface ServerOptions extends Credentials {
  readonly limits?: Limits;
  /** For the node that this one steps down for, if it is asked by https. */
  readonly peerClient?: () => Deno.HttpClient;
}

export class Server {
  readonly #node: Node;
  readonly #env: Env;
  readonly #guard: Guard;
  readonly #peerClient: (() => Deno.HttpClient) | undefined;
  readonly #metrics: Metrics;
  readonly #app: Hono<Bindings>;
  #credentials: Credentials;
  #listener: Listener | undefined;
  readonly #events: Events;
  /** Streams and events that run, and what opened each. */
  readonly #streams = new Map<AbortController, Opened>();
  readonly #limits: Limits;
  readonly #guests: Guests;
  #largeLists = 0;
  #compressing = 0;

  constructor(node: Node, options: ServerOptions, env: Env) {
    this.#node = node;
    this.#env = env;
    this.#credentials = options;
    this.#guard = new Guard(options);
    this.#peerClient = options.peerClient;
    this.#metrics = new Metrics(() => node.status());
    this.#limits = options.limits ?? LIMIT_DEFAULTS;
    this.#guests = new Guests(this.#limits, env.clock);
    this.#events = new Events(() => node.status(), env);
    this.#app = this.#routes();
  }

  /** The answer to one request; `completed` settles when it has left, or its connection has ended. */
  async fetch(
    request: globalThis.Request,
    address: string,
    completed: Promise<unknown>,
  ): Promise<Response> {
    return await this.#app.fetch(request, { address, completed });
  }

  /**
   * Listens until `signal` aborts; returns the address with the port that was chosen.
   * @throws {LiveError} "config" if the address or the certificate cannot be used.
   */
  listen(addr: ListenAddress, signal: AbortSignal): string {
    const handler = (
      request: globalThis.Request,
      from: string,
      completed: Promise<unknown>,
    ): Promise<Response> => this.fetch(request, from, completed);
    const isEvents = ({ needs }: Opened): boolean => needs === ENDPOINTS.events.needs;
    signal.addEventListener("abort", () => this.#endAll(isEvents), { once: true });
    this.#listener = new Listener(addr, this.#credentials.tls, handler, this.#env, signal);
    return this.#listener.address;
  }

  /** Asks for these from now on: a stream goes on only if its token still opens it. */
  async renew(credentials: Credentials): Promise<void> {
    this.#credentials = credentials;
    this.#guard.renew(credentials);
    this.#endAll(({ needs, header }) => this.#guard.refusal(needs, header) !== undefined);
    await this.#listener?.renew(credentials.tls);
  }

  #routes(): Hono<Bindings> {
    const app = new Hono<Bindings>();
    app.onError((error) => this.#failure(error));
    app.notFound(() => {
      const known = Object.values(ENDPOINTS).map(({ path }) => path);
      return errorResponse("not_found", `Nothing here; there is ${[...new Set(known)].join(", ")}`);
    });
    app.use(async (c, next) => {
      const refusal = this.#guard.refusal(needsOf(c.req.path), c.req.header("authorization"));
      if (refusal !== undefined) {
        const response = errorResponse("unauthorized", refusal);
        secure(response.headers);
        return response;
      }
      const endless = c.req.path.startsWith("/v1/") || c.req.path === ENDPOINTS.events.path;
      if (c.req.raw.method === "HEAD" && endless) {
        return errorResponse("bad_request", "A stream has no HEAD: say GET"); // its body would be lost
      }
      await next();
      this.#addChain(c);
      secure(c.res.headers);
    });
    // A stream that is there has its own limit, and /health must answer whatever else happens.
    app.use(async (c, next) => {
      if (c.req.path === ENDPOINTS.health.path) return await next();
      const leave = this.#guests.request();
      c.env.completed.then(leave, leave);
      const paths: readonly string[] = [ENDPOINTS.stream.path, ENDPOINTS.events.path];
      if (paths.includes(c.req.path)) c.set("leave", leave);
      await next();
    });
    const { html, headers } = makePage();
    app.get(ENDPOINTS.page.path, () => new Response(html, { headers }));
    app.get(ENDPOINTS.health.path, (c) => this.#health(c));
    app.get(ENDPOINTS.status.path, () => json(statusJson(this.#node.status())));
    app.get(ENDPOINTS.events.path, (c) => this.#listen(c));
    app.get(ENDPOINTS.metrics.path, async () => {
      const headers = { "content-type": this.#metrics.contentType };
      return new Response(await this.#metrics.text(), { headers });
    });
    app.get(ENDPOINTS.position.path, (c) => this.#position(c));
    app.get(ENDPOINTS.wait.path, (c) => this.#wait(c));
    app.post(ENDPOINTS.verify.path, (c) => this.#verify(c));
    app.post(
      ENDPOINTS.promote.path,
      async (c) => json(promotedJson(await this.#database(c).promote())),
    );
    app.post(ENDPOINTS.demote.path, (c) => this.#demote(c));
    app.get(ENDPOINTS.stream.path, (c) => this.#stream(c));
    app.post(ENDPOINTS.repair.path, (c) => this.#repair(c));
    app.get(ENDPOINTS.hashes.path, (c) => this.#hashes(c));
    app.post(ENDPOINTS.report.path, (c) => this.#report(c));
    app.post(ENDPOINTS.reports.path, (c) => this.#reports(c));
    app.post(ENDPOINTS.tree.path, (c) => this.#tree(c));
    app.post(ENDPOINTS.fence.path, (c) => this.#fence(c));
    app.get(LITESTREAM_STREAM_PATH, () => {
      const sentence =
        "This is litestream-live: a Litestream 0.4 replica cannot read its stream; " +
        "run litestream-live on the replica, too";
      return errorResponse("bad_request", sentence);
    });
    return app;
  }

  /** Who follows whom is told with every answer, also with a refusal: so a cycle is found at once. */
  #addChain(c: Request): void {
    const database = this.#node.databases.find(({ options }) =>
      options.path === c.req.query("path")
    );
    if (database !== undefined) c.res.headers.set(CHAIN_HEADER, database.chain.join());
  }

  #failure(error: unknown): Response {
    const code = codeOf(error);
    if (code !== undefined) return errorResponse(code, messageOf(error));
    this.#env.log.error("a request failed", { error: messageOf(error), stack: stackOf(error) });
    return errorResponse("sqlite", "A bug: the log says more");
  }

  #health(c: Request): Response {
    const text = c.req.query("max-lag");
    const maxLag = text === undefined ? undefined : parseDuration(text);
    if (text !== undefined && maxLag === undefined) {
      throw new LiveError("bad_request", `Cannot read max-lag=${text}: must be like 10s or 500ms`);
    }
    const health = healthOf(this.#node.status(), maxLag);
    return json(health, health.healthy ? 200 : 503);
  }

  /** A stream that begins with a repair: the pages that the body names besides. */
  async #repair(c: Request): Promise<Response> {
    const { pageCount } = this.#served(c); // before anything is read for somebody who may not
    const list = new RunsDecoder(pageCount);
    let large = false;
    const done = (): void => {
      if (large) this.#largeLists--;
      large = false;
    };
    try {
      const limits = { bytes: MAX_RUNS_BYTES, ms: this.#limits.stallMs };
      await readBody(c.req.raw.body, limits, this.#env.clock, (chunk) => {
        list.take(chunk);
        if (large || list.length <= LARGE_LIST_PAGES) return;
        if (this.#largeLists >= MAX_LARGE_LISTS) {
          throw new LiveError("busy", `${MAX_LARGE_LISTS} large repairs are under way: try again`);
        }
        large = true;
        this.#largeLists++;
      });
      return await this.#stream(c, list.end(), done);
    } catch (error) {
      done();
      throw error;
    }
  }

  /** `wantedTaken` is called once `wanted` is not needed any more, also if it is never sent. */
  async #stream(c: Request, wanted?: number[], wantedTaken = (): void => {}): Promise<Response> {
    this.#learn(c, c.req.query("since")?.split("/")[0]);
    const served = this.#served(c);
    const replica = c.req.query("replica") === undefined ? undefined : replicaOf(c);
    const asked = changesRequest((name) => c.req.query(name), wanted);
    const left = this.#guests.stream();
    const stop = new AbortController();
    const { counters, downstreams, position } = served;
    const reader = this.#guests.enter(() => stop.abort());
    const isCopy = asked.since === undefined || wanted !== undefined; // its first answer
    const copying = isCopy ? this.#guests.copy(reader, stop.signal) : undefined;
    const request: ChangesRequest = {
      ...asked,
      taken: ({ epoch, txid }) => {
        wantedTaken();
        copying?.done();
        this.#guests.holds(reader, undefined, 0);
        if (replica !== undefined) downstreams.sent(replica, epoch, txid);
      },
      holds: (pieces, bytes) => this.#guests.holds(reader, pieces, bytes),
      ...(replica === undefined ? {} : { toldAt: () => downstreams.toldAt(replica) }),
    };
    const gone = replica === undefined
      ? () => {}
      : downstreams.connect(replica, c.env.address, position.epoch);
    this.#began(c, stop, ENDPOINTS.stream.needs);
    const compressor = this.#compressor(c);
    const log = this.#env.log.with({ db: c.req.query("path"), replica, address: c.env.address });
    const body = await streamOf(served.source.changes(request, stop.signal), stop, {
      sent: (bytes) => {
        counters.sentBytes += bytes.length;
        this.#guests.sent(reader, bytes);
      },
      asked: () => this.#guests.asked(reader),
      ended: () => {
        this.#streams.delete(stop);
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
    c.get("leave")?.(); // from now on it is a stream
    log.debug("replica connected");
    const headers = compressor === undefined ? BINARY : { ...BINARY, [COMPRESSION_HEADER]: "zstd" };
    return new Response(body, { headers });
  }

  /** Only of so many streams: a window costs memory, and a replica takes what it gets. */
  #compressor(c: Request): Compressor | undefined {
    if (c.req.query("compress") !== "zstd" || this.#compressing >= MAX_COMPRESSED) return undefined;
    this.#compressing++;
    return new Compressor();
  }

  /** Of a body that has no end: other credentials may end it. */
  #began(c: Request, stop: AbortController, needs: Needs): void {
    this.#streams.set(stop, { needs, header: c.req.header("authorization") });
  }

  #endAll(which: (opened: Opened) => boolean): void {
    for (const [stop, opened] of [...this.#streams]) if (which(opened)) stop.abort();
  }

  async #listen(c: Request): Promise<Response> {
    const path = c.req.query("path");
    const one = path === undefined ? {} : { path: this.#database(c).options.path };
    const format = formatOf(c.req.header("accept"));
    const left = this.#events.enter();
    const stop = new AbortController();
    const reader = this.#guests.enter(() => stop.abort());
    this.#began(c, stop, ENDPOINTS.events.needs);
    const body = await streamOf(this.#events.listen({ ...one, format }, stop.signal), stop, {
      sent: (bytes) => this.#guests.sent(reader, bytes),
      asked: () => this.#guests.asked(reader),
      ended: () => {
        this.#streams.delete(stop);
        this.#guests.leave(reader);
        left();
      },
    });
    c.get("leave")?.();
    return new Response(body, { headers: { ...EVENTS, "content-type": CONTENT_TYPE[format] } });
  }

  async #hashes(c: Request): Promise<Response> {
    const { source, pageCount } = this.#served(c);
    const text = c.req.query("blocks");
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

  async #report(c: Request): Promise<Response> {
    const { downstreams } = this.#served(c);
    downstreams.report(replicaOf(c), parseReport(await this.#text(c, MAX_REPORT_BYTES)));
    return new Response(null, { status: 204 });
  }

  async #reports(c: Request): Promise<Response> {
    checkProtocol(c);
    const beats = c.req.query("beats") === "1";
    const text = await this.#text(c, MAX_REPORTS_BYTES);
    return jsonOf(formatAnswers(takeReports(text, this.#node.databases, beats), beats));
  }

  async #tree(c: Request): Promise<Response> {
    const database = this.#database(c);
    const branches = parseBranches(await this.#text(c, MAX_TREE_BYTES));
    database.downstreams.branches(replicaOf(c), branches);
    const { upstream } = database.status();
    return json(upstream === undefined ? [] : aboveOf(upstream));
  }

  async #text(c: Request, bytes: number): Promise<string> {
    const limits = { bytes, ms: this.#limits.stallMs };
    return new TextDecoder().decode(await wholeBody(c.req.raw.body, limits, this.#env.clock));
  }

  async #demote(c: Request): Promise<Response> {
    const database = this.#database(c);
    const to = c.req.query("to");
    if (to === undefined) throw new LiveError("bad_request", "For whom? Say &to=http://host:9090");
    // Nodes that switch roles share a token.
    const upstream = parsePeer(to, database.options.path, this.#credentials.token);
    const client = upstream.url.startsWith("https:") ? this.#peerClient?.() : undefined;
    return json(demotedJson(await database.demote(new HttpPeer(upstream, client)), upstream));
  }

  #fence(c: Request): Response {
    this.#learn(c, c.req.query("epoch"));
    return new Response(null, { status: 204 });
  }

  /** The asker's history may go on from ours: then ours is over. */
  #learn(c: Request, epoch: string | undefined): void {
    const ancestors = parseAncestors(c.req.query("ancestors") ?? "");
    if (ancestors.length === 0 || epoch === undefined) return;
    const by = c.env.address.replace(/:\d+$/, "");
    this.#database(c).supersede({ epoch: parseEpoch(epoch), ancestors }, by);
  }

  #position(c: Request): Response {
    const position = this.#database(c).newest();
    if (position === undefined) throw new LiveError("not_ready", "The database is not ready yet");
    return json(positionJson(position));
  }

  #verify(c: Request): Response {
    const repair = c.req.query("repair") === "true";
    const lines = verifyLines(this.#database(c).checks.verify(repair, c.req.raw.signal));
    const body = ReadableStream.from(lines).pipeThrough(new TextEncoderStream());
    return new Response(body, { headers: { "content-type": "application/x-ndjson" } });
  }

  async #wait(c: Request): Promise<Response> {
    const database = this.#database(c);
    const request = waitRequest((name) => c.req.query(name));
    const answer = await waitFor(database, request, this.#env, c.req.raw.signal);
    return json(waitJson(answer), WAIT_STATUS[answer.result]);
  }

  /** @throws {LiveError} "bad_request" without a path, "not_found". */
  #database(c: Request): Database {
    const path = c.req.query("path");
    if (path !== undefined && path !== "") return this.#node.database(path);
    throw new LiveError("bad_request", "Which database? Say ?path=/the/path");
  }

  #served(c: Request): Served {
    const database = this.#database(c);
    checkProtocol(c);
    return database.served();
  }
}

/** @throws {LiveError} "bad_request". */
function checkProtocol(c: Request): void {
  const protocol = c.req.query("protocol") ?? String(PROTOCOL_VERSION);
  if (protocol === String(PROTOCOL_VERSION)) return;
  throw new LiveError(
    "bad_request",
    `You speak protocol ${protocol}, this node ${PROTOCOL_VERSION}: run the same version on both`,
  );
}

function replicaOf(c: Request): string {
  const id = c.req.query("replica") ?? "";
  if (isId(id)) return id;
  throw new LiveError("bad_request", "Which replica? Say ?replica= and 16 hex digits");
}

function json(value: unknown, status = 200): Response {
  return jsonOf(JSON.stringify(value), status);
}

function jsonOf(text: string, status = 200): Response {
  const headers = { "content-type": "application/json" };
  return new Response(`${text}\n`, { status, headers });
}

function errorResponse(code: LiveError["code"], message: string): Response {
  const response = json({ code, message }, httpStatus(code));
  if (response.status === 503) response.headers.set("retry-after", "1");
  if (response.status === 401) response.headers.set("www-authenticate", "Bearer");
  return response;
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}
