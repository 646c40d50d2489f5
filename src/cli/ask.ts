/**
 * Asks a node for its status: the one of a config, or the one at a URL. May import: base/, http/,
 * node/options, cli/secrets.
 *
 * The node of a config is asked at this machine's address, which its certificate need not name: it
 * must show the very certificate of the config. At a URL the usual rules hold.
 * @module
 */
import type { Clock } from "../base/env.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import { ENDPOINTS } from "../http/endpoints.ts";
import { formatHost } from "../http/listener.ts";
import { askPinned, explainTls, type Settings, tlsClient } from "../http/tls.ts";
import type { ListenAddress, NodeOptions } from "../node/options.ts";
import { nodeAccess, systemClient } from "./secrets.ts";
import type { StatusJson } from "./status_view.ts";

const LIMIT_MS = 3000;
/** What sentences about certificates call a command's arguments. */
export const FLAGS: Settings = {
  url: "the URL",
  ca: "-ca",
  token: "use -token or -token-file, with its auth.token",
};

export interface NodeAddress {
  readonly url: string;
  readonly token?: string;
  /** The certificate (PEM) that it must show. */
  readonly cert?: string;
  /** CAs (PEM) that are trusted instead of the system's. */
  readonly ca?: string;
  /** What the sentences call URL and CA; default: as on the command line. */
  readonly settings?: Settings;
}

/** Where the node of a config listens. @throws {LiveError} "config" if it listens nowhere. */
export function addressOf(
  options: NodeOptions,
  needs: "status" | "token" = "status",
): NodeAddress {
  const { addr, tls } = options;
  if (addr === undefined || addr.port === 0) {
    throw new LiveError("config", "addr: the config names no port, so the node cannot be asked");
  }
  const { hostname, port } = here(addr);
  const scheme = tls === undefined ? "http" : "https";
  return { url: `${scheme}://${formatHost(hostname, port)}`, ...nodeAccess(options, needs) };
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
  node: NodeAddress,
  target: string,
  limitMs: number,
  method: "GET" | "POST" = "GET",
): Promise<Answer> {
  const { url } = node;
  let answer: { readonly status: number; readonly text: string };
  try {
    answer = await send(node, target, method, limitMs);
  } catch (error) {
    throw unreachable(node, error);
  }
  const { status, text } = answer;
  if (status === 401) throw wantsToken(url);
  return { status, body: jsonOf(text, url, status) };
}

/** Between the first byte of an answer that is long under way and its last. */
const LONG_LIMIT_MS = 24 * 3_600_000;

/**
 * Lines of JSON that a POST answers, as they come. @throws {LiveError} as ask() does.
 */
export async function* askLines(
  node: NodeAddress,
  target: string,
): AsyncGenerator<Readonly<Record<string, unknown>>> {
  const { url, cert, ca } = node;
  let status: number;
  let body: AsyncIterable<string>;
  try {
    if (cert !== undefined) {
      const answer = await pinned(node, cert, target, "POST", LONG_LIMIT_MS);
      status = answer.status;
      body = ReadableStream.from([answer.text]);
    } else {
      const response = await fetch(new URL(target, url), {
        method: "POST",
        headers: headersOf(node),
        ...(url.startsWith("https:") && { client: clientOf(ca) }),
      });
      status = response.status;
      body = response.body?.pipeThrough(new TextDecoderStream()) ?? ReadableStream.from([]);
    }
  } catch (error) {
    throw unreachable(node, error);
  }
  if (status === 401) throw wantsToken(url);
  let rest = "";
  for await (const text of body) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield jsonOf(line, url, status);
  }
}

function unreachable({ url, settings }: NodeAddress, error: unknown): LiveError {
  const reason = messageOf(error).replace(/^.*?url \([^)]*\):? ?/s, "");
  const said = explainTls(reason, settings ?? FLAGS) ??
    reason.replace("client error (Connect): ", "")
      .replace(/refused.*$/s, "$&; is it running, and is this its addr?");
  return new LiveError("upstream", `No node answers at ${url}: ${said}`);
}

function wantsToken(url: string): LiveError {
  const how = "use -config, -token or -token-file";
  return new LiveError("unauthorized", `${url} wants a token: ${how}`);
}

function jsonOf(text: string, url: string, status: number): Readonly<Record<string, unknown>> {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null) return { ...body };
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

function headersOf({ token }: NodeAddress): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

async function pinned(
  node: NodeAddress,
  cert: string,
  path: string,
  method: "GET" | "POST",
  limitMs: number,
): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(node.url);
  const bare = hostname.replace(/^\[|\]$/g, "");
  const to = { hostname: bare, port: Number(port || 443) };
  return await askPinned({ ...to, path, method, headers: headersOf(node), cert, limitMs });
}

async function send(
  node: NodeAddress,
  target: string,
  method: "GET" | "POST",
  limitMs: number,
): Promise<{ status: number; text: string }> {
  const { url, cert, ca } = node;
  if (cert !== undefined) return await pinned(node, cert, target, method, limitMs);
  const response = await fetch(new URL(target, url), {
    method,
    headers: headersOf(node),
    signal: AbortSignal.timeout(limitMs),
    ...(url.startsWith("https:") && { client: clientOf(ca) }),
  });
  return { status: response.status, text: await response.text() };
}

/** By its CAs; a second request takes the connection of the first. */
const clients = new Map<string | undefined, Deno.HttpClient>();

export function clientOf(ca: string | undefined): Deno.HttpClient {
  const client = clients.get(ca) ?? (ca === undefined ? systemClient() : tlsClient(ca));
  clients.set(ca, client);
  return client;
}

/** As it is reached from this machine. */
function here(addr: ListenAddress): ListenAddress {
  const all = addr.hostname === "::" || addr.hostname === "0.0.0.0";
  return all ? { hostname: "127.0.0.1", port: addr.port } : addr;
}
