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
import { Server } from "../http/server.ts";
import type { Connect } from "../node/database.ts";
import type { NodeOptions } from "../node/options.ts";
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
import { addressOf, type NodeAddress } from "./ask.ts";
import { parseNamed } from "./place.ts";
import { showStatus } from "./status.ts";
import { demoteAt, promoteAt } from "./promote.ts";
import { waitAt } from "./wait.ts";
import { examine } from "./doctor.ts";
import { doctorText } from "./doctor_view.ts";
import { coloured, type Paint, plain } from "./status_view.ts";
import { listDatabases } from "./databases.ts";
import { openLog, writeStderr } from "./log.ts";
import { reloader } from "./reload.ts";

export const VERSION: string = config.version;

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
    case "promote":
      return await promote(invocation);
    case "demote":
      return await demote(invocation);
    case "doctor":
      return await doctor(load([], invocation.flags), invocation.json);
    case "accept":
      return accept(invocation.path);
    case "databases":
      print(await listDatabases(load([], invocation.flags), invocation.json));
      return 0;
    case "replicate":
      return await replicate(() => load(invocation.paths, invocation.flags));
  }
}

async function status(asked: Extract<Invocation, { command: "status" }>): Promise<number> {
  const { url, json, watch, flags } = asked;
  const token = asked.token ?? Deno.env.get("LITESTREAM_LIVE_TOKEN");
  const node = url === undefined
    ? addressOf(load([], flags).options)
    : { url: parseNamed("the URL", () => parseUpstreamUrl(url)).url, ...(token && { token }) };
  const isTerminal = Deno.stdout.isTerminal();
  const colours = isTerminal && Deno.env.get("NO_COLOR") === undefined;
  const stop = new AbortController();
  if (watch) Deno.addSignalListener("SIGINT", () => stop.abort());
  await showStatus({ node, json, watch }, { isTerminal, colours, print }, systemClock, stop.signal);
  return 0;
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

/** Which node, and which of its databases. */
function whereIs(
  asked: Extract<Invocation, { command: "wait" | "promote" | "demote" }>,
): { readonly node: NodeAddress; readonly path: string } {
  const { url, flags } = asked;
  const loaded = url === undefined ? load([], flags).options : undefined;
  const there = url === undefined ? undefined : parseNamed("the URL", () => parseUpstreamUrl(url));
  const token = asked.token ?? Deno.env.get("LITESTREAM_LIVE_TOKEN");
  const node = loaded === undefined
    ? { url: there!.url, ...(token !== undefined && { token }) }
    : addressOf(loaded);
  return { node, path: asked.path ?? there?.path ?? onlyPath(loaded) };
}

async function promote(asked: Extract<Invocation, { command: "promote" }>): Promise<number> {
  const { node, path } = whereIs(asked);
  const { json, text } = await promoteAt(node, path);
  print(asked.json ? `${JSON.stringify(json)}\n` : text);
  return 0;
}

async function demote(asked: Extract<Invocation, { command: "demote" }>): Promise<number> {
  const { node, path } = whereIs(asked);
  const { json, text } = await demoteAt(node, path, asked.to);
  print(asked.json ? `${JSON.stringify(json)}\n` : text);
  return json["result"] === "demoted" ? 0 : 1;
}

async function wait(asked: Extract<Invocation, { command: "wait" }>): Promise<number> {
  const { json, query } = asked;
  const { node, path } = whereIs(asked);
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
function load(paths: readonly string[], flags: Flags): LoadedConfig {
  const machine = {
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

async function replicate(load: () => LoadedConfig): Promise<number> {
  const loaded = load();
  const { options, log: logOptions, notes, path, exec } = loaded;
  const colours = logOptions.format === "text" && Deno.stderr.isTerminal() &&
    Deno.env.get("NO_COLOR") === undefined;
  const log = openLog({ ...logOptions, colours, write: writeStderr });
  const env: Env = { clock: systemClock, random: systemRandom, log };
  stopOnBugs(log);
  log.info("litestream-live", { version: VERSION, pid: Deno.pid, config: path });
  for (const note of notes) log.warn("config", { note });

  const stop = new AbortController();
  const node = new Node(options, connect, VERSION, env);
  const application = exec === undefined ? undefined : new Application(exec, node, env);
  listenToSignals(stop, application, log);
  const { addr, token } = options;
  if (addr !== undefined) {
    const server = new Server(node, token === undefined ? {} : { token }, env);
    log.info("listening", { addr: server.listen(addr, stop.signal) });
    if (token === undefined && hasOpenBind(addr)) {
      log.warn("ANYBODY who can reach this address can read every database: set auth.token", {
        addr: addr.hostname,
      });
    }
  }
  const stopped = node.run(stop.signal);
  const reload = reloader({ running: loaded, node, log, load });
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

const connect: Connect = (upstream, env, onChain) => new HttpSource({ ...upstream, onChain }, env);

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
