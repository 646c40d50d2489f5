/**
 * The command line: commands, flags and their help, once. The one module that imports commander.
 * May import: base/, cli/{completion,keys,suggest,topics,usage}.
 *
 * Litestream's flags have one dash (`-config`); commander knows two: cli/usage turns one into the other.
 * @module
 */
import { Argument, Command, CommanderError, Option } from "commander";
import { LiveError } from "../base/errors.ts";
import { type CommandWords, describeCommands, type Shell, SHELLS } from "./completion.ts";
import { LOG_FORMATS, LOG_LEVELS } from "./keys.ts";
import { closest } from "./suggest.ts";
import { MOST_COLUMNS, type Topic, TOPICS } from "./topics.ts";
import { complaint, list, MORE_HELP, oneDash, twoDashes } from "./usage.ts";

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
  | { readonly command: "completion"; readonly shell: Shell }
  | { readonly command: "version" }
  | { readonly command: "topic"; readonly topic: Topic }
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
const STAGES = ["received", "durable", "applied"] as const;

/**
 * Help is as wide as a terminal of so many columns, MOST_COLUMNS at most.
 * @throws {LiveError} "config" for what cannot be understood.
 */
export function parseArguments(args: readonly string[], columns = 80): Invocation {
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
      getOutHelpWidth: () => Math.min(columns, MOST_COLUMNS),
    });
  }
  if (args.length === 0) program.outputHelp();
  else if (args.length === 1 && twoDashes(args[0]!) === "--version") return { command: "version" };
  else {
    try {
      program.parse(args.map(twoDashes), { from: "user" });
    } catch (error) {
      if (!(error instanceof CommanderError)) throw error;
      if (error.exitCode !== 0) {
        throw new LiveError("config", complaint(error.message, nameOf(program, args)));
      }
    }
  }
  return result ?? { command: "help", text: printed };
}

/** Every command with its arguments and flags, for completion and documents. */
export function commandWords(): CommandWords[] {
  return describeCommands(commands(() => {}));
}

/** The command that was meant, if it is one. */
function nameOf(program: Command, [first]: readonly string[]): string | undefined {
  return program.commands.find((one) => one.name() === first)?.name();
}

function commands(take: (invocation: Invocation) => void): Command {
  const program = new Command("litestream-live")
    .usage("COMMAND [flags]")
    .description("Live read replication for SQLite: a primary streams, replicas apply.")
    .configureHelp({
      optionTerm: ({ flags }) => oneDash(flags),
      optionDescription: ({ description }) => description,
      argumentDescription: ({ description }) => description,
      styleTitle: (title) => title.replace("Options:", "Flags:"),
      subcommandTerm: (command) => [command.name(), ...argumentsOf(command)].join(" "),
    })
    .helpOption("-h, --help", "this text")
    .option("--version", "the version, as the command prints it")
    .helpCommand(false)
    .addHelpText("after", MORE_HELP);
  withConfig(program.command("replicate"))
    .description("Serve and follow databases until SIGINT or SIGTERM.")
    .argument("[path]", "a database, instead of a config file")
    .argument("[url]", "its upstream: this makes it a replica")
    .option("--addr <address>", 'where to listen: ":9090", "127.0.0.1:9090", "[::1]:0"')
    .option("--exec <command>", "run this once every replica can be read; its exit code is ours")
    .addOption(choice("--log-level <level>", "", LOG_LEVELS, "info"))
    .addOption(choice("--log-format <format>", "", LOG_FORMATS, "text"))
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
    .option("--timeout <duration>", "how long, at most 10m (default: 10s)")
    .option("--replicas <count>", "wait for so many of its replicas, not for the node")
    .addOption(choice("--for <stage>", "of replicas: ", STAGES, "applied"))
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
  const shells = new Argument("<shell>", list(SHELLS));
  program.command("completion")
    .description("Print the script with which a shell completes commands and flags.")
    .addArgument(shells.choices(SHELLS))
    .action((shell: Shell) => take({ command: "completion", shell }));
  program.command("version")
    .description("Print the version.")
    .action(() => take({ command: "version" }));
  helpCommand(program, take);
  for (const command of program.commands) {
    command.usage([...argumentsOf(command), "[flags]"].join(" ")).helpOption(
      "-h, --help",
      "this text",
    );
  }
  return program;
}

/** Of a command as `-h` prints it, or of a topic. */
function helpCommand(program: Command, take: (invocation: Invocation) => void): void {
  const topic = new Argument("[topic]", "a command or a topic");
  const names = [...program.commands.map((command) => command.name()), "help"];
  const known = [...names, ...Object.keys(TOPICS)];
  topic.argChoices = known;
  program.command("help")
    .description("Print this text, that of a command, or a topic.")
    .addArgument(topic)
    .action((name: string | undefined) => {
      if (name === undefined) return program.outputHelp();
      if (name in TOPICS) return take({ command: "topic", topic: name as Topic });
      const command = program.commands.find((one) => one.name() === name);
      if (command !== undefined) return command.outputHelp();
      const near = closest(name, known);
      const instead = near === undefined
        ? `write one of ${known.join(", ")}`
        : `did you mean ${near}?`;
      throw new LiveError("config", `help: there is no command or topic "${name}"; ${instead}`);
    });
}

/** As help writes them: <file> must be given, [path] may. */
function argumentsOf(command: Command): string[] {
  return command.registeredArguments.map((one) =>
    one.required ? `<${one.name()}>` : `[${one.name()}]`
  );
}

/** A flag whose value is one of some; who reads it checks it. */
function choice(flags: string, what: string, choices: readonly string[], standard: string): Option {
  const option = new Option(flags, `${what}${list(choices)} (default: ${standard})`);
  option.argChoices = [...choices];
  return option;
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
