/**
 * parseConfig() on a machine that is the same for every test. May import: tests/support, src/.
 * @module
 */
import { LiveError } from "../../../src/base/errors.ts";
import { type LoadedConfig, parseConfig, type ParseOptions } from "../../../src/cli/config.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";

const VARIABLES: ReadonlyMap<string, string> = new Map([
  ["PRIMARY_HOSTNAME", "primary.internal"],
  ["COUNT", "2000"],
  ["EMPTY", ""],
  ["NULL", "null"],
  ["TRICK", "x\n# y: 'z'"],
]);

export const MACHINE: ParseOptions = {
  path: "live.yml",
  env: (name) => VARIABLES.get(name),
  cwd: "/srv/app",
  home: "/users/ann",
  idOf: (_kind, name) => name === "app" ? 1001 : undefined,
  expandEnv: true,
};

export function parse(text: string, options: Partial<ParseOptions> = {}): LoadedConfig {
  return parseConfig(text, { ...MACHINE, ...options });
}

/** The sentence of the LiveError "config" that must come. */
export function complaint(work: () => unknown): string {
  const error = assertThrows(work);
  assertEquals(error instanceof LiveError ? error.code : error.stack, "config");
  return error.message;
}
