import {
  type ConfigKey,
  KEYS,
  keysAsMarkdown,
  REFUSED_KEYS,
  refusedKeysAsMarkdown,
} from "../../../src/cli/keys.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { complaint, parse } from "./parse.ts";

/** What must stand around a key for the file to be complete. */
const REQUIRED: Readonly<Record<string, string>> = {
  addr: '":9090"',
  "dbs[].path": "/data/db",
};

const OF_REPLICAS: readonly string[] = ["dbs[].owner", "dbs[].group", "dbs[].mode"];

/** A whole config whose values are `values`, by dotted name. */
function yaml(values: Readonly<Record<string, string>>): string {
  const lines: string[] = [];
  const below = (prefix: string): [string, string][] =>
    Object.entries(values)
      .filter(([name]) => name.startsWith(prefix) && !name.slice(prefix.length).includes("."))
      .map(([name, value]) => [name.slice(prefix.length), value]);
  for (const [name, value] of below("")) lines.push(`${name}: ${value}`);
  for (const section of ["auth", "tls", "limits"]) {
    const keys = below(`${section}.`);
    if (keys.length === 0) continue;
    lines.push(`${section}:`, ...keys.map(([name, value]) => `  ${name}: ${value}`));
  }
  lines.push("dbs:", "  -");
  for (const [name, value] of below("dbs[].")) lines.push(`    ${name}: ${value}`);
  const upstream = below("dbs[].upstream.");
  if (upstream.length > 0) lines.push("    upstream:");
  for (const [name, value] of upstream) lines.push(`      ${name}: ${value}`);
  return `${lines.join("\n")}\n`;
}

/** What must stand beside a key. */
function besides(name: string): Readonly<Record<string, string>> {
  if (name.startsWith("auth.status")) return { "auth.token": "other" };
  if (name.startsWith("tls.")) return { "tls.cert": "/c", "tls.key": "/k" };
  const needs = name.startsWith("dbs[].upstream.") || OF_REPLICAS.includes(name);
  return needs ? { "dbs[].upstream.url": "https://h:1" } : {};
}

function withKey({ name }: ConfigKey, value: string): string {
  return yaml({ ...REQUIRED, ...besides(name), [name]: value });
}

const env = (): string => "value";

Deno.test("parseConfig() accepts every key of KEYS with its example and its default", async (t) => {
  for (const key of KEYS) {
    await t.step(key.name, () => {
      parse(withKey(key, key.example), { env });
      if (key.default !== undefined) parse(withKey(key, key.default), { env });
      for (const choice of key.choices ?? []) parse(withKey(key, choice));
    });
  }
});

Deno.test("parseConfig() takes the written default of every key like no key", () => {
  const defaults = KEYS.filter((key) => key.default !== undefined);
  const written = Object.fromEntries(defaults.map((key) => [key.name, key.default!]));
  const replica = { ...REQUIRED, "dbs[].upstream.url": "http://h:1" };
  assertEquals(parse(yaml({ ...replica, ...written })), parse(yaml(replica)));
});

Deno.test("parseConfig() refuses a map, a list and nothing as the value of every key", async (t) => {
  for (const key of KEYS) {
    await t.step(key.name, () => {
      for (const value of ["{a: b}", "[a]", "", "~", "null"]) {
        const sentence = complaint(() => parse(withKey(key, value)));
        assert(sentence.includes(`: ${key.name}: `), sentence);
      }
    });
  }
});

Deno.test("parseConfig() explains every key of REFUSED_KEYS", async (t) => {
  for (const { name, why } of REFUSED_KEYS) {
    if (name.startsWith("dbs[].replicas[].")) continue; // replicas itself comes first
    await t.step(name, () => {
      const text = yaml({ ...REQUIRED, [name]: "[$NOPE]" });
      const sentence = complaint(() => parse(text));
      assert(sentence.endsWith(`: ${name}: ${why}`), sentence);
      const line = text.split("\n").findIndex((one) => one.includes("$NOPE")) + 1;
      assert(sentence.startsWith(`live.yml:${line}:`), sentence);
    });
  }
});

Deno.test("KEYS and REFUSED_KEYS have no name in common", () => {
  const names = new Set(KEYS.map(({ name }) => name));
  assertEquals(names.size, KEYS.length);
  assertEquals(REFUSED_KEYS.filter(({ name }) => names.has(name)), []);
});

Deno.test("keysAsMarkdown() and refusedKeysAsMarkdown() name each key", () => {
  const table = keysAsMarkdown();
  for (const { name, help } of KEYS) {
    assert(table.includes(`| \`${name}\` `) && table.includes(help), name);
    assert(/^[^.]*[a-z/0-9`]+.*\.$/.test(help), `not a sentence: ${help}`);
  }
  const refused = refusedKeysAsMarkdown();
  for (const { name } of REFUSED_KEYS) assert(refused.includes(`\`${name}\``), name);
  for (const rows of [table, refused]) {
    const widths = rows.trimEnd().split("\n").map((row) => row.length);
    assertEquals(new Set(widths).size, 1, "columns are aligned");
  }
});
