/**
 * The command line: commands, flags and their help, once. The one module that imports commander.
 * May import: base/.
 *
 * Litestream's flags have one dash (`-config`); commander knows two, so `-name` and `-name=x` become
 * `--name` before it parses.
 * @module
 */
import { Command, CommanderError } from "commander";
import { LiveError } from "../base/errors.ts";

/** What was asked for; flags that were not given are absent. */
export type Invocation =
  | { readonly command: "replicate"; readonly paths: readonly string[]; readonly flags: Flags }
  | { readonly command: "databases"; readonly json: boolean; readonly flags: Flags }
  | {
    readonly command: "status";
    /** Of a node, instead of a config. */
    readonly url?: string;
    readonly token?: string;
    readonly tokenFile?: string;
    /** A file of CA certificates. */
    readonly ca?: string;
    readonly json: boolean;
    readonly watch: boolean;
    readonly flags: Flags;
  }
  | {
    readonly command: "wait";
    readonly url?: string;
    readonly token?: string;
    readonly tokenFile?: string;
    readonly ca?: string;
    readonly path?: string;
    readonly json: boolean;
    /** As /wait takes them. */
    readonly query: Readonly<Partial<Record<"txid" | "timeout" | "replicas" | "for", string>>>;
    readonly flags: Flags;
  }
  | {
    readonly command: "copy";
    readonly url: string;
    readonly path: string;
    readonly token?: string;
    readonly tokenFile?: string;
    readonly ca?: string;
    readonly force: boolean;
    readonly json: boolean;
  }
  | {
    readonly command: "verify";
    readonly url?: string;
    readonly against?: string;
    readonly token?: string;
    readonly tokenFile?: string;
    readonly ca?: string;
    readonly path?: string;
    readonly repair: boolean;
    readonly json: boolean;
    readonly flags: Flags;
  }
  | {
    readonly command: "demote";
    readonly url?: string;
    readonly token?: string;
    readonly tokenFile?: string;
    readonly ca?: string;
    readonly path?: string;
    readonly to: string;
    readonly json: boolean;
    readonly flags: Flags;
  }
  | {
    readonly command: "promote";
    readonly url?: string;
    readonly token?: string;
    readonly tokenFile?: string;
    readonly ca?: string;
    readonly path?: string;
    readonly json: boolean;
    readonly flags: Flags;
  }
  | { readonly command: "doctor"; readonly json: boolean; readonly flags: Flags }
  | { readonly command: "accept"; readonly path: string }
  | { readonly command: "version" }
  /** Help was asked for: print it. */
  | { readonly command: "help"; readonly text: string };

export interface Flags {
  readonly config?: string;
  readonly addr?: string;
  readonly exec?: string;
  readonly expandEnv: boolean;
  readonly logLevel?: string;
  readonly logFormat?: string;
}

const NO_FLAGS: Flags = { expandEnv: true };
const SHORT = new Set(["-h"]);

const EXAMPLES = `
Examples:
  litestream-live replicate -config /etc/litestream-live.yml
  litestream-live replicate -addr :9090 /data/db                    a primary
  litestream-live replicate /data/db http://primary.internal:9090   a replica of it

Without -config: $LITESTREAM_CONFIG, else the first that exists of ./litestream-live.yml,
./litestream.yml, /etc/litestream-live.yml, /etc/litestream.yml.`;

/** @throws {LiveError} "config" for what cannot be understood. */
export function parseArguments(args: readonly string[]): Invocation {
  let result: Invocation | undefined;
  let printed = "";
  const program = commands((invocation) => {
    result = invocation;
  });
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => {
        printed += text;
      },
      writeErr: () => {},
    });
  }
  if (args.length === 0) {
    return { command: "help", text: `${oneDash(program.helpInformation())}${EXAMPLES}\n` };
  }
  try {
    program.parse(args.map(twoDashes), { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { command: "help", text: printed };
    const sentence = error.message.replace(/^error: /, "").replace(/\n/g, " ");
    throw new LiveError("config", `${sentence}; see litestream-live help`);
  }
  return result ?? { command: "help", text: printed };
}

/** As Litestream's users write them; two dashes work, too. */
function oneDash(text: string): string {
  return text.replace(/--(?=[a-z])/g, "-");
}

function twoDashes(arg: string): string {
  return /^-[a-z][a-z-]+(=|$)/.test(arg) && !SHORT.has(arg) ? `-${arg}` : arg;
}

function commands(take: (invocation: Invocation) => void): Command {
  const program = new Command("litestream-live")
    .description("Live read replication for SQLite: a primary streams, replicas apply.")
    .helpCommand("help [command]", "this text, or that of one command")
    .addHelpText("after", EXAMPLES);
  withConfig(program.command("replicate"))
    .description("Serve and follow databases until SIGINT or SIGTERM.")
    .argument("[path]", "a database, instead of a config file")
    .argument("[url]", "its upstream: this makes it a replica")
    .option("--addr <address>", 'where to listen: ":9090", "127.0.0.1:9090", "[::1]:0"')
    .option("--exec <command>", "run this once every replica can be read; its exit code is ours")
    .option("--log-level <level>", "debug, info, warn or error (default: info)")
    .option("--log-format <format>", "text or json (default: text)")
    .action((path: string | undefined, url: string | undefined, options) => {
      const paths = [path, url].filter((given) => given !== undefined);
      take({ command: "replicate", paths, flags: flagsOf(options) });
    });
  withConfig(program.command("databases"))
    .description("List the databases of a config: path, role, upstream, state.")
    .option("--json", "for machines")
    .action((options) => {
      take({ command: "databases", json: options.json === true, flags: flagsOf(options) });
    });
  withNode(program.command("status"))
    .description("Show a running node: databases, state, lag, replicas.")
    .argument("[url]", "the node, instead of the one of a config file")
    .option("--json", "what /status answers")
    .option("--watch", "again each second, until Ctrl-C")
    .action((url: string | undefined, options) => {
      const { token, tokenFile, ca, json = false, watch = false } = options;
      const given = present({ url, token, tokenFile, ca });
      take({ command: "status", ...given, json, watch, flags: flagsOf(options) });
    });
  withNode(program.command("wait"))
    .description("Wait until a transaction is at a node, or at its replicas; print where it is.")
    .argument("[url]", "the node, instead of the one of a config file")
    .option("--path <path>", "the database, where the node has several")
    .option("--txid <txid>", "txid or epoch/txid (default: what is newest at the node now)")
    .option("--timeout <duration>", "at most 10m (default: 10s)")
    .option("--replicas <count>", "wait for so many of its replicas, not for the node")
    .option("--for <stage>", "of replicas: received, durable or applied (default: applied)")
    .option("--json", "what /wait answers")
    .action((url: string | undefined, options) => {
      const { token, tokenFile, ca, path, json = false, ...others } = options;
      const { txid, timeout, replicas, for: stage } = others;
      const query = present({ txid, timeout, replicas, for: stage });
      take({
        command: "wait",
        ...present({ url, token, tokenFile, ca, path }),
        json,
        query,
        flags: flagsOf(options),
      });
    });
  program.command("copy")
    .description("Copy a live database from any node into a file: consistent, and resumable.")
    .argument("<url>", "the node and the database: http://host:9090/data/db")
    .argument("<file>", "the copy, an ordinary database; FILE.part until it is whole")
    .option("--force", "replace a file that is there and that nobody uses")
    .option("--token <token>", "the node's auth.token (default: $LITESTREAM_LIVE_TOKEN)")
    .option("--token-file <file>", "the same, from a file: other users cannot see it")
    .option("--ca <file>", "for https: CA certificates (PEM) to trust, not the system's")
    .option("--json", "for machines")
    .action((url: string, path: string, options) => {
      const { token, tokenFile, ca, force = false, json = false } = options;
      const given = present({ token, tokenFile, ca });
      take({ command: "copy", url, path, ...given, force, json });
    });
  withConfig(program.command("verify"))
    .description("Read every page of a live database again, and compare it with its upstream.")
    .argument("[url]", "the node and the database, instead of those of a config file")
    .option("--path <path>", "the database, where the config has several")
    .option("--against <url>", "another node and database (default: its upstream)")
    .option("--repair", "let a replica fetch the pages that have changed on its disk")
    .option("--token <token>", "with URLs: the nodes' auth.token (default: $LITESTREAM_LIVE_TOKEN)")
    .option("--token-file <file>", "the same, from a file: other users cannot see it")
    .option("--ca <file>", "with https URLs: CA certificates (PEM) to trust, not the system's")
    .option("--json", "for machines")
    .action((url: string | undefined, options) => {
      const { against, token, tokenFile, ca, path, repair = false, json = false } = options;
      take({
        command: "verify",
        ...present({ url, against, token, tokenFile, ca, path }),
        repair,
        json,
        flags: flagsOf(options),
      });
    });
  withConfig(program.command("promote"))
    .description("Make a primary of a running replica, with what it has now.")
    .argument("[url]", "the node, instead of the one of a config file")
    .option("--path <path>", "the database, where the node has several")
    .option(
      "--token <token>",
      "with a URL: the node's auth.token (default: $LITESTREAM_LIVE_TOKEN)",
    )
    .option("--token-file <file>", "the same, from a file: other users cannot see it")
    .option("--ca <file>", "with an https URL: CA certificates (PEM) to trust, not the system's")
    .option("--json", "what /promote answers")
    .action((url: string | undefined, options) => {
      const { token, tokenFile, ca, path, json = false } = options;
      const given = present({ url, token, tokenFile, ca, path });
      take({ command: "promote", ...given, json, flags: flagsOf(options) });
    });
  withConfig(program.command("demote"))
    .description("Make a replica of a running primary, and a primary of one of its replicas.")
    .argument("[url]", "the node, instead of the one of a config file")
    .requiredOption("--to <url>", "the replica's node, with the path there if it is another")
    .option("--path <path>", "the database, where the node has several")
    .option(
      "--token <token>",
      "with a URL: the node's auth.token (default: $LITESTREAM_LIVE_TOKEN)",
    )
    .option("--token-file <file>", "the same, from a file: other users cannot see it")
    .option("--ca <file>", "with an https URL: CA certificates (PEM) to trust, not the system's")
    .option("--json", "what /demote answers")
    .action((url: string | undefined, options) => {
      const { token, tokenFile, ca, path, to, json = false } = options;
      take({
        command: "demote",
        ...present({ url, token, tokenFile, ca, path }),
        to,
        json,
        flags: flagsOf(options),
      });
    });
  withConfig(program.command("doctor"))
    .description("Look at everything a node needs: files, rights, limits, log, upstream.")
    .option("--json", "for machines")
    .action((options) => {
      take({ command: "doctor", json: options.json === true, flags: flagsOf(options) });
    });
  program.command("accept")
    .description("Let a refused file at a replica's path be replaced; the old one is kept aside.")
    .argument("<path>", "the replica's database")
    .action((path: string) => take({ command: "accept", path }));
  program.command("version")
    .description("Print the version.")
    .action(() => take({ command: "version" }));
  return program;
}

function withConfig(command: Command): Command {
  return command
    .option("--config <file>", "the config file")
    .option("--no-expand-env", "leave $VAR in the config file as it is");
}

/** Of a config, or at a URL with what it needs. */
function withNode(command: Command): Command {
  return withConfig(command)
    .option(
      "--token <token>",
      "with a URL: the node's auth.status-token or auth.token (default: $LITESTREAM_LIVE_TOKEN)",
    )
    .option("--token-file <file>", "the same, from a file: other users cannot see it")
    .option("--ca <file>", "with an https URL: CA certificates (PEM) to trust, not the system's");
}

/** Without what was not given. */
function present<T extends Readonly<Record<string, string | undefined>>>(
  given: T,
): { readonly [K in keyof T]?: string } {
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { readonly [K in keyof T]?: string };
}

function flagsOf(options: Readonly<Record<string, unknown>>): Flags {
  const text = (name: keyof Flags): Partial<Record<keyof Flags, string>> =>
    typeof options[name] === "string" ? { [name]: options[name] } : {};
  return {
    ...NO_FLAGS,
    ...text("config"),
    ...text("addr"),
    ...text("exec"),
    ...text("logLevel"),
    ...text("logFormat"),
    expandEnv: options["expandEnv"] !== false,
  };
}
