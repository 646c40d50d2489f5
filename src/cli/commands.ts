/**
 * The commands that ask a node or look at a machine: what was typed becomes what is asked. Each returns
 * the exit code. May import: base/, http/client, node/{options,side_files}, cli/.
 * @module
 */
import { type Env, systemClock, systemRandom } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import { HttpSource } from "../http/client.ts";
import { noteAcceptance } from "../node/aside.ts";
import type { NodeOptions } from "../node/options.ts";
import { realPath } from "../node/side_files.ts";
import { parseUpstreamUrl } from "./address.ts";
import type { Invocation } from "./arguments.ts";
import { addressOf, clientOf, FLAGS, type NodeAddress } from "./ask.ts";
import { copyTo } from "./copy.ts";
import { examine } from "./doctor.ts";
import { doctorText } from "./doctor_view.ts";
import { load } from "./load.ts";
import type { LoadedConfig } from "./loaded.ts";
import { openLog, print, writeStderr } from "./log.ts";
import { parseNamed } from "./place.ts";
import { demoteAt, promoteAt } from "./promote.ts";
import { readNamed, upstreamAccess } from "./secrets.ts";
import { showStatus } from "./status.ts";
import { coloured, type Paint, plain } from "./status_view.ts";
import { resolvePath } from "./values.ts";
import { type Place, verify, verifyText } from "./verify.ts";
import { VERSION } from "./version.ts";
import { waitAt } from "./wait.ts";

const QUIET = { level: "error", format: "text", colours: false, write: writeStderr } as const;

export async function status(asked: Extract<Invocation, { command: "status" }>): Promise<number> {
  const { json, watch } = asked;
  const node = nodeOf(asked);
  const isTerminal = Deno.stdout.isTerminal();
  const colours = isTerminal && Deno.env.get("NO_COLOR") === undefined;
  const stop = new AbortController();
  if (watch) Deno.addSignalListener("SIGINT", () => stop.abort());
  await showStatus({ node, json, watch }, { isTerminal, colours, print }, systemClock, stop.signal);
  return 0;
}

export async function verifyNodes(
  asked: Extract<Invocation, { command: "verify" }>,
): Promise<number> {
  const { url, flags, json, repair } = asked;
  const placeOf = (text: string): Place => {
    const { path } = parseNamed("the URL", () => parseUpstreamUrl(text));
    if (path !== undefined) return { node: nodeAt({ ...asked, url: text }), path };
    throw new LiveError("config", "the URL: has no path; write http://host:9090/data/db");
  };
  let first: Place;
  let upstream: Place | undefined;
  if (url !== undefined) first = placeOf(url);
  else {
    const { options } = load([], flags);
    first = { node: addressOf(options, "token"), path: asked.path ?? onlyPath(options) };
    const there = options.databases.find(({ path }) => path === first.path)?.upstream;
    if (there !== undefined) {
      upstream = { node: { url: there.url, ...upstreamAccess(there) }, path: there.path };
    }
  }
  const against = asked.against === undefined ? upstream : placeOf(asked.against);
  const toSee = Deno.stderr.isTerminal();
  const verified = await verify({
    first,
    ...(against && { against }),
    repair,
    isLocal: url === undefined,
    progress: (node, done, pages) => {
      if (toSee) writeStderr(`\r\x1b[K${node}: ${Math.floor(100 * done / pages)} %`);
    },
  }, systemClock);
  if (toSee) writeStderr("\r\x1b[K");
  print(json ? `${JSON.stringify(verified)}\n` : verifyText(verified));
  return verified.ok ? 0 : 1;
}

export async function copy(asked: Extract<Invocation, { command: "copy" }>): Promise<number> {
  const { url, path } = parseNamed("the URL", () => parseUpstreamUrl(asked.url));
  if (path === undefined) {
    throw new LiveError("config", "the URL: has no path; write http://host:9090/data/db");
  }
  const { token, ca } = nodeAt(asked);
  const client = url.startsWith("https:") ? clientOf(ca) : undefined;
  const access = { ...(token && { token }), ...(client && { client }) };
  const env: Env = { clock: systemClock, random: systemRandom, log: openLog(QUIET) };
  const from = { url, path, passing: true, access: () => access, settings: FLAGS };
  const source = new HttpSource(from, env);
  const to = realPath(resolvePath(asked.path, { cwd: Deno.cwd(), home: Deno.env.get("HOME") }));
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => stop.abort());
  }
  const { force, json } = asked;
  const screen = { isTerminal: Deno.stderr.isTerminal(), print, status: writeStderr };
  return await copyTo({ source, path: to, force, json }, screen, env, stop.signal);
}

export async function doctor({ options, path }: LoadedConfig, json: boolean): Promise<number> {
  const report = await examine(options, VERSION, path);
  print(json ? `${JSON.stringify(report, null, 2)}\n` : doctorText(report, paintOf(Deno.stdout)));
  return report.ok ? 0 : 1;
}

/** Colours only on a terminal. */
function paintOf(stream: { isTerminal(): boolean }): Paint {
  return stream.isTerminal() && Deno.env.get("NO_COLOR") === undefined ? coloured : plain;
}

/** Which node, with its full token, and which of its databases. */
function whereIs(
  asked: Extract<Invocation, { command: "promote" | "demote" }>,
): { readonly node: NodeAddress; readonly path: string } {
  const { url, flags } = asked;
  if (url === undefined) {
    const { options } = load([], flags);
    return { node: addressOf(options, "token"), path: asked.path ?? onlyPath(options) };
  }
  const there = parseNamed("the URL", () => parseUpstreamUrl(url)).path;
  return { node: nodeAt({ ...asked, url }), path: asked.path ?? there ?? onlyPath(undefined) };
}

export async function promote(asked: Extract<Invocation, { command: "promote" }>): Promise<number> {
  const { node, path } = whereIs(asked);
  const { json, text } = await promoteAt(node, path);
  print(
    asked.json
      ? `${JSON.stringify(json)}
`
      : text,
  );
  return 0;
}

export async function demote(asked: Extract<Invocation, { command: "demote" }>): Promise<number> {
  const { node, path } = whereIs(asked);
  const { json, text } = await demoteAt(node, path, asked.to);
  print(asked.json ? `${JSON.stringify(json)}\n` : text);
  return json["result"] === "demoted" ? 0 : 1;
}

export async function wait(asked: Extract<Invocation, { command: "wait" }>): Promise<number> {
  const { url, flags, json, query } = asked;
  const node = nodeOf(asked);
  const path = asked.path ??
    (url === undefined ? onlyPath(load([], flags).options) : parseUpstreamUrl(url).path) ??
    onlyPath(undefined);
  const waited = await waitAt({ node, path, query: { ...query } }, systemClock);
  print(json ? `${JSON.stringify(waited.json)}\n` : waited.line);
  return waited.code;
}

/** @throws {LiveError} "config" unless there is one database alone. */
function onlyPath(loaded: NodeOptions | undefined): string {
  const [first, ...others] = loaded?.databases ?? [];
  if (first !== undefined && others.length === 0) return first.path;
  throw new LiveError("config", "-path: which database? Write -path /data/db");
}

/** Of a URL and its flags, or of a config. */
function nodeOf(asked: Extract<Invocation, { command: "status" | "wait" }>): NodeAddress {
  const { url, token, tokenFile, ca, flags } = asked;
  if (url === undefined) {
    if (token === undefined && tokenFile === undefined && ca === undefined) {
      return addressOf(load([], flags).options);
    }
    const what =
      "-token, -token-file and -ca belong to a URL; a config has its own, or give the URL";
    throw new LiveError("config", what);
  }
  return nodeAt({ ...asked, url });
}

type AtUrl = Partial<Record<"token" | "tokenFile" | "ca", string>> & { readonly url: string };

/** A node at a URL, with what its flags and the environment say. @throws {LiveError} "config". */
function nodeAt({ url, token, tokenFile, ca }: AtUrl): NodeAddress {
  if (token !== undefined && tokenFile !== undefined) {
    throw new LiveError("config", "-token and -token-file say the same; give one");
  }
  const { url: origin } = parseNamed("the URL", () => parseUpstreamUrl(url));
  if (ca !== undefined && !origin.startsWith("https:")) {
    throw new LiveError("config", "-ca is for an https URL; write https:// or leave it out");
  }
  const sent = token ??
    (tokenFile === undefined
      ? Deno.env.get("LITESTREAM_LIVE_TOKEN")
      : readNamed("-token-file", "token", tokenFile));
  return {
    url: origin,
    ...(sent && { token: sent }),
    ...(ca !== undefined && { ca: readNamed("-ca", "ca", ca) }),
  };
}

/** Notes that the refused file of a replica may be replaced; the node that runs does it. */
export function accept(path: string): number {
  const real = realPath(resolvePath(path, { cwd: Deno.cwd(), home: Deno.env.get("HOME") }));
  noteAcceptance(`${real}-live`);
  print(
    `Accepted: within some seconds the node sets "${real}" aside (kept in "${real}-live/") and\n` +
      "receives a first copy of its upstream. A file that is not refused stays as it is.\n",
  );
  return 0;
}
