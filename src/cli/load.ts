/**
 * The config of a command, with all that this machine has to say. May import: base/, cli/{arguments,
 * config,secrets}.
 * @module
 */
import { LiveError } from "../base/errors.ts";
import type { Flags } from "./arguments.ts";
import { loadConfig, type LoadedConfig, optionsFromArguments, systemIdOf } from "./config.ts";
import type { checkSecretFile } from "./secrets.ts";

/** From a file, or from the positional arguments; flags win. */
export function load(
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
