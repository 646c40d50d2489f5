/**
 * `replicate`: a node with its server, its log, its application and its signals, until it stops. May
 * import: all.
 * @module
 */
import { type Env, type Log, systemClock, systemRandom } from "../base/env.ts";
import { messageOf } from "../base/errors.ts";
import { HttpSource } from "../http/client.ts";
import { Reports } from "../http/reports.ts";
import { type Credentials, Server } from "../http/server.ts";
import type { Connect } from "../node/database.ts";
import { Node } from "../node/node.ts";
import type { UpstreamName } from "../node/history_file.ts";
import { type Candidate, Upstreams } from "../node/upstreams.ts";
import { LIMIT_DEFAULTS, type ListenAddress, type NodeOptions } from "../node/options.ts";
import { Application } from "./application.ts";
import { type HookCommands, Hooks } from "./hooks.ts";
import { hasOpenBind, type LoadedConfig } from "./config.ts";
import { openLog, writeStderr } from "./log.ts";
import { reloader } from "./reload.ts";
import { commandRunner, findProgram } from "./run_command.ts";
import { Secrets, systemClient } from "./secrets.ts";
import { VERSION } from "./version.ts";

/** `load` reads the config again. Returns the exit code: the application's, if there is one. */
export async function replicate(loaded: LoadedConfig, load: () => LoadedConfig): Promise<number> {
  const { options, log: logOptions, notes, path, exec, hooks } = loaded;
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
  // An application of ours would have the priority that it starts with: the node's.
  const giveWay = options.giveWay === true && exec === undefined;
  const node = new Node({ ...options, giveWay }, connectWith(secrets), VERSION, env);
  const application = exec === undefined ? undefined : new Application(exec, node, env);
  checkHooks(hooks);
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
  const told = hooks &&
    new Hooks(hooks, () => node.status().databases, commandRunner(env.clock), env).run(stop.signal);
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
  await told;
  log.info("stopped");
  return code;
}

function checkHooks(hooks: HookCommands = {}): void {
  const { onPromote, onStateChange } = hooks;
  if (onPromote !== undefined) findProgram("on-promote", onPromote.program);
  if (onStateChange !== undefined) findProgram("on-state-change", onStateChange.program);
}

function connectWith(secrets: Secrets): Connect {
  const reports = new Reports(systemRandom);
  return (upstream, env, onChain) => {
    const { others, compression = "auto" } = upstream;
    const sourceOf = ({ url, path }: UpstreamName, isAsked: () => boolean): HttpSource => {
      const access = secrets.accessOf({ ...upstream, url });
      const told = (ids: readonly string[]): void => onChain(ids, isAsked());
      return new HttpSource({ url, path, compression, access, reports, onChain: told }, env);
    };
    if (others === undefined) return sourceOf(upstream, () => false);
    const isAsked = (): boolean => list.isChoosing;
    const candidate = (name: UpstreamName): Candidate => ({
      ...name,
      source: sourceOf(name, isAsked),
    });
    const list = new Upstreams([candidate(upstream), ...others.map(candidate)], env);
    return list;
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
