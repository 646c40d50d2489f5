/**
 * Words of the command line: what stands below the help, flags with one dash, complaints. Pure.
 * May import: cli/topics.
 * @module
 */
import { EXIT_CODES, MOST_COLUMNS, TOPICS, wrap } from "./topics.ts";

/** After the list of commands. */
export const MORE_HELP = `
Examples:
  litestream-live replicate -config /etc/litestream-live.yml
  litestream-live replicate -addr :9090 /data/db                    a primary
  litestream-live replicate /data/db http://primary.internal:9090   a replica of it

Without -config: $LITESTREAM_CONFIG, else the first that exists of
./litestream-live.yml, ./litestream.yml, /etc/litestream-live.yml,
/etc/litestream.yml.

Topics, shown by "litestream-live help TOPIC":
${column(Object.entries(TOPICS).map(([name, { sentence }]) => [name, sentence]))}

Exit codes:
${column(EXIT_CODES.slice(0, 3).map(({ code, short }) => [code, short]))}`;

function column(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`).join("\n");
}

/** "bash, zsh or fish" */
export function list(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** What commander says, as we say it: one sentence, one dash, and which help to read. */
export function complaint(message: string, command: string | undefined): string {
  const sentence = oneDash(message)
    .replace(/^error: /, "")
    .replace(/\n?\(Did you mean (.*)\?\)/, "; did you mean $1?")
    .replace(/^option '([^']*)' argument missing/, "$1: its value is missing")
    .replace(
      /^unknown option ('.*')/,
      `unknown flag $1${command === undefined ? " before the command" : ""}`,
    )
    .replace(/^missing required argument '(.*)'/, "<$1> is missing")
    .replace(
      /^too many arguments for '.*'\. Expected (\d+).* got (\d+)\.$/,
      "$2 arguments, at most $1",
    )
    .replace(
      /^.* value ('.*') is invalid for .* '(.*)'\. Allowed choices are (.*)\.$/,
      "<$2> is $1, not one of $3",
    )
    .replace(/'/g, '"');
  return `${sentence}${sentence.endsWith("?") ? " See" : "; see"} "litestream-live help${
    command === undefined ? "" : ` ${command}`
  }"`;
}

/** A sentence for a terminal of so many columns, broken at spaces; for a file it stays one line. */
export function errorText(message: string, columns: number | undefined): string {
  const line = `litestream-live: ${message}`;
  if (columns === undefined) return `${line}\n`;
  const [first, ...others] = wrap(line, "", Math.max(40, Math.min(columns, MOST_COLUMNS)) - 2);
  return [first, ...others.map((one) => `  ${one}`), ""].join("\n");
}

/** As Litestream's users write them; two dashes work, too. */
export function oneDash(text: string): string {
  return text.replace(/--(?=[a-z])/g, "-");
}

export function twoDashes(arg: string): string {
  return /^-[a-z][a-z-]+(=|$)/.test(arg) && arg !== "-h" ? `-${arg}` : arg;
}
