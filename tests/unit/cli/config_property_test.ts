import fc from "fast-check";
import { LiveError } from "../../../src/base/errors.ts";
import { parseConfig } from "../../../src/cli/config.ts";
import { KEYS, REFUSED_KEYS } from "../../../src/cli/keys.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { MACHINE } from "./parse.ts";

const RUNS = { numRuns: 500 };

/**
 * Goal: no text makes parseConfig() throw anything but one sentence with file and line.
 * Returns whether the text was accepted.
 */
function holds(text: string, expandEnv: boolean): boolean {
  try {
    const { options } = parseConfig(text, { ...MACHINE, expandEnv });
    assert(options.databases.length > 0);
    for (const { path, upstream } of options.databases) {
      assertMatch(path, /^\/[^/]/);
      if (upstream !== undefined) assertEquals(new URL(upstream.url).origin, upstream.url);
      assert(upstream !== undefined || options.addr !== undefined);
    }
    return true;
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    assertEquals(error.code, "config");
    assertMatch(error.message, /^live\.yml:[1-9][0-9]*:[1-9][0-9]*: [^\n]+; [^\n]+$/);
    return false;
  }
}

const check = (text: string, expandEnv: boolean): void => void holds(text, expandEnv);

const word = fc.constantFrom(
  ...KEYS.flatMap(({ name }) => name.split(/\.|\[\]\.?/)).filter((part) => part !== ""),
  ...REFUSED_KEYS.map(({ name }) => name.slice(name.lastIndexOf(".") + 1)),
);
const value = fc.oneof(
  fc.constantFrom(...KEYS.map(({ example }) => example.replaceAll('"', ""))),
  fc.constantFrom("$COUNT", "${EMPTY}", "$", "~", "&a", "*a", "!t", "'", '"', "|", ">", "---", "0"),
  fc.string({ unit: "binary", maxLength: 8 }),
);

Deno.test("parseConfig() returns or throws LiveError config for any text", () => {
  const text = fc.string({ unit: "binary", maxLength: 200 });
  fc.assert(fc.property(text, fc.boolean(), check), RUNS);
});

Deno.test("parseConfig() returns or throws LiveError config for lines that look like YAML", () => {
  const line = fc.tuple(
    fc.constantFrom("", "  ", "    ", "      ", "\t", "- ", "  - ", "    - "),
    fc.oneof(word, value),
    fc.constantFrom(": ", ":", " ", ""),
    fc.oneof(value, fc.constant("")),
  ).map((parts) => parts.join(""));
  const text = fc.array(line, { maxLength: 12 }).map((lines) => lines.join("\n"));
  fc.assert(fc.property(text, fc.boolean(), check), RUNS);
});

Deno.test("parseConfig() returns or throws LiveError config for any tree", () => {
  const tree = fc.letrec((tie) => ({
    node: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null), value),
      fc.array(tie("node"), { maxLength: 3 }),
      fc.dictionary(fc.oneof({ weight: 8, arbitrary: word }, fc.string()), tie("node"), {
        maxKeys: 6,
      }),
    ),
  })).node;
  fc.assert(fc.property(tree.map((any) => JSON.stringify(any)), fc.boolean(), check), RUNS);
});

Deno.test("parseConfig() returns or throws LiveError config for any values of its keys", () => {
  const mostly = (...good: string[]): fc.Arbitrary<string> =>
    fc.oneof({ weight: 150, arbitrary: fc.constantFrom(...good) }, value, fc.string());
  const path = mostly("/a", "/b/../c", "~/d", "e", "$COUNT", "/x/$$y");
  const upstream = fc.record({
    url: mostly("http://h:1", "https://$PRIMARY_HOSTNAME", "http://[::1]:2/a"),
    path: mostly("/a", "/b//c/"),
    token: mostly("secret", "$COUNT"),
    ca: mostly("/ca"),
  }, { requiredKeys: ["url"] });
  const database = fc.record({
    path,
    upstream,
    "checkpoint-interval": mostly("0", "1m", "1.5h", "100us"),
    "min-checkpoint-page-count": mostly("1", "$COUNT", "8000"),
    "max-checkpoint-page-count": mostly("0", "9000"),
  }, { requiredKeys: ["path"] });
  const config = fc.record({
    addr: mostly(":0", "[::1]:1", "h:65535"),
    auth: fc.record({
      token: mostly("secret"),
      "status-token": mostly("other", "$COUNT"),
      "status-token-file": mostly("/s"),
    }, { requiredKeys: ["token"] }),
    tls: fc.record({ cert: mostly("/c"), key: mostly("k") }),
    dbs: fc.array(database, { minLength: 1, maxLength: 3 }),
  }, { requiredKeys: ["dbs"] });
  let accepted = 0;
  const text = config.map((any) => JSON.stringify(any));
  const property = fc.property(text, fc.boolean(), (text, expandEnv) => {
    if (holds(text, expandEnv)) accepted++;
  });
  fc.assert(property, RUNS);
  assert(accepted > RUNS.numRuns / 40, `only ${accepted} were accepted: this tests too little`);
});
