/**
 * `$VAR` and `${VAR}` in the values of a config. May import: base/, cli/place, cli/yaml (types).
 *
 * After YAML is parsed: a `$` in a comment or a key means nothing, and what a variable holds cannot
 * change the structure of the file. `$$` is a `$`. A variable that is not set is an error: a URL
 * without its host must not pass. The environment comes in as a function.
 * @module
 */
import { parseAt, type Place, problem } from "./place.ts";
import type { YamlEntry, YamlNode } from "./yaml.ts";

export type Lookup = (name: string) => string | undefined;

/** The same tree with every value expanded. `key` is the dotted name of `node`, "" for the root. */
export function expandTree(node: YamlNode, env: Lookup, key = ""): YamlNode {
  switch (node.kind) {
    case "list":
      return { ...node, items: node.items.map((item) => expandTree(item, env, `${key}[]`)) };
    case "map":
      return {
        ...node,
        entries: node.entries.map((entry): YamlEntry => ({
          ...entry,
          value: expandTree(entry.value, env, key === "" ? entry.key : `${key}.${entry.key}`),
        })),
      };
    case "scalar":
      if (!node.text.includes("$")) return node;
      // Not plain any more: a variable that holds "null" or "true" holds that text.
      return { ...node, text: expandAt(node.place, key, node.text, env), plain: false };
  }
}

function expandAt(place: Place, key: string, text: string, env: Lookup): string {
  return parseAt(place, key, () => expandText(text, env));
}

/** @throws {LiveError} "config" without a place. */
export function expandText(text: string, env: Lookup): string {
  return text.replace(
    /\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\}|(\{[^}]*\}?)|)/g,
    (_match, dollar?: string, bare?: string, braced?: string, odd?: string) => {
      if (dollar !== undefined) return "$";
      const name = bare ?? braced;
      if (name === undefined) throw noVariable(odd);
      const value = env(name);
      if (value !== undefined) return value;
      throw problem(`the variable ${name} is not set; set it, or write $$ for a $`);
    },
  );
}

function noVariable(odd: string | undefined): Error {
  if (odd === undefined) return problem("a $ begins no variable; write $$ for a $");
  return problem(
    "only ${NAME} may stand in braces, without a default; write that, or $$ for a $",
  );
}
