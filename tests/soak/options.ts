/**
 * The command line of the soak: `--minutes M --seed N --json --keep-going --executable PATH`.
 * May import: nothing.
 * @module
 */

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  /** The summary as JSON on stdout; everything else then goes to stderr. */
  readonly json: boolean;
  /** Goes on after a violation, until the time is over. */
  readonly keepGoing: boolean;
  /** Another one than dist/litestream-live. */
  readonly executable?: string;
}

const USAGE = "deno task soak [--minutes M] [--seed N] [--json] [--keep-going] [--executable PATH]";
const DAY_MINUTES = 24 * 60;

export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** `seed` is taken if the arguments name none. @throws {UsageError} */
export function parseOptions(args: readonly string[], seed: number): SoakOptions {
  let options: SoakOptions = { minutes: 2, seed, json: false, keepGoing: false };
  for (let at = 0; at < args.length; at++) {
    const [name, inline] = split(args[at]!);
    const value = (): string => {
      const text = inline ?? args[++at];
      if (text === undefined) throw new UsageError(`${name} needs a value: ${USAGE}`);
      return text;
    };
    if (name === "--minutes") options = { ...options, minutes: minutes(value()) };
    else if (name === "--seed") options = { ...options, seed: seedOf(value()) };
    else if (name === "--executable") options = { ...options, executable: value() };
    else if (name === "--json") options = { ...options, json: true };
    else if (name === "--keep-going") options = { ...options, keepGoing: true };
    else throw new UsageError(`Cannot use "${args[at]}": ${USAGE}`);
  }
  return options;
}

function split(arg: string): [string, string | undefined] {
  const at = arg.indexOf("=");
  return at < 0 ? [arg, undefined] : [arg.slice(0, at), arg.slice(at + 1)];
}

function minutes(text: string): number {
  const value = Number(text);
  if (text !== "" && value > 0 && value <= DAY_MINUTES) return value;
  throw new UsageError(`Cannot run for "${text}" minutes: must be above 0, ${DAY_MINUTES} at most`);
}

function seedOf(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value < 2 ** 32) return value;
  throw new UsageError(`Cannot use "${text}" as a seed: must be a whole number below 2^32`);
}
