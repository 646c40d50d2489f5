/**
 * Another node's database as a ChangeSource: what changes() yields are the bytes of its HTTP answer.
 * May import: base/, changes/, node/options, http/{body,compression,endpoints,ranges,report,reports,tls}.
 *
 * Every failure is a LiveError "upstream" with a sentence that names the upstream, unless the other
 * node said a code that is acted on ("position_gone", "not_ready"). The token stands in no message.
 * @module
 */
import { type Bytes, formatWords } from "../base/bytes.ts";
import { type Env, Stop } from "../base/env.ts";
import { type ErrorCode, LiveError, messageOf } from "../base/errors.ts";
import { formatAncestors, type Lineage } from "../base/lineage.ts";
import { formatPosition, isId } from "../base/types.ts";
import type { Compression } from "../node/options.ts";
import { PROTOCOL_VERSION } from "../changes/records.ts";
import type {
  ChangeSource,
  ChangesRequest,
  HashesRequest,
  Report,
  Reported,
} from "../changes/source.ts";
import {
  type Above,
  type Branch,
  formatBranches,
  MAX_TREE_BYTES,
  parseAbove,
} from "../changes/tree.ts";
import { BodyReader } from "./body.ts";
import { COMPRESSION_HEADER, decompressed } from "./compression.ts";
import { CHAIN_HEADER, ENDPOINTS, SESSION_HEADER } from "./endpoints.ts";
import { encodeRuns, formatRanges } from "./ranges.ts";
import { formatReport, MAX_ANSWERS_BYTES, parseAnswers, type Told } from "./report.ts";
import type { Answers, Reporter, Reports } from "./reports.ts";
import { explainTls, type Settings } from "./tls.ts";

export interface Access {
  readonly token?: string;
  /** For https: what trusts the right CAs. */
  readonly client?: Deno.HttpClient;
}

export interface ClientOptions {
  /** Scheme, host and port. */
  readonly url: string;
  readonly path: string;
  /** Not listed as a replica: it takes a copy and goes. */
  readonly passing?: boolean;
  /** Asked for at each request, since SIGHUP may change it. @throws {LiveError} "config". */
  readonly access?: () => Access;
  /** Default: "auto", which compresses where an answer takes long to come. */
  readonly compression?: Compression;
  /** What the sentences call URL and CA; default: the keys of a config. */
  readonly settings?: Settings;
  /** Those of all databases that this process follows; absent: each report goes alone. */
  readonly reports?: Reports;
  /** Told the ids of the databases that the other one follows, itself first. May throw. */
  readonly onChain?: (ids: readonly string[]) => void;
}

/** An answer of hashes comes from memory; a node that takes longer hangs. */
const HASHES_LIMIT_MS = 20_000;
const REPORT_LIMIT_MS = 3000;
/** Of an error's text; what comes after it is not read. */
const MAX_ERROR_BYTES = 2000;
/** For `auto`: requests that are timed, and the round trip from which a machine is far. */
const PROBES = 3;
/** All of them: who is given up after 3 s of silence has not been asked for the stream yet. */
const PROBE_LIMIT_MS = 1000;
const FAR_MS = 5;
const PASSED_ON: readonly ErrorCode[] = ["position_gone", "not_ready"];

const NEVER = new AbortController().signal;
const UPSTREAM: Settings = { url: "upstream.url", ca: "upstream.ca" };

export class HttpSource implements ChangeSource, Reporter {
  readonly #options: ClientOptions;
  readonly #env: Env;
  readonly #replica: string;
  /** The last one that was to be sent: the same again while nothing changes. */
  #told: Told | undefined;

  constructor(options: ClientOptions, env: Env) {
    this.#options = options;
    this.#env = env;
    this.#replica = env.random.id();
  }

  async *changes(request: ChangesRequest, signal: AbortSignal): AsyncGenerator<Bytes> {
    const { since, hash, wanted, ancestors = [] } = request;
    const query: Record<string, string> = this.#options.passing === true
      ? {}
      : { replica: this.#replica };
    if (ancestors.length > 0) query["ancestors"] = formatAncestors(ancestors);
    if (since !== undefined) query["since"] = formatPosition(since);
    if (hash !== undefined) query["hash"] = formatWords(hash);
    const body = wanted === undefined ? undefined : encodeRuns(wanted);
    const { path } = wanted === undefined ? ENDPOINTS.stream : ENDPOINTS.repair;
    if (await this.#isWorthIt(signal)) query["compress"] = "zstd";
    const response = await this.#fetch(path, query, body, signal);
    const isCompressed = response.headers.get(COMPRESSION_HEADER) === "zstd";
    const bytes = this.#body(response, signal, !isCompressed);
    yield* isCompressed ? this.#plain(bytes) : bytes;
  }

  /** Bytes that were compressed. @throws {LiveError} "checksum" for what was not. */
  async *#plain(bytes: AsyncIterable<Bytes>): AsyncGenerator<Bytes> {
    try {
      yield* decompressed(bytes);
    } catch (error) {
      if (error instanceof LiveError) throw error;
      throw new LiveError("checksum", `What ${this.#options.url} sends is no zstd`);
    }
  }

  /** True where the other machine is far: a slow line costs more than zstd does. */
  async #isWorthIt(signal: AbortSignal): Promise<boolean> {
    const { compression = "auto", url } = this.#options;
    if (compression !== "auto") return compression === "zstd";
    if (/^https?:\/\/(localhost|127\.[0-9.]+|\[::1\])(:|$)/.test(url)) return false;
    const { clock } = this.#env;
    let best = Infinity;
    using limit = new Stop(signal, { clock: this.#env.clock, ms: PROBE_LIMIT_MS });
    try {
      for (let nth = 0; nth < PROBES; nth++) { // the first one also connects
        const began = clock.monotonic();
        const { client } = this.#options.access?.() ?? {};
        const asked = { signal: limit.signal, ...(client === undefined ? {} : { client }) };
        const response = await fetch(new URL(ENDPOINTS.health.path, url), asked);
        await response.body?.cancel();
        best = Math.min(best, clock.monotonic() - began);
      }
    } catch (error) {
      if (error instanceof LiveError) throw error;
      return limit.signal.aborted; // the request itself says why there is no answer
    }
    return best > FAR_MS;
  }

  async *hashes(request: HashesRequest, signal: AbortSignal): AsyncGenerator<Bytes> {
    const query: Record<string, string> = request.blocks === undefined
      ? {}
      : { blocks: formatRanges(request.blocks) };
    using limit = new Stop(signal, { clock: this.#env.clock, ms: HASHES_LIMIT_MS });
    const response = await this.#fetch(ENDPOINTS.hashes.path, query, undefined, limit.signal);
    yield* this.#body(response, limit.signal);
  }

  report(report: Report, signal: AbortSignal, done: Reported): void {
    if (this.#told?.report !== report) {
      this.#told = { path: this.#options.path, replica: this.#replica, report };
    }
    const told = this.#told;
    const { access, reports } = this.#options;
    if (access === undefined || reports === undefined) {
      void this.reportAlone(told, signal).then(() => done(undefined));
      return;
    }
    try {
      reports.send(access(), this, told, signal, done);
    } catch (error) {
      this.#notTaken(error);
      done(undefined);
    }
  }

  async reportAlone({ report }: Told, signal: AbortSignal): Promise<void> {
    using limit = new Stop(signal, { clock: this.#env.clock, ms: REPORT_LIMIT_MS });
    try {
      const query = { replica: this.#replica };
      const body = new TextEncoder().encode(formatReport(report));
      const response = await this.#fetch(ENDPOINTS.report.path, query, body, limit.signal);
      await response.body?.cancel().catch(() => {}); // aborted meanwhile
    } catch (error) {
      this.#notTaken(error);
    }
  }

  async reportTogether(list: string, turn: string): Promise<Answers | "unknown" | "lost"> {
    using limit = new Stop(NEVER, { clock: this.#env.clock, ms: REPORT_LIMIT_MS });
    const body = new TextEncoder().encode(list);
    try {
      const query = { beats: "1", session: turn };
      const response = await this.#fetch(ENDPOINTS.reports.path, query, body, limit.signal);
      const kept = response.headers.get(SESSION_HEADER) === turn;
      return { answers: parseAnswers(await beginningOf(response, MAX_ANSWERS_BYTES)), kept };
    } catch (error) {
      this.#notTaken(error);
      const { status } = error instanceof LiveError ? error.context : {};
      return status === 404 ? "unknown" : "lost";
    }
  }

  follows(chain: string): void {
    try {
      this.#options.onChain?.(parseChain(chain));
    } catch (error) {
      this.#notTaken(error);
    }
  }

  #notTaken(error: unknown): void {
    if (!(error instanceof LiveError)) throw error;
    this.#env.log.debug("report was not taken", { error: error.message });
  }

  async tree(
    branches: readonly Branch[],
    signal: AbortSignal,
  ): Promise<readonly Above[] | undefined> {
    using limit = new Stop(signal, { clock: this.#env.clock, ms: REPORT_LIMIT_MS });
    const body = new TextEncoder().encode(formatBranches(branches));
    const query = { replica: this.#replica };
    try {
      const response = await this.#fetch(ENDPOINTS.tree.path, query, body, limit.signal);
      return parseAbove(await beginningOf(response, MAX_TREE_BYTES));
    } catch (error) {
      if (!(error instanceof LiveError)) throw error;
      this.#env.log.debug("the tree was not told", { error: error.message });
      return undefined;
    }
  }

  async supersede({ epoch, ancestors }: Lineage, signal: AbortSignal): Promise<void> {
    using limit = new Stop(signal, { clock: this.#env.clock, ms: REPORT_LIMIT_MS });
    const query = { epoch, ancestors: formatAncestors(ancestors) };
    try {
      const { path } = ENDPOINTS.fence;
      const response = await this.#fetch(path, query, new Uint8Array(0), limit.signal);
      await response.body?.cancel().catch(() => {}); // aborted meanwhile
    } catch (error) {
      if (!(error instanceof LiveError)) throw error;
      this.#env.log.debug("the old upstream is not told", { error: error.message });
    }
  }

  async #fetch(
    path: string,
    query: Readonly<Record<string, string>>,
    body: Bytes | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    const url = new URL(path, this.#options.url);
    url.searchParams.set("path", this.#options.path);
    url.searchParams.set("protocol", String(PROTOCOL_VERSION));
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const { token, client } = this.#options.access?.() ?? {};
    let response: Response;
    try {
      response = await fetch(url, {
        method: body === undefined ? "GET" : "POST",
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body }),
        ...(client === undefined ? {} : { client }),
        redirect: "error",
        signal,
      });
    } catch (error) {
      throw this.#unreachable(error);
    }
    try {
      this.#options.onChain?.(parseChain(response.headers.get(CHAIN_HEADER)));
    } catch (error) {
      await response.body?.cancel().catch(() => {}); // aborted meanwhile
      throw error;
    }
    if (response.ok) return response;
    throw await this.#refusal(response);
  }

  /** The bytes as they come. `lent`: they are good until the next ones are asked for. */
  async *#body(response: Response, signal: AbortSignal, lent = true): AsyncGenerator<Bytes> {
    if (response.body === null) return;
    const reader = new BodyReader(response.body);
    try {
      for (;;) {
        const chunk = await reader.read();
        if (chunk === undefined) return;
        yield lent ? chunk : chunk.slice();
      }
    } catch (error) {
      if (error instanceof LiveError) throw error;
      if (signal.aborted) return;
      throw this.#unreachable(error);
    } finally {
      await reader.cancel();
    }
  }

  async #refusal(response: Response): Promise<LiveError> {
    const text = await beginningOf(response);
    let code: ErrorCode = "upstream";
    let message = text.trim();
    try {
      const parsed: unknown = JSON.parse(text);
      if (typeof parsed === "object" && parsed !== null && "message" in parsed) {
        message = String(parsed.message);
        const told = "code" in parsed ? String(parsed.code) : "";
        code = PASSED_ON.find((known) => known === told) ?? "upstream";
      }
    } catch { /* not ours: a proxy's page, or another server */ }
    const { url } = this.#options;
    if (response.status === 401) {
      const way = this.#options.settings?.token ??
        "set upstream.token, or upstream.token-file, to its auth.token";
      return new LiveError("upstream", `${url} refuses: ${way}`);
    }
    const { status } = response;
    return new LiveError(code, `${url} answers ${status}: ${message}`, { status });
  }

  #unreachable(error: unknown): LiveError {
    // "error sending request for url (http://…?…): client error (Connect): tcp connect error: …"
    const reason = messageOf(error).replace(/^.*?url \([^)]*\):? ?/s, "")
      .replace(/^client error \(Connect\): /, "");
    const said = explainTls(reason, this.#options.settings ?? UPSTREAM) ?? reason;
    return new LiveError("upstream", `Cannot reach ${this.#options.url}: ${said}`);
  }
}

/** Of its body; a stranger may send without end. */
async function beginningOf(response: Response, most = MAX_ERROR_BYTES): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  const reader = new BodyReader(response.body);
  try {
    for (let left = most; left > 0;) {
      const chunk = await reader.read();
      if (chunk === undefined) break;
      const part = chunk.subarray(0, left);
      text += decoder.decode(part, { stream: true });
      left -= part.length;
    }
  } catch { /* what came will do */ }
  await reader.cancel();
  return text + decoder.decode();
}

function parseChain(text: string | null): string[] {
  return (text ?? "").split(",").filter(isId);
}
