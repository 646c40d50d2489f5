/**
 * The config: from YAML text and flags to NodeOptions that are checked. The one module that reads
 * the config file; parseConfig() itself is pure. May import: base/, node/options, cli/.
 *
 *     text -> yaml.ts tree -> schema.ts keys valid? -> expand.ts $VAR -> schema.ts typed -> here
 *
 * Whatever the text, the result is a config or one LiveError "config" whose sentence is
 * `FILE:LINE:COLUMN: key: what is wrong; what to do`. No token is ever part of a sentence.
 * @module
 */
import { LiveError, messageOf } from "../base/errors.ts";
import {
  COMPRESSIONS,
  DATABASE_DEFAULTS,
  type DatabaseOptions,
  DEFAULT_SELF_CHECK_BYTES,
  LIMIT_DEFAULTS,
  type Limits,
  type NodeOptions,
  type Ownership,
  type TlsFiles,
  type UpstreamOptions,
} from "../node/options.ts";
import { parseAddr, parseUpstreamUrl } from "./address.ts";
import { expandTree, type Lookup } from "./expand.ts";
import { parseCommand } from "./command.ts";
import { type ConfigFlags, flagAddr, flagExec, type LoadedConfig, logOptions } from "./loaded.ts";
import { problem } from "./place.ts";
import { checkKeys, Section } from "./schema.ts";
import {
  absolutePath,
  parseBoolean,
  parseChoice,
  parseCopyRate,
  parseId,
  parseMode,
  parseRate,
  parseToken,
  resolvePath,
  secretPath,
  type Surroundings,
} from "./values.ts";
import { parseYaml } from "./yaml.ts";

export { hasOpenBind, parseAddr } from "./address.ts";
export type { ConfigFlags, LoadedConfig, LogFormat } from "./loaded.ts";
export { optionsFromArguments } from "./positionals.ts";

/** All that the config takes from the machine it is read on. */
export interface Machine extends Surroundings {
  readonly env: Lookup;
}

export interface ParseOptions extends Machine, ConfigFlags {
  /** For the sentences. */
  readonly path: string;
  readonly expandEnv: boolean;
}

const PLACES = [
  "./litestream-live.yml",
  "./litestream.yml",
  "/etc/litestream-live.yml",
  "/etc/litestream.yml",
] as const;

/** Which file: the flag, $LITESTREAM_CONFIG, or the first of PLACES that exists. */
export function findConfig(
  flag: string | undefined,
  env: Lookup,
  exists: (path: string) => boolean,
): string {
  if (flag === "") throw problem("-config: is empty; write the path of the config file");
  const named = flag ?? env("LITESTREAM_CONFIG");
  if (named !== undefined && named !== "") return named;
  const found = PLACES.find(exists);
  if (found !== undefined) return found;
  throw problem(
    `no config file: -config and $LITESTREAM_CONFIG are not given, and there is no ${
      PLACES.join(", ")
    }; write one, or name the database: replicate -addr :9090 /data/db`,
  );
}

/** Finds, reads and parses. */
export function loadConfig(
  flags: ConfigFlags & { readonly config?: string; readonly expandEnv: boolean },
  machine: Machine,
): LoadedConfig {
  const path = findConfig(flags.config, machine.env, exists);
  return parseConfig(readText(path), { ...machine, ...flags, path });
}

/** What cannot be asked about exists: reading it then says why it cannot be read. */
function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory === false;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory);
  }
}

/** From the files of this machine; users that only a directory service knows have numbers. */
export function systemIdOf(kind: "user" | "group", name: string): number | undefined {
  try {
    const table = Deno.readTextFileSync(kind === "user" ? "/etc/passwd" : "/etc/group");
    const fields = table.split("\n").map((line) => line.split(":")).find(([one]) => one === name);
    return fields === undefined ? undefined : Number(fields[2]);
  } catch {
    return undefined;
  }
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new LiveError("config", `${path}: does not exist; write it, or name another`);
    }
    const reason = messageOf(error).split("\n")[0]!;
    throw new LiveError("config", `${path}: cannot be read, ${reason}; change that`);
  }
}

/**
 * Pure.
 * @throws {LiveError} "config", and nothing else whatever `text` is.
 */
export function parseConfig(text: string, options: ParseOptions): LoadedConfig {
  const { path, env, expandEnv } = options;
  const tree = parseYaml(text, path);
  checkKeys(tree);
  const root = Section.root(expandEnv ? expandTree(tree, env) : tree);
  const sections = root.list("dbs");
  const databases = sections.map((section) => readDatabase(section, options));
  checkEachOnce(sections, databases);
  const node = readNode(root, options);
  if (node.addr === undefined) checkNoPrimary(sections, databases);
  const written = root.read("exec", parseCommand);
  const exec = flagExec(options) ?? written;
  return {
    options: {
      databases,
      ...node,
      ...readSelfCheck(root),
      giveWay: root.read("give-way", parseBoolean) ?? true,
      limits: readLimits(root),
    },
    log: logOptions(options, root),
    ...(exec && { exec }),
    ...readHooks(root),
    notes: [root, ...sections].flatMap((section) => section.notes()),
    path,
  };
}

function readHooks(root: Section): Pick<LoadedConfig, "hooks"> {
  const onPromote = root.read("on-promote", parseCommand);
  const onStateChange = root.read("on-state-change", parseCommand);
  if (onPromote === undefined && onStateChange === undefined) return {};
  return { hooks: { ...(onPromote && { onPromote }), ...(onStateChange && { onStateChange }) } };
}

function readSelfCheck(root: Section): { selfCheckBytes: number } {
  return { selfCheckBytes: root.read("self-check-rate", parseRate) ?? DEFAULT_SELF_CHECK_BYTES };
}

function readLimits(root: Section): Limits {
  const section = root.section("limits");
  const mib = section?.number("queued-memory");
  const streams = section?.number("streams") ?? LIMIT_DEFAULTS.streams;
  const copyBytes = root.read("copy-rate-limit", (text) => parseCopyRate(text, streams));
  return {
    ...(copyBytes !== undefined && copyBytes > 0 && { copyBytes }),
    streams,
    requests: section?.number("requests") ?? LIMIT_DEFAULTS.requests,
    queuedBytes: mib === undefined ? LIMIT_DEFAULTS.queuedBytes : mib * 1024 * 1024,
    stallMs: section?.number("stall-timeout") ?? LIMIT_DEFAULTS.stallMs,
  };
}

function readNode(root: Section, options: ParseOptions): Partial<NodeOptions> {
  const written = root.read("addr", parseAddr);
  const addr = flagAddr(options) ?? written;
  const auth = root.section("auth");
  const tls = root.section("tls");
  return {
    ...(addr && { addr }),
    ...(auth && readAuth(auth, options)),
    ...(tls && { tls: readTls(tls, options) }),
  };
}

function readAuth(section: Section, surroundings: Surroundings): Partial<NodeOptions> {
  const { token, file } = readToken(section, "token", surroundings);
  if (token === undefined && file === undefined) {
    throw section.problem("token", "is missing; add token: $LIVE_TOKEN, or token-file: and a path");
  }
  const status = readToken(section, "status-token", surroundings);
  if (token !== undefined && status.token === token) {
    throw section.problem("status-token", "is the token; make another, or remove the line");
  }
  return {
    ...(token !== undefined && { token }),
    ...(file !== undefined && { tokenFile: file }),
    ...(status.token !== undefined && { statusToken: status.token }),
    ...(status.file !== undefined && { statusTokenFile: status.file }),
  };
}

/** `KEY: …` or `KEY-file: …`, not both. */
function readToken(
  section: Section,
  key: string,
  surroundings: Surroundings,
): { token?: string; file?: string } {
  const fileKey = `${key}-file`;
  if (section.has(key) && section.has(fileKey)) {
    const { line } = section.place(key);
    throw section.problem(fileKey, `says what ${key} in line ${line} says; remove one of the two`);
  }
  const token = section.read(key, parseToken);
  const file = section.read(fileKey, (text) => secretPath(text, "token", surroundings));
  return { ...(token !== undefined && { token }), ...(file !== undefined && { file }) };
}

function readTls(section: Section, surroundings: Surroundings): TlsFiles {
  return {
    cert: section.read("cert", (text) => secretPath(text, "certificate", surroundings))!,
    key: section.read("key", (text) => secretPath(text, "key", surroundings))!,
  };
}

function readDatabase(section: Section, surroundings: Surroundings): DatabaseOptions {
  const path = section.read("path", (text) => resolvePath(text, surroundings))!;
  const { minCheckpointPageCount, maxCheckpointPageCount, checkpointIntervalMs, monitorDelayMs } =
    DATABASE_DEFAULTS;
  section.number("shadow-retention-count"); // only checked
  const upstream = section.section("upstream");
  const least = section.number("min-checkpoint-page-count") ?? minCheckpointPageCount;
  const options = {
    path,
    ...(upstream && { upstream: readUpstream(upstream, path, surroundings) }),
    monitorDelayMs: section.number("monitor-delay-interval") ?? monitorDelayMs,
    checkpointIntervalMs: section.number("checkpoint-interval") ?? checkpointIntervalMs,
    minCheckpointPageCount: least,
    maxCheckpointPageCount: section.number("max-checkpoint-page-count") ??
      Math.max(least, maxCheckpointPageCount),
    ownership: readOwnership(section, surroundings),
    allowNetworkFilesystem: section.read("allow-network-filesystem", parseBoolean) ?? false,
  };
  if (upstream === undefined) checkNoOwnership(section);
  checkPageCounts(section, options);
  return options;
}

function readOwnership(section: Section, { idOf }: Surroundings): Ownership {
  const uid = section.read("owner", (text) => parseId(text, (name) => idOf?.("user", name)));
  const gid = section.read("group", (text) => parseId(text, (name) => idOf?.("group", name)));
  const mode = section.read("mode", parseMode);
  return {
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(mode !== undefined && { mode }),
  };
}

function checkNoOwnership(section: Section): void {
  for (const key of ["owner", "group", "mode"]) {
    if (!section.has(key)) continue;
    throw section.problem(key, "is of a replica's files, and this is a primary; remove the line");
  }
}

function checkPageCounts(section: Section, options: DatabaseOptions): void {
  const { minCheckpointPageCount: least, maxCheckpointPageCount: most } = options;
  if (most === 0 || most >= least) return;
  throw section.problem(
    "max-checkpoint-page-count",
    `is ${most}, less than min-checkpoint-page-count, ${least}; raise it, or write 0 for never`,
  );
}

function readUpstream(
  section: Section,
  ownPath: string,
  surroundings: Surroundings,
): UpstreamOptions {
  const path = section.read("path", absolutePath);
  const all = section.readAll("url", parseUpstreamUrl).map(({ url, path: inUrl }) => {
    if (path !== undefined && inUrl !== undefined && path !== inUrl) {
      throw section.problem("path", "is not the path in url; remove one of the two");
    }
    return { url, path: path ?? inUrl ?? ownPath };
  });
  const [first, ...others] = all;
  if (new Set(all.map(({ url, path }) => url + path)).size < all.length) {
    throw section.problem("url", "names one database twice; remove one of the two");
  }
  const { token, file } = readToken(section, "token", surroundings);
  if (section.has("ca") && !all.some(({ url }) => url.startsWith("https:"))) {
    throw section.problem("ca", "is for https, and url is http; write https:// or remove the line");
  }
  const ca = section.read("ca", (text) => secretPath(text, "ca", surroundings));
  const compression = section.read("compression", (text) => parseChoice(text, COMPRESSIONS));
  return {
    ...first!,
    ...(others.length > 0 && { others }),
    ...(compression !== undefined && compression !== "auto" && { compression }),
    ...(token !== undefined && { token }),
    ...(file !== undefined && { tokenFile: file }),
    ...(ca !== undefined && { ca }),
  };
}

function checkEachOnce(sections: readonly Section[], databases: readonly DatabaseOptions[]): void {
  const lines = new Map<string, number>();
  for (const [nth, section] of sections.entries()) {
    const { path } = databases[nth]!;
    const first = lines.get(path);
    if (first !== undefined) {
      throw section.problem(
        "path",
        `is the database of line ${first} again; remove one of the two`,
      );
    }
    lines.set(path, section.place("path").line);
  }
}

function checkNoPrimary(sections: readonly Section[], databases: readonly DatabaseOptions[]): void {
  const nth = databases.findIndex(({ upstream }) => upstream === undefined);
  if (nth < 0) return;
  throw sections[nth]!.problem(
    "path",
    'is a primary, which needs an address to serve replicas at; add addr: ":9090" at the top ' +
      "level, or an upstream here if it is a replica",
  );
}
