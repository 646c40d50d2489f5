/**
 * litestream-live(1), and what stands beside it: the scripts for completion. All is made from the
 * tables in the code. May import: scripts/release, src/cli (arguments, completion, keys, topics),
 * src/http.
 * @module
 */
import { commandWords } from "../../src/cli/arguments.ts";
import {
  type CommandWords,
  completionScript,
  SHELLS,
  type Word,
} from "../../src/cli/completion.ts";
import { TOPICS } from "../../src/cli/topics.ts";
import type { Entry } from "./archive.ts";

/** Text of one line, or of several, as roff takes it; `x` becomes bold. */
export function roff(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\(rs")
    .replaceAll("-", "\\-")
    .replaceAll("…", "\\&...")
    .replaceAll("'", "\\(aq")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replace(/`([^`]*)`/g, "\\fB$1\\fR")
    .replaceAll("`", "\\(ga");
  return escaped.replace(/^\./gm, "\\&.");
}

const bold = (text: string): string => `\\fB${roff(text)}\\fR`;
const item = (term: string, text: string): string => `.TP\n${term}\n${roff(text)}\n`;

function argument({ name, required }: Word): string {
  return required ? `\\fI${roff(name)}\\fR` : `[\\fI${roff(name)}\\fR]`;
}

function flag({ name, value }: Word): string {
  return bold(`-${name}`) + (value === undefined ? "" : ` \\fI${roff(value)}\\fR`);
}

function commandSection(command: CommandWords): string {
  const usage = [bold(command.name), ...command.arguments.map(argument)].join(" ");
  return `.SS ${usage}\n${roff(command.help)}\n` +
    command.arguments.map((one) => item(`\\fI${roff(one.name)}\\fR`, one.help)).join("") +
    command.flags.map((one) => item(flag(one), one.help)).join("");
}

/** The titles under which topics stand in the page, in its order. */
const SECTIONS = {
  "exit-codes": "EXIT STATUS",
  "states": "STATES",
  "config": "CONFIGURATION",
  "endpoints": "HTTP",
  "metrics": "METRICS",
} as const satisfies Record<keyof typeof TOPICS, string>;

function topicSection([topic, title]: [string, string]): string {
  const entries = TOPICS[topic as keyof typeof TOPICS].entries();
  return `.SH ${title}\n` +
    entries.map(({ term, texts }) => item(bold(term), texts.map(roffLines).join(""))).join("");
}

/** Each text on its own lines; escaped later, as part of the item. */
function roffLines(text: string, nth: number): string {
  return nth === 0 ? text : `\n${BREAK}\n${text}`;
}
const BREAK = "\u0001";

/** The page, as man(7) macros. `seconds` is its date, since 1970. */
export function manualPage(version: string, seconds: number): string {
  const date = new Date(seconds * 1000).toISOString().slice(0, 10);
  const page = `.\\" Made from the tables in the code.
.TH LITESTREAM-LIVE 1 "${date}" "litestream-live ${version}"
.SH NAME
litestream\\-live \\- live read replication for SQLite
.SH SYNOPSIS
.B litestream\\-live
.I command
.RI [ argument ...]
.RI [ flag ...]
.SH DESCRIPTION
${
    roff(
      "An application writes an ordinary SQLite file on one machine, the primary. Replicas on other " +
        "machines follow it, and each keeps a local copy that any SQLite can read.",
    )
  }
.PP
${
    roff(
      "Flags have one dash or two: `-config x`, `--config x` and `-config=x` are the same. Without " +
        "-config: $LITESTREAM_CONFIG, else the first file that exists of those below FILES.",
    )
  }
.SH COMMANDS
${commandWords().map(commandSection).join("")}${
    Object.entries(SECTIONS).map(topicSection).join("")
  }.SH FILES
.TP
\\&./litestream\\-live.yml, ./litestream.yml, /etc/litestream\\-live.yml, /etc/litestream.yml
${roff("The config file: the first that exists.")}
.TP
.IR database \\-live/
${roff("What a node keeps beside a database.")}
.SH SEE ALSO
${roff("/usr/share/doc/litestream-live/docs/OPERATING.md")}
`;
  return page.replaceAll(BREAK, ".br");
}

/** Files that a shell completes from, by where packages of Debian put them below /usr/share. */
const COMPLETIONS = {
  bash: ["bash-completion/completions", "litestream-live"],
  zsh: ["zsh/vendor-completions", "_litestream-live"],
  fish: ["fish/vendor_completions.d", "litestream-live.fish"],
} as const;

/** For /usr/share. */
export function completionEntries(): Entry[] {
  const words = commandWords();
  return SHELLS.map((shell) => ({
    path: COMPLETIONS[shell].join("/"),
    bytes: new TextEncoder().encode(completionScript(shell, words)),
    mode: 0o644,
  }));
}
