/**
 * Another node's database as a ChangeSource: what changes() yields are the bytes of its HTTP answer.
 * May import: base/, changes/, http/{endpoints,ranges}.
 *
 * Every failure is a LiveError "upstream" with a sentence that names the upstream, unless the other
 * node said a code that is acted on ("position_gone", "not_ready"). The token stands in no message.
 * @module
 */
import { type Bytes, formatWords } from "../base/bytes.ts";
import type { Env } from "../base/env.ts";
import { type ErrorCode, LiveError, messageOf } from "../base/errors.ts";
import { formatAncestors, type Lineage } from "../base/lineage.ts";
import { formatPosition, formatTxid } from "../base/types.ts";
import { PROTOCOL_VERSION } from "../changes/records.ts";
import type { ChangeSource, ChangesRequest, HashesRequest, Report } from "../changes/source.ts";
import { CHAIN_HEADER, ENDPOINTS } from "./endpoints.ts";
import { encodeRuns, formatRanges } from "./ranges.ts";

export interface ClientOptions {
  /** Scheme, host and port. */
  readonly url: string;
  readonly path: string;
  readonly token?: string;
  /** Told the ids of the databases that the other one follows, itself first. May throw. */
  readonly onChain?: (ids: readonly string[]) => void;
}

/** An answer of hashes comes from memory; a node that takes longer hangs. */
const HASHES_LIMIT_MS = 20_000;
const REPORT_LIMIT_MS = 3000;
/** Of an error's text. */
const MAX_ERROR_CHARS = 1000;
const PASSED_ON: readonly ErrorCode[] = ["position_gone", "not_ready"];

export class HttpSource implements ChangeSource {
  readonly #options: ClientOptions;
  readonly #env: Env;
  readonly #replica: string;

  constructor(options: ClientOptions, env: Env) {
    this.#options = options;
    this.#env = env;
    this.#replica = env.random.id();
  }

  async *changes(request: ChangesRequest, signal: AbortSignal): AsyncGenerator<Bytes> {
    const { since, hash, wanted, ancestors = [] } = request;
    const query: Record<string, string> = { replica: this.#replica };
    if (ancestors.length > 0) query["ancestors"] = formatAncestors(ancestors);
    if (since !== undefined) query["since"] = formatPosition(since);
    if (hash !== undefined) query["hash"] = formatWords(hash);
    const body = wanted === undefined ? undefined : encodeRuns(wanted);
    const { path } = wanted === undefined ? ENDPOINTS.stream : ENDPOINTS.repair;
    yield* this.#body(await this.#fetch(path, query, body, signal), signal);
  }

  async *hashes(request: HashesRequest, signal: AbortSignal): AsyncGenerator<Bytes> {
    const query: Record<string, string> = request.blocks === undefined
      ? {}
      : { blocks: formatRanges(request.blocks) };
    using limit = new Limit(this.#env, HASHES_LIMIT_MS, signal);
    const response = await this.#fetch(ENDPOINTS.hashes.path, query, undefined, limit.signal);
    yield* this.#body(response, limit.signal);
  }

  async report(report: Report, signal: AbortSignal): Promise<void> {
    const { epoch, received, durable, applied } = report;
    const text = JSON.stringify({
      epoch,
      received: formatTxid(received),
      durable: formatTxid(durable),
      applied: formatTxid(applied),
    });
    using limit = new Limit(this.#env, REPORT_LIMIT_MS, signal);
    try {
      const query = { replica: this.#replica };
      const body = new TextEncoder().encode(text);
      const response = await this.#fetch(ENDPOINTS.report.path, query, body, limit.signal);
      await response.body?.cancel().catch(() => {}); // aborted meanwhile
    } catch (error) {
      if (!(error instanceof LiveError)) throw error;
      this.#env.log.debug("report was not taken", { error: error.message });
    }
  }

  async supersede({ epoch, ancestors }: Lineage, signal: AbortSignal): Promise<void> {
    using limit = new Limit(this.#env, REPORT_LIMIT_MS, signal);
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
    const { token } = this.#options;
    let response: Response;
    try {
      response = await fetch(url, {
        method: body === undefined ? "GET" : "POST",
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body }),
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

  async *#body(response: Response, signal: AbortSignal): AsyncGenerator<Bytes> {
    if (response.body === null) return;
    const reader = response.body.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        yield value;
      }
    } catch (error) {
      if (error instanceof LiveError) throw error;
      if (signal.aborted) return;
      throw this.#unreachable(error);
    } finally {
      await reader.cancel().catch(() => {}); // it has failed already
    }
  }

  async #refusal(response: Response): Promise<LiveError> {
    const text = (await response.text().catch(() => "")).slice(0, MAX_ERROR_CHARS);
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
      return new LiveError("upstream", `${url} refuses: set upstream.token to its auth.token`);
    }
    return new LiveError(code, `${url} answers ${response.status}: ${message}`);
  }

  #unreachable(error: unknown): LiveError {
    // "error sending request for url (http://…?…): client error (Connect): tcp connect error: …"
    const reason = messageOf(error).replace(/^.*?url \([^)]*\):? ?/s, "")
      .replace(/^client error \(Connect\): /, "");
    return new LiveError("upstream", `Cannot reach ${this.#options.url}: ${reason}`);
  }
}

function parseChain(text: string | null): string[] {
  return (text ?? "").split(",").filter((id) => /^[0-9a-f]{16}$/.test(id));
}

/** Aborts with `outer` or after `ms`; its timer and listener never outlive it. */
class Limit implements Disposable {
  readonly #controller = new AbortController();
  readonly #cancel: () => void;
  readonly #outer: AbortSignal;
  readonly #abort = (): void => this.#controller.abort();

  constructor(env: Env, ms: number, outer: AbortSignal) {
    this.#outer = outer;
    this.#cancel = env.clock.after(ms, this.#abort);
    outer.addEventListener("abort", this.#abort, { once: true });
    if (outer.aborted) this.#abort();
  }
  get signal(): AbortSignal {
    return this.#controller.signal;
  }
  [Symbol.dispose](): void {
    this.#cancel();
    this.#outer.removeEventListener("abort", this.#abort);
  }
}
