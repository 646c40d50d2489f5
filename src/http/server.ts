/**
 * The node's HTTP server: streams for replicas, status, metrics and health for people. The one module
 * that imports hono. May import: base/, changes/, node/, http/.
 *
 * Invariant: where a token is set, nothing but /health answers without it, not even with a 404.
 * @module
 */
import { type Context, Hono } from "hono";
import { createHash, timingSafeEqual } from "node:crypto";
import { type Bytes, parseWords } from "../base/bytes.ts";
import type { Env } from "../base/env.ts";
import { codeOf, httpStatus, LiveError, messageOf } from "../base/errors.ts";
import { parseAncestors } from "../base/lineage.ts";
import { parseEpoch, parsePosition, parseTxid } from "../base/types.ts";
import { PROTOCOL_VERSION } from "../changes/records.ts";
import type { ChangesRequest } from "../changes/source.ts";
import type { Database, Served } from "../node/database.ts";
import { waitFor } from "../node/wait.ts";
import type { Node } from "../node/node.ts";
import { BLOCK_PAGES } from "../pages/page_index.ts";
import type { ListenAddress } from "../node/options.ts";
import { parseDuration } from "../base/duration.ts";
import { sendSmallAnswersAtOnce } from "../sqlite/process.ts";
import { CHAIN_HEADER, ENDPOINTS, LITESTREAM_STREAM_PATH } from "./endpoints.ts";
import { healthOf } from "./health.ts";
import { Metrics } from "./metrics.ts";
import { HttpPeer, parsePeer } from "./peer.ts";
import { demotedJson, promotedJson } from "./promote.ts";
import { decodeRuns, parseRanges } from "./ranges.ts";
import { statusJson } from "./status_json.ts";
import { streamOf } from "./stream.ts";
import { positionJson, WAIT_STATUS, waitJson, waitRequest } from "./wait.ts";

const BINARY = {
  "content-type": "application/octet-stream",
  "cache-control": "no-store, no-transform", // compressing proxies would hold back what is live
};
const MAX_REPORT_BYTES = 1000;
/** A run of 8 B for every second page of 32 million. */
const MAX_RUNS_BYTES = 128 * 1024 * 1024;
/** Bodies that are read at the same time, or one large one would soon be a hundred. */
const MAX_LARGE_BODIES = 4;
/** Streams at the same time, of all databases: each costs a record of memory and a file descriptor. */
const MAX_STREAMS = 1000;

/** Requests of /wait at the same time. */
const MAX_WAITING = 1000;

type Bindings = { Bindings: { address: string } };
type Request = Context<Bindings>;

export interface ServerOptions {
  readonly addr: ListenAddress;
  readonly token?: string;
}

export class Server {
  readonly #node: Node;
  readonly #env: Env;
  readonly #token: Uint8Array | undefined;
  /** For the node that this one steps down for: nodes that switch roles share a token. */
  readonly #peerToken: string | undefined;
  readonly #metrics: Metrics;
  readonly #app: Hono<Bindings>;
  #bodies = 0;
  #streams = 0;
  #waiting = 0;

  constructor(node: Node, options: Pick<ServerOptions, "token">, env: Env) {
    this.#node = node;
    this.#env = env;
    this.#token = options.token === undefined ? undefined : digest(`Bearer ${options.token}`);
    this.#peerToken = options.token;
    this.#metrics = new Metrics(() => node.status());
    this.#app = this.#routes();
  }

  /** The answer to one request; what Deno.serve calls, and tests. */
  async fetch(request: globalThis.Request, address: string): Promise<Response> {
    return await this.#app.fetch(request, { address });
  }

  /**
   * Listens until `signal` aborts; returns the address with the port that was chosen.
   * @throws {LiveError} "config" if the address cannot be used.
   */
  listen(addr: ListenAddress, signal: AbortSignal): string {
    const { hostname, port } = listenOn(addr, signal, (request, info) => {
      const { remoteAddr } = info;
      const from = "hostname" in remoteAddr
        ? formatHost(remoteAddr.hostname, remoteAddr.port)
        : "unknown";
      return this.fetch(request, from);
    });
    sendSmallAnswersAtOnce();
    return formatHost(hostname, port);
  }

  #routes(): Hono<Bindings> {
    const app = new Hono<Bindings>();
    app.onError((error) => this.#failure(error));
    app.notFound(() => {
      const known = Object.values(ENDPOINTS).map(({ path }) => path);
      return errorResponse("not_found", `Nothing here; there is ${[...new Set(known)].join(", ")}`);
    });
    app.use(async (c, next) => {
      if (c.req.path !== ENDPOINTS.health.path && !this.#allowed(c)) {
        return errorResponse("unauthorized", "This node wants `Authorization: Bearer` and a token");
      }
      await next();
      this.#addChain(c);
    });
    app.get(ENDPOINTS.health.path, (c) => this.#health(c));
    app.get(ENDPOINTS.status.path, () => json(statusJson(this.#node.status())));
    app.get(ENDPOINTS.metrics.path, async () => {
      const headers = { "content-type": this.#metrics.contentType };
      return new Response(await this.#metrics.text(), { headers });
    });
    app.get(ENDPOINTS.position.path, (c) => this.#position(c));
    app.get(ENDPOINTS.wait.path, (c) => this.#wait(c));
    app.post(
      ENDPOINTS.promote.path,
      async (c) => json(promotedJson(await this.#database(c).promote())),
    );
    app.post(ENDPOINTS.demote.path, (c) => this.#demote(c));
    app.get(ENDPOINTS.stream.path, (c) => this.#stream(c, undefined));
    app.post(ENDPOINTS.repair.path, async (c) => this.#stream(c, await this.#wanted(c)));
    app.get(ENDPOINTS.hashes.path, (c) => this.#hashes(c));
    app.post(ENDPOINTS.report.path, (c) => this.#report(c));
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

  #allowed(c: Request): boolean {
    if (this.#token === undefined) return true;
    return timingSafeEqual(this.#token, digest(c.req.header("authorization") ?? ""));
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

  async #wanted(c: Request): Promise<number[]> {
    const { pageCount } = this.#served(c); // before anything is read for somebody who may not
    if (this.#bodies >= MAX_LARGE_BODIES) {
      throw new LiveError("busy", `${MAX_LARGE_BODIES} repairs begin already: try again`);
    }
    this.#bodies++;
    try {
      return decodeRuns(await bodyOf(c, MAX_RUNS_BYTES), pageCount);
    } finally {
      this.#bodies--;
    }
  }

  async #stream(c: Request, wanted: number[] | undefined): Promise<Response> {
    this.#learn(c, c.req.query("since")?.split("/")[0]);
    const served = this.#served(c);
    const replica = replicaOf(c);
    if (this.#streams >= MAX_STREAMS) {
      throw new LiveError("busy", `${MAX_STREAMS} replicas are connected: no more here`);
    }
    const stop = new AbortController();
    const { counters, downstreams, position } = served;
    const request: ChangesRequest = {
      ...changesRequest(c, wanted),
      taken: ({ epoch, txid }) => downstreams.sent(replica, epoch, txid),
    };
    const records = served.source.changes(request, stop.signal);
    const gone = downstreams.connect(replica, c.env.address, position.epoch);
    this.#streams++;
    const log = this.#env.log.with({ db: c.req.query("path"), replica, address: c.env.address });
    const body = await streamOf(records, stop, {
      sent(bytes) {
        counters.sentBytes += bytes.length;
      },
      ended: () => {
        this.#streams--;
        gone();
        log.debug("replica disconnected");
      },
    });
    log.debug("replica connected");
    return new Response(body, { headers: BINARY });
  }

  async #hashes(c: Request): Promise<Response> {
    const { source, pageCount } = this.#served(c);
    const text = c.req.query("blocks");
    const last = Math.ceil(pageCount / BLOCK_PAGES) - 1;
    const blocks = text === undefined ? undefined : parseRanges(text, last);
    const stop = new AbortController();
    const records = source.hashes(blocks === undefined ? {} : { blocks }, stop.signal);
    const body = await streamOf(records, stop, { sent: () => {}, ended: () => {} });
    return new Response(body, { headers: BINARY });
  }

  async #report(c: Request): Promise<Response> {
    const { downstreams } = this.#served(c);
    const text = new TextDecoder().decode(await bodyOf(c, MAX_REPORT_BYTES));
    downstreams.report(replicaOf(c), parseReport(text));
    return new Response(null, { status: 204 });
  }

  async #demote(c: Request): Promise<Response> {
    const database = this.#database(c);
    const to = c.req.query("to");
    if (to === undefined) throw new LiveError("bad_request", "For whom? Say &to=http://host:9090");
    const upstream = parsePeer(to, database.options.path, this.#peerToken);
    return json(demotedJson(await database.demote(new HttpPeer(upstream)), upstream));
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

  async #wait(c: Request): Promise<Response> {
    const database = this.#database(c);
    const request = waitRequest((name) => c.req.query(name));
    if (this.#waiting >= MAX_WAITING) {
      throw new LiveError("busy", `${MAX_WAITING} requests wait already: try again`);
    }
    this.#waiting++;
    try {
      const answer = await waitFor(database, request, this.#env, c.req.raw.signal);
      return json(waitJson(answer), WAIT_STATUS[answer.result]);
    } finally {
      this.#waiting--;
    }
  }

  /** @throws {LiveError} "bad_request" without a path, "not_found". */
  #database(c: Request): Database {
    const path = c.req.query("path");
    if (path !== undefined && path !== "") return this.#node.database(path);
    throw new LiveError("bad_request", "Which database? Say ?path=/the/path");
  }

  #served(c: Request): Served {
    const database = this.#database(c);
    const protocol = c.req.query("protocol") ?? String(PROTOCOL_VERSION);
    if (protocol !== String(PROTOCOL_VERSION)) {
      throw new LiveError(
        "bad_request",
        `You speak protocol ${protocol}, this node ${PROTOCOL_VERSION}: run the same version on both`,
      );
    }
    return database.served();
  }
}

function changesRequest(c: Request, wanted: number[] | undefined): ChangesRequest {
  const since = c.req.query("since");
  const hashText = c.req.query("hash");
  const hash = hashText === undefined ? undefined : parseWords(hashText);
  if (hashText !== undefined && hash === undefined) {
    throw new LiveError(
      "bad_request",
      `Cannot read "${hashText}" as a hash: must be 16 hex digits`,
    );
  }
  return {
    ...(since === undefined ? {} : { since: parsePosition(since) }),
    ...(hash === undefined ? {} : { hash }),
    ...(wanted === undefined ? {} : { wanted }),
  };
}

function replicaOf(c: Request): string {
  const id = c.req.query("replica") ?? "";
  if (/^[0-9a-f]{16}$/.test(id)) return id;
  throw new LiveError("bad_request", "Which replica? Say ?replica= and 16 hex digits");
}

function parseReport(text: string): Parameters<Served["downstreams"]["report"]>[1] {
  try {
    const { epoch, received, durable, applied } = JSON.parse(text);
    return {
      epoch: parseEpoch(String(epoch)),
      received: parseTxid(String(received)),
      durable: parseTxid(String(durable)),
      applied: parseTxid(String(applied)),
    };
  } catch (error) {
    throw new LiveError("bad_request", `Cannot read the report: ${messageOf(error)}`);
  }
}

/** @throws {LiveError} "bad_request" as soon as more than `limit` bytes have come. */
async function bodyOf(c: Request, limit: number): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of c.req.raw.body ?? []) {
    length += chunk.length;
    if (length > limit) throw new LiveError("bad_request", `A body of more than ${limit} bytes`);
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

function json(value: unknown, status = 200): Response {
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return new Response(`${JSON.stringify(value)}\n`, { status, headers });
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

/** "[::1]:9090", "127.0.0.1:9090" */
export function formatHost(hostname: string, port: number): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

type Handler = (request: globalThis.Request, info: Deno.ServeHandlerInfo) => Promise<Response>;

function listenOn(addr: ListenAddress, signal: AbortSignal, handler: Handler): Deno.NetAddr {
  const serve = (hostname: string): Deno.NetAddr =>
    Deno.serve({ hostname, port: addr.port, signal, onListen: () => {} }, handler).addr;
  try {
    try {
      return serve(addr.hostname);
    } catch (error) {
      if (addr.hostname !== "::" || error instanceof Deno.errors.AddrInUse) throw error;
      return serve("0.0.0.0"); // a machine without IPv6
    }
  } catch (error) {
    const where = formatHost(addr.hostname, addr.port);
    const reason = error instanceof Deno.errors.AddrInUse
      ? "another process listens there"
      : messageOf(error);
    throw new LiveError("config", `Cannot listen on ${where}: ${reason}`);
  }
}
