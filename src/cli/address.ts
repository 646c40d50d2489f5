/**
 * Addresses: where a node listens, and the URL of an upstream. Text in, checked value out; each
 * complaint is a LiveError "config" without a place. No I/O: no name is looked up.
 * May import: base/, node/options, cli/place, cli/values.
 * @module
 */
import type { ListenAddress } from "../node/options.ts";
import { problem, show } from "./place.ts";
import { absolutePath, showUrl } from "./values.ts";

const MOST_PORT = 65_535;

/** ":9090", "127.0.0.1:9090", "[::1]:9090", "localhost:0". */
export function parseAddr(text: string): ListenAddress {
  const match = text.match(/^(\[[^\]]*\]|[^:[\]]*):([^:]*)$/);
  if (match === null || text.includes("//")) throw problem(whyNoAddr(text));
  const [, host, port] = match;
  return { hostname: parseHost(host!, port!), port: parsePort(port!, host!) };
}

function whyNoAddr(text: string): string {
  if (text === "") return 'is empty; write ":9090", or remove it where nobody is to be served';
  if (/^[0-9]+$/.test(text)) return `is a port without a colon; write ":${text.slice(0, 9)}"`;
  if (text.includes("//")) return `must not be a URL; write "host:9090" without http://`;
  if (/^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text)) {
    return `is an IPv6 address without brackets; write "[::1]:9090"`;
  }
  if (!text.includes(":")) return `has no port; write ${show(`${text}:9090`)}`;
  return `must be host:port, not ${show(text)}; write ":9090" or "127.0.0.1:9090"`;
}

function parseHost(host: string, port: string): string {
  if (host === "") return "::";
  const bare = host.replace(/^\[|\]$/g, "");
  const isIpv6 = host.startsWith("[");
  const looksFine = isIpv6 ? /^[0-9a-f:.]+$/i : /^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/i;
  if (looksFine.test(bare) && URL.canParse(`http://${host}:1`)) return bare;
  if (host === "*") throw problem(`cannot have the host *; write ":${port.slice(0, 9)}"`);
  throw problem(`has no host that can be one, ${show(host)}; write ":9090" or "127.0.0.1:9090"`);
}

function parsePort(port: string, host: string): number {
  if (/^[0-9]{1,5}$/.test(port) && Number(port) <= MOST_PORT) return Number(port);
  const what = port === "" ? "has no port" : `has no port that can be one, ${show(port)}`;
  throw problem(`${what}; write ${show(`${host}:9090`)}, or another from 0 to ${MOST_PORT}`);
}

/** Others than this machine can reach it, so its databases are open to them. */
export function hasOpenBind({ hostname }: ListenAddress): boolean {
  const isLoopback = /^(127\.[0-9.]+|::1|::ffff:127\.[0-9.]+|(.+\.)?localhost)$/i.test(hostname);
  return !isLoopback;
}

export interface UpstreamUrl {
  /** Scheme, host and port. */
  readonly url: string;
  /** Of the database there, if the URL says it. */
  readonly path?: string;
}

/** "http://host:9090" or "http://host:9090/data/db". */
export function parseUpstreamUrl(text: string): UpstreamUrl {
  const [, authority, path] = text.match(/^https?:\/\/([^/?#]*)([^]*)$/i) ?? [];
  if (authority === undefined) throw problem(whyNoUrl(text));
  if (authority.includes("@")) {
    throw problem("must not contain a user or password; write upstream.token instead");
  }
  if (/^(:|$)/.test(authority)) throw problem(`has no host; write http://host:9090`);
  if (/[?#]/.test(text)) throw problem("must not have a ? or #; write http://host:9090/path");
  const url = URL.canParse(text) && !/[\s\\$]/.test(authority) ? new URL(text) : undefined;
  if (url === undefined) {
    throw problem(`has no host and port that can be one, ${showUrl(text)}; write http://host:9090`);
  }
  return /^\/*$/.test(path!) ? { url: url.origin } : { url: url.origin, path: decodePath(path!) };
}

function whyNoUrl(text: string): string {
  if (text === "") return "is empty; write http://host:9090";
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    return `must be http or https, not ${showUrl(text)}; write http://host:9090`;
  }
  return `must be a URL, not ${showUrl(text)}; write http://host:9090`;
}

function decodePath(encoded: string): string {
  let path: string;
  try {
    path = decodeURIComponent(encoded);
  } catch {
    throw problem("has a % in its path that encodes nothing; write %25 for a %");
  }
  return absolutePath(path);
}
