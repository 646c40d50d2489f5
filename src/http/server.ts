/**
 * The node's HTTP server: streams for replicas, status, metrics and health for people. The one module
 * that imports hono. May import: base/, changes/, node/, http/.
 *
 * Invariant: where a token is set, nothing but /health and the page without data answers without
 * one, not even with a 404.
 * @module
 */
import { type Context, Hono } from "hono";
import type { Env } from "../base/env.ts";
import { codeOf, httpStatus, LiveError, messageOf } from "../base/errors.ts";
import { parseAncestors } from "../base/lineage.ts";
import { parseEpoch } from "../base/types.ts";
import { MAX_TREE_BYTES, parseBranches } from "../changes/tree.ts";
import { PROTOCOL_VERSION } from "../changes/records.ts";
import type { Database, Served } from "../node/database.ts";
import { waitFor } from "../node/wait.ts";
import type { Node } from "../node/node.ts";
import { LIMIT_DEFAULTS, type Limits, type ListenAddress } from "../node/options.ts";
import { parseDuration } from "../base/duration.ts";
import { textOf } from "./body.ts";
import { CHAIN_HEADER, ENDPOINTS, LITESTREAM_STREAM_PATH, SESSION_HEADER } from "./endpoints.ts";
import { Events } from "./events.ts";
import { Guard, needsOf, secure, type Tokens } from "./guard.ts";
import { healthOf } from "./health.ts";
import { Guests } from "./limits.ts";
import { Listener } from "./listener.ts";
import { Metrics } from "./metrics.ts";
import { makePage } from "./page.ts";
import { HttpPeer, parsePeer } from "./peer.ts";
import { demotedJson, promotedJson } from "./promote.ts";
import {
  aboveOf,
  formatAnswers,
  MAX_REPORT_BYTES,
  MAX_REPORTS_BYTES,
  parseList,
  parseReport,
} from "./report.ts";
import { parseTurn, Sessions } from "./sessions.ts";
import { statusJson } from "./status_json.ts";
import { type Asked, type Opened, replicaOf, Streams } from "./streams.ts";
import { verifyLines } from "./verify.ts";
import { positionJson, WAIT_STATUS, waitJson, waitRequest } from "./wait.ts";
import type { CertificatePair } from "./tls.ts";

type Bindings = {
  Bindings: { address: string; completed: Promise<unknown> };
  /** Of a stream or of events: it counts as a request no longer. */
  Variables: { leave: (() => void) | undefined };
};
type Request = Context<Bindings>;

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
  readonly #limits: Limits;
  readonly #guests: Guests;
  readonly #streams: Streams;
  readonly #sessions: Sessions;

  constructor(node: Node, options: ServerOptions, env: Env) {
    this.#node = node;
    this.#env = env;
    this.#credentials = options;
    this.#guard = new Guard(options);
    this.#peerClient = options.peerClient;
    this.#metrics = new Metrics(() => node.status());
    this.#limits = options.limits ?? LIMIT_DEFAULTS;
    this.#guests = new Guests(this.#limits, env.clock);
    this.#streams = new Streams(this.#guests, this.#limits, env);
    this.#sessions = new Sessions(env.clock);
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
    signal.addEventListener("abort", () => this.#streams.endAll(isEvents), { once: true });
    this.#listener = new Listener(addr, this.#credentials.tls, handler, this.#env, signal);
    return this.#listener.address;
  }

  /** Asks for these from now on: a stream goes on only if its token still opens it. */
  async renew(credentials: Credentials): Promise<void> {
    this.#credentials = credentials;
    this.#guard.renew(credentials);
    this.#streams.endAll(({ needs, header }) => this.#guard.refusal(needs, header) !== undefined);
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
    app.get(ENDPOINTS.hashes.path, (c) => this.#streams.hashes(asked(c), this.#served(c)));
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
    const database = this.#node.byPath.get(c.req.query("path") ?? "");
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

  #stream(c: Request): Promise<Response> {
    this.#learn(c, c.req.query("since")?.split("/")[0]);
    return left(c, this.#streams.changes(asked(c), this.#served(c)));
  }

  #repair(c: Request): Promise<Response> {
    this.#learn(c, c.req.query("since")?.split("/")[0]);
    return left(c, this.#streams.repair(asked(c), () => this.#served(c)));
  }

  #listen(c: Request): Promise<Response> {
    const path = c.req.query("path");
    const one = path === undefined ? undefined : this.#database(c).options.path;
    return left(c, this.#streams.events(asked(c), this.#events, one));
  }

  async #report(c: Request): Promise<Response> {
    const { downstreams } = this.#served(c);
    downstreams.report(
      replicaOf(asked(c).query),
      parseReport(await this.#text(c, MAX_REPORT_BYTES)),
    );
    return new Response(null, { status: 204 });
  }

  async #reports(c: Request): Promise<Response> {
    checkProtocol(c);
    const beats = c.req.query("beats") === "1";
    const session = c.req.query("session");
    const list = parseList(await this.#text(c, MAX_REPORTS_BYTES));
    const turn = session === undefined ? undefined : parseTurn(session);
    const { answers, kept } = this.#sessions.take(list, this.#node.byPath, beats, turn);
    const response = jsonOf(formatAnswers(answers, beats));
    if (kept) response.headers.set(SESSION_HEADER, session!);
    return response;
  }

  async #tree(c: Request): Promise<Response> {
    const database = this.#database(c);
    const branches = parseBranches(await this.#text(c, MAX_TREE_BYTES));
    database.downstreams.branches(replicaOf(asked(c).query), branches);
    const { upstream } = database.status();
    return json(upstream === undefined ? [] : aboveOf(upstream));
  }

  #text(c: Request, bytes: number): Promise<string> {
    const limits = { bytes, ms: this.#limits.stallMs };
    return textOf(c.req.raw.body, limits, this.#env.clock);
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
    const request = waitRequest(asked(c).query);
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

/** From now on it is a stream, and no request. */
async function left(c: Request, answer: Promise<Response>): Promise<Response> {
  const response = await answer;
  c.get("leave")?.();
  return response;
}

function asked(c: Request): Asked {
  return {
    query: (name) => c.req.query(name),
    header: (name) => c.req.header(name),
    body: c.req.raw.body,
    address: c.env.address,
  };
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
