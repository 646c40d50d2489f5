/**
 * Wiring: the command line becomes a node, its server, its log and its signals. May import: all.
 *
 * Exit codes: 0 done or stopped, 1 a failure, 2 what the user typed or configured.
 * @module
 */
import config from "../../deno.json" with { type: "json" };
import { type Env, type Log, systemClock, systemRandom } from "../base/env.ts";
import { exitCode, LiveError, messageOf } from "../base/errors.ts";
import { HttpSource } from "../http/client.ts";
import { type Credentials, Server } from "../http/server.ts";
import type { Connect } from "../node/database.ts";
import { LIMIT_DEFAULTS, type ListenAddress, type NodeOptions } from "../node/options.ts";
import { Node } from "../node/node.ts";
import { Application } from "./application.ts";
import { type Flags, type Invocation, parseArguments } from "./arguments.ts";
import {
  hasOpenBind,
  loadConfig,
  type LoadedConfig,
  optionsFromArguments,
  systemIdOf,
} from "./config.ts";
import { noteAcceptance } from "../node/aside.ts";
import { realPath } from "../node/side_files.ts";
import { resolvePath } from "./values.ts";
import { parseUpstreamUrl } from "./address.ts";
import { addressOf, clientOf, FLAGS, type NodeAddress } from "./ask.ts";
import { parseNamed } from "./place.ts";
import { checkSecretFile, readNamed, Secrets, systemClient, upstreamAccess } from "./secrets.ts";
import { showStatus } from "./status.ts";
import { demoteAt, promoteAt } from "./promote.ts";
import { type Place, verify, verifyText } from "./verify.ts";
import { waitAt } from "./wait.ts";
import { copyTo } from "./copy.ts";
import { examine } from "./doctor.ts";
import { doctorText } from "./doctor_view.ts";
import { coloured, type Paint, plain } from "./status_view.ts";
import { listDatabases } from "./databases.ts";
import { openLog, writeStderr } from "./log.ts";
import { reloader } from "./reload.ts";

export const VERSION: string = config.version;

const QUIET = { level: "error", format: "text", colours: false, write: writeStderr } as const;

/** Runs the command line to its end; returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    return await run(parseArguments(args));
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    writeStderr(`litestream-live: ${error.message}\n`);
    return exitCode(error.code);
  }
}

async function run(invocation: Invocation): Promise<number> {
  switch (invocation.command) {
    case "help":
      print(invocation.text);
      return 0;
    case "version":
      print(`${VERSION}\n`);
      return 0;
    case "status":
      return await status(invocation);
    case "wait":
      return await wait(invocation);
    case "verify":
      return await verifyIt(invocation);
    case "copy":
      return await copy(invocation);
    case "promote":
      return await promote(invocation);
    case "demote":
      return await demote(invocation);
    case "doctor":
      return await doctor(load([], invocation.flags, checkSecretFile), invocation.json);
    case "accept":
      return accept(invocation.path);
    case "databases":
      print(await listDatabases(load([], invocation.flags), invocation.json));
      return 0;
    case "replicate":
      return await replicate(
        load(invocation.paths, invocation.flags, checkSecretFile),
        () => load(invocation.paths, invocation.flags), // a bad file then changes itself alone
      );
  }
}

async function status(asked: Extract<Invocation, { command: "status" }>): Promise<number> {
  const { json, watch } = asked;
  const node = nodeOf(asked);
  const isTerminal = Deno.stdout.isTerminal();
  const colours = isTerminal && Deno.env.get("NO_COLOR") === undefined;
  const stop = new AbortController();
  if (watch) Deno.addSignalListener("SIGINT", () => stop.abort());
  await showStatus({ node, json, watch }, { isTerminal, colours, print }, systemClock, stop.signal);
  return 0;
}

async function verifyIt(asked: Extract<Invocation, { command: "verify" }>): Promise<number> {
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

async function copy(asked: Extract<Invocation, { command: "copy" }>): Promise<number> {
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

async function doctor({ options, path }: LoadedConfig, json: boolean): Promise<number> {
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

async function promote(asked: Extract<Invocation, { command: "promote" }>): Promise<number> {
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

async function demote(asked: Extract<Invocation, { command: "demote" }>): Promise<number> {
  const { node, path } = whereIs(asked);
  const { json, text } = await demoteAt(node, path, asked.to);
  print(asked.json ? `${JSON.stringify(json)}\n` : text);
  return json["result"] === "demoted" ? 0 : 1;
}

async function wait(asked: Extract<Invocation, { command: "wait" }>): Promise<number> {
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
function accept(path: string): number {
  const real = realPath(resolvePath(path, { cwd: Deno.cwd(), home: Deno.env.get("HOME") }));
  noteAcceptance(`${real}-live`);
  print(
    `Accepted: within some seconds the node sets "${real}" aside (kept in "${real}-live/") and\n` +
      "receives a first copy of its upstream. A file that is not refused stays as it is.\n",
  );
  return 0;
}

/** From a file, or from the positional arguments; flags win. */
function load(
  paths: readonly string[],
  flags: Flags,
  checkFile?: typeof checkSecretFile,
): LoadedConfig {
  const machine = {
    ...(checkFile && { checkFile }),
    env: (name: string): string | undefined => Deno.env.get(name),
    cwd: Deno.cwd(),
    home: Deno.env.get("HOME"),
    idOf: systemIdOf,
  };
  if (paths.length === 0) return loadConfig(flags, machine);
  if (flags.config !== undefined) {
    throw new LiveError("config", "-config and a database path cannot be used together");
  }
  return optionsFromArguments(paths, flags, machine);
}

async function replicate(loaded: LoadedConfig, load: () => LoadedConfig): Promise<number> {
  const { options, log: logOptions, notes, path, exec } = loaded;
  const colours = logOptions.format === "text" && Deno.stderr.isTerminal() &&
    Deno.env.get("NO_COLOR") === undefined;
  const log = openLog({ ...logOptions, colours, write: writeStderr });
  const env: Env = { clock: systemClock, random: systemRandom, log };
  stopOnBugs(log);
  const secrets = new Secrets(log, systemClock);
  const credentials = secrets.credentials(options);
  log.info("litestream-live", { version: VERSION, pid: Deno.pid, config: path });
  for (const note of notes) log.warn("config", { note });

  const stop = new AbortController();
  const node = new Node(options, connectWith(secrets), VERSION, env);
  const application = exec === undefined ? undefined : new Application(exec, node, env);
  listenToSignals(stop, application, log);
  const { addr } = options;
  const limits = options.limits ?? LIMIT_DEFAULTS;
  const server = addr &&
    new Server(node, { ...credentials, limits, peerClient: systemClient }, env);
  if (addr !== undefined && server !== undefined) {
    const bound = server.listen(addr, stop.signal);
    log.info("listening", { addr: bound, tls: credentials.tls !== undefined });
    warnOfOpenBind(addr, credentials, log);
  }
  const stopped = node.run(stop.signal);
  const renew = (options: NodeOptions): Promise<void> =>
    reloadCredentials({ secrets, options, server, log });
  const reload = reloader({ running: loaded, node, log, load, renew });
  // SIGHUP has two senders: who wants a reload, and the system when a terminal was closed.
  const onTerminal = Deno.stderr.isTerminal();
  Deno.addSignalListener("SIGHUP", () => {
    if (onTerminal && !Deno.stderr.isTerminal()) stop.abort();
    else void reload();
  });
  const code = await application?.run(stop.signal).finally(() => stop.abort()) ?? 0;
  await stopped;
  log.info("stopped");
  return code;
}

function connectWith(secrets: Secrets): Connect {
  return (upstream, env, onChain) => {
    const { url, path, compression = "auto" } = upstream;
    const access = secrets.accessOf(upstream);
    return new HttpSource({ url, path, compression, access, onChain }, env);
  };
}

interface Renewal {
  readonly secrets: Secrets;
  readonly options: NodeOptions;
  readonly server: Server | undefined;
  readonly log: Log;
}

/** Tokens and certificates of `options` are read again, here and for upstreams. */
async function reloadCredentials({ secrets, options, server, log }: Renewal): Promise<void> {
  log.info("reading tokens and certificates again");
  secrets.renewUpstreams();
  const credentials = secrets.credentials(options);
  await server?.renew(credentials);
  if (options.addr !== undefined) warnOfOpenBind(options.addr, credentials, log);
}

function warnOfOpenBind(addr: ListenAddress, { token, tls }: Credentials, log: Log): void {
  if (!hasOpenBind(addr)) return;
  const where = { addr: addr.hostname };
  if (token === undefined) {
    log.warn("ANYBODY who can reach this address can read every database: set auth.token", where);
  } else if (tls === undefined) {
    log.warn("data and tokens cross the network in the clear: set tls, or use a tunnel", where);
  }
}

/**
 * SIGINT and SIGTERM: the first aborts, the second ends the process at once. While an application runs
 * they are for it, and so are some others: the node stops when it has ended.
 */
function listenToSignals(
  stop: AbortController,
  application: Application | undefined,
  log: Log,
): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      if (application?.signal(signal) === true) return;
      if (stop.signal.aborted) Deno.exit(signal === "SIGINT" ? 130 : 143);
      log.info("stopping", { signal });
      stop.abort();
    });
  }
  if (application === undefined) return;
  for (const signal of ["SIGQUIT", "SIGUSR1", "SIGUSR2"] as const) {
    Deno.addSignalListener(signal, () => application.signal(signal));
  }
}

/** A bug ends the process: a wrong byte is worse than a restart. */
function stopOnBugs(log: Log): void {
  const end = (error: unknown): never => {
    const stack = error instanceof Error ? error.stack : undefined;
    log.error("a bug, stopping", { error: messageOf(error), stack });
    Deno.exit(1);
  };
  globalThis.addEventListener("unhandledrejection", (event) => end(event.reason));
  globalThis.addEventListener("error", (event) => end(event.error));
}

function print(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}
