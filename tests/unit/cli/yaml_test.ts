import { parseYaml, type YamlNode } from "../../../src/cli/yaml.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { complaint } from "./parse.ts";

/** "value@line:column", maps as pairs of such. */
function compact(node: YamlNode): unknown {
  const at = ({ line, column }: { line: number; column: number }): string => `@${line}:${column}`;
  switch (node.kind) {
    case "scalar":
      return `${node.text}${node.plain ? "" : "'"}${at(node.place)}`;
    case "list":
      return node.items.map(compact);
    case "map":
      return Object.fromEntries(
        node.entries.map(({ key, place, value }) => [`${key}${at(place)}`, compact(value)]),
      );
  }
}

Deno.test("parseYaml() knows the line and column of every key and value", async (t) => {
  const cases: [name: string, text: string, want: unknown][] = [
    ["a map", 'a: 1 # c\nb:\n  - "x"\n', { "a@1:1": "1@1:4", "b@2:1": ["x'@3:5"] }],
    ["flow", "{a: [b, {c: d}]}", { "a@1:2": ["b@1:6", { "c@1:10": "d@1:13" }] }],
    ["line ends of Windows", "a: 1\r\nb: 2\r\n", { "a@1:1": "1@1:4", "b@2:1": "2@2:4" }],
    ["a byte order mark", "\uFEFFa: 1\n", { "a@1:1": "1@1:4" }],
    ["no value", "a:\nb: ~\n", { "a@1:1": "@1:3", "b@2:1": "~@2:4" }],
    ["no value in flow", "{a}", { "a@1:2": "@1:3" }],
    ["text stays text", "a: 0123\nb: no\nc: 1e3", {
      "a@1:1": "0123@1:4",
      "b@2:1": "no@2:4",
      "c@3:1": "1e3@3:4",
    }],
    ["a block", "a: |\n  x\n  y\n", { "a@1:1": "x\ny\n'@1:4" }],
    ["one document", "---\na: 1\n...\n", { "a@2:1": "1@2:4" }],
    ["nothing", "", "@1:1"],
    ["a comment", "# x\n", "@1:1"],
    ["__proto__", "__proto__: 1", Object.fromEntries([["__proto__@1:1", "1@1:12"]])],
  ];
  for (const [name, text, want] of cases) {
    await t.step(name, () => assertEquals(compact(parseYaml(text, "f.yml")), want));
  }
});

Deno.test("parseYaml() names line and column of what it does not read", async (t) => {
  const cases: [name: string, text: string, sentence: RegExp][] = [
    ["a tab", "dbs:\n\t- path: x", /^f\.yml:2:1: a tab indents this line; use spaces$/],
    ["a tab in a map", "dbs:\n  - path: x\n\tb: c", /^f\.yml:3:1: a tab/],
    ["a key twice", "a: 1\nb: 2\na: 3", /^f\.yml:3:1: a: is given twice, first in line 1; remove/],
    ["an anchor", "a: &x 1", /^f\.yml:1:7: anchors/],
    ["an anchored map", "a: &x\n  b: c", /^f\.yml:2:3: anchors/],
    ["an alias", "a: &x 1\nb: *x", /^f\.yml:1:7: anchors/],
    ["an alias of nothing", "a: *x", /^f\.yml:1:4: /],
    ["a tag", "a: !x 1", /^f\.yml:1:7: has a tag/],
    ["a standard tag", "a: !!int 1", /^f\.yml:1:10: has a tag/],
    ["two documents", "a: 1\n---\nb: 2", /^f\.yml:3:1: a second document/],
    ["a key that is a map", "? {a: b}\n: c", /^f\.yml:1:3: a key must be one word/],
    ["two keys in a line", "a: b: c", /^f\.yml:1:4: a second "key:" begins/],
    ["no space after the colon", "addr:9090\ndbs: 1", /^f\.yml:1:1: no ": " stands in this line/],
    ["an open quote", 'a: "x', /^f\.yml:1:6: missing closing "quote; check quotes/],
    ["an open bracket", "a: [", /^f\.yml:1:5: .*end with a \]/],
    ["a special character", "a: @x", /^f\.yml:1:4: plain value cannot start with reserved/],
    ["a list in a line", "a: - b", /^f\.yml:1:4: something unexpected/],
    ["a database file", "SQLite format 3\0", /^f\.yml:1:1: is not text/],
    ["another encoding", "a: 1\nb: \uFFFD", /^f\.yml:2:1: is not text/],
    ["depth", "[".repeat(40) + "]".repeat(40), /^f\.yml:1:22: is nested too deeply/],
    ["great depth", "[".repeat(50_000), /^f\.yml:1:\d+: is nested too deeply/],
    ["a deep block", "- ".repeat(50_000), /^f\.yml:1:\d+: is nested too deeply/],
  ];
  for (const [name, text, sentence] of cases) {
    await t.step(name, () => {
      const told = complaint(() => parseYaml(text, "f.yml"));
      assertMatch(told, sentence);
      assertEquals(told.includes("\n"), false);
    });
  }
});
