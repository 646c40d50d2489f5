/**
 * Another node, asked as a person would ask it: what it is, whether it has a transaction, to be promoted.
 * May import: base/, node/demotion, http/{endpoints,wait}.
 * @module
 */
import { type ErrorCode, LiveError, messageOf } from "../base/errors.ts";
import { formatPosition, type Position } from "../base/types.ts";
import type { Peer, PeerState } from "../node/demotion.ts";
import type { UpstreamOptions } from "../node/options.ts";
import { ENDPOINTS } from "./endpoints.ts";

const LIMIT_MS = 5000;
const GRACE_MS = 2000;
/** Codes of the other node that say for certain that it did nothing. */
const CERTAIN: readonly ErrorCode[] = ["guard", "unauthorized"];

/** `to` is a URL, with or without the path there. @throws {LiveError} "bad_request". */
export function parsePeer(to: string, path: string, token: string | undefined): UpstreamOptions {
  let url: URL;
  try {
    url = new URL(to);
  } catch {
    throw new LiveError("bad_request", `Cannot read to=${to}: must be like http://host:9090`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new LiveError("bad_request", `Cannot use to=${to}: must be http or https`);
  }
  const there = decodeURIComponent(url.pathname);
  return {
    url: url.origin,
    path: there === "/" ? path : there,
    ...(token !== undefined && { token }),
  };
}

export class HttpPeer implements Peer {
  constructor(readonly upstream: UpstreamOptions, private readonly client?: Deno.HttpClient) {}

  async look(): Promise<PeerState> {
    const { body } = await this.#ask("GET", ENDPOINTS.status.path, {}, LIMIT_MS);
    const { path, url } = this.upstream;
    const databases: readonly unknown[] = Array.isArray(body["databases"]) ? body["databases"] : [];
    const found = databases.find((one) => (one as { path?: unknown }).path === path);
    if (found === undefined) throw new LiveError("guard", `${url} has no database ${path}`);
    return found as PeerState;
  }

  async waitFor(at: Position, ms: number): Promise<boolean> {
    const query = { path: this.upstream.path, txid: formatPosition(at), timeout: `${ms}ms` };
    const { status } = await this.#ask("GET", ENDPOINTS.wait.path, query, ms + GRACE_MS);
    return status === 200;
  }

  async promote(): Promise<void> {
    const { method, path } = ENDPOINTS.promote;
    const query = { path: this.upstream.path };
    const { status, body } = await this.#ask(method, path, query, 2 * LIMIT_MS);
    if (status === 200) return;
    const code = CERTAIN.find((known) => known === body["code"]) ?? "upstream";
    throw new LiveError(code, `${this.upstream.url} answers ${status}: ${body["message"]}`);
  }

  async #ask(
    method: "GET" | "POST",
    path: string,
    query: Readonly<Record<string, string>>,
    ms: number,
  ): Promise<{ readonly status: number; readonly body: Readonly<Record<string, unknown>> }> {
    const { url, token } = this.upstream;
    const target = new URL(path, url);
    for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value);
    try {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const signal = AbortSignal.timeout(ms);
      const response = await fetch(target, {
        method,
        headers,
        redirect: "error",
        signal,
        ...(this.client && { client: this.client }),
      });
      const { status } = response;
      const body: unknown = await response.json();
      if (status === 401) {
        throw new LiveError(
          "unauthorized",
          `${url} wants another token than this node's auth.token`,
        );
      }
      return { status, body: { ...(body as Readonly<Record<string, unknown>>) } };
    } catch (error) {
      if (error instanceof LiveError) throw error;
      throw new LiveError("upstream", `Cannot reach ${url}: ${messageOf(error)}`);
    }
  }
}
