/**
 * What the config file and the positional arguments have in common: their result, and the flags
 * that win over both. Pure. May import: base/, node/options, cli/ (address, command, keys, place, schema,
 * values).
 * @module
 */
import type { LogLevel } from "../base/env.ts";
import type { ListenAddress, NodeOptions } from "../node/options.ts";
import { parseAddr } from "./address.ts";
import { type Command, parseCommand } from "./command.ts";
import type { HookCommands } from "./hooks.ts";
import { LOG_FORMATS, LOG_LEVELS } from "./keys.ts";
import { parseNamed } from "./place.ts";
import type { Section } from "./schema.ts";
import { parseChoice } from "./values.ts";

export type LogFormat = typeof LOG_FORMATS[number];

export interface LoadedConfig {
  readonly options: NodeOptions;
  readonly log: { readonly level: LogLevel; readonly format: LogFormat };
  /** The application to run. */
  readonly exec?: Command;
  /** Absent: none. */
  readonly hooks?: HookCommands;
  /** What to warn about, each with file and line. */
  readonly notes: readonly string[];
  /** The file, or "command line". */
  readonly path: string;
}

/** Flags that say the same as a key; they win. */
export interface ConfigFlags {
  readonly addr?: string;
  readonly exec?: string;
  readonly logLevel?: string;
  readonly logFormat?: string;
}

export function flagAddr({ addr }: ConfigFlags): ListenAddress | undefined {
  return addr === undefined ? undefined : parseNamed("-addr", () => parseAddr(addr));
}

export function flagExec({ exec }: ConfigFlags): Command | undefined {
  return exec === undefined ? undefined : parseNamed("-exec", () => parseCommand(exec));
}

/** Flags win over the file, the file over the defaults. */
export function logOptions(flags: ConfigFlags, root?: Section): LoadedConfig["log"] {
  const choose = <T extends string>(
    key: string,
    flag: string | undefined,
    choices: readonly T[],
  ): T | undefined => {
    const written = root?.read(key, (text) => parseChoice(text, choices));
    return flag === undefined ? written : parseNamed(`-${key}`, () => parseChoice(flag, choices));
  };
  return {
    level: choose("log-level", flags.logLevel, LOG_LEVELS) ?? "info",
    format: choose("log-format", flags.logFormat, LOG_FORMATS) ?? "text",
  };
}
