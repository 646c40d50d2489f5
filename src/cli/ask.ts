/**
 * Asks a node for its status: the one of a config, or the one at a URL. May import: base/, http/,
 * node/options.
 * @module
 */
import type { Clock } from "../base/env.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import { ENDPOINTS } from "../http/endpoints.ts";
import { formatHost } from "../http/server.ts";
import type { ListenAddress, NodeOptions } from "../node/options.ts";
import type { StatusJson } from "./status_view.ts";

const LIMIT_MS = 3000;

export interface NodeAddress {
  readonly url: string;
  readonly token?: string;
}

/** Where the node of a config listens. @throws {LiveError} "config" if it listens nowhere. */
export function addressOf({ addr, token }: NodeOptions): NodeAddress {
  if (addr === undefined || addr.port === 0) {
    throw new LiveError("config", "addr: the config names no port, so the node cannot be asked");
  }
  return { url: `http://${here(addr)}`, ...(token === undefined ? {} : { token }) };
}

/** @throws {LiveError} "upstream" with a sentence if there is no answer. */
export async function askStatus(node: NodeAddress): Promise<StatusJson> {
  const { status, body } = await ask(node, ENDPOINTS.status.path, LIMIT_MS);
  if (status === 200) return body;
  throw new LiveError("upstream", `${node.url} is no litestream-live: it answers ${status}`);
}

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * The JSON that a node answers, whatever the status. `target` is a path with its query.
 * @throws {LiveError} "upstream" if there is no answer or no JSON, "unauthorized".
 */
export async function ask(
  { url, token }: NodeAddress,
  target: string,
  limitMs: number,
  method: "GET" | "POST" = "GET",
): Promise<Answer> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(new URL(target, url), {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(limitMs),
    });
    text = await response.text();
  } catch (error) {
    const reason = messageOf(error).replace(/^.*?url \([^)]*\):? ?/s, "");
    throw new LiveError(
      "upstream",
      `No node answers at ${url}: ${reason.replace("client error (Connect): ", "")}`,
    );
  }
  const { status } = response;
  if (status === 401) {
    throw new LiveError("unauthorized", `${url} wants a token: use -config, or -token`);
  }
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null) return { status, body: { ...body } };
  } catch { /* not JSON: another program */ }
  throw new LiveError("upstream", `${url} is no litestream-live: it answers ${status}`);
}

/** Of five requests the median; undefined if one fails. */
export async function roundTripMs(node: NodeAddress, clock: Clock): Promise<number | undefined> {
  const times: number[] = [];
  try {
    for (let nth = 0; nth < 5; nth++) {
      const began = clock.monotonic();
      await ask(node, ENDPOINTS.health.path, LIMIT_MS);
      times.push(clock.monotonic() - began);
    }
  } catch (error) {
    if (error instanceof LiveError) return undefined;
    throw error;
  }
  return times.sort((a, b) => a - b)[2];
}

function here(addr: ListenAddress): string {
  const all = addr.hostname === "::" || addr.hostname === "0.0.0.0";
  return formatHost(all ? "127.0.0.1" : addr.hostname, addr.port);
}
