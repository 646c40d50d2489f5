/**
 * YAML as a tree that knows the line and column of every key and value. The one module that imports
 * yaml. May import: base/, cli/place.
 *
 * Scalars stay text as written: what a value means is up to its key, so `token: 0123` keeps its
 * zero and `no` is no boolean. Refused: anchors, aliases, tags, several documents, keys given twice.
 * @module
 */
import {
  type Document,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseAllDocuments,
  type Scalar,
  type YAMLError,
  type YAMLMap,
} from "yaml";
import { messageOf } from "../base/errors.ts";
import { type Place, problemAt, show, showKey } from "./place.ts";

export interface YamlScalar {
  readonly kind: "scalar";
  readonly text: string;
  /** Not quoted: a plain `~` or nothing is no value, a plain `true` no text. */
  readonly plain: boolean;
  readonly place: Place;
}

export interface YamlList {
  readonly kind: "list";
  readonly items: readonly YamlNode[];
  readonly place: Place;
}

export interface YamlEntry {
  readonly key: string;
  readonly place: Place;
  readonly value: YamlNode;
}

export interface YamlMap {
  readonly kind: "map";
  readonly entries: readonly YamlEntry[];
  readonly place: Place;
}

export type YamlNode = YamlScalar | YamlList | YamlMap;

/** No config is nested deeper than this. */
const MOST_DEPTH = 20;

/**
 * An empty file is a scalar without a value.
 * @throws {LiveError} "config" for what is no YAML, or more of it than a config needs.
 */
export function parseYaml(text: string, file: string): YamlNode {
  const source = text.replace(/^\uFEFF/, "");
  const lines = new LineCounter();
  const reader = new Reader(file, (offset) => lines.linePos(offset));
  const binary = source.search(/[\0\uFFFD]/);
  if (binary >= 0) {
    const line = source.slice(0, binary).split("\n").length;
    throw problemAt({ file, line, column: 1 }, undefined, "is not text; give a YAML file in UTF-8");
  }
  const [first, second] = documentsOf(source, lines, reader);
  if (first === undefined) return reader.nothing(0);
  if (first.errors[0] !== undefined) throw reader.syntaxError(first.errors[0]);
  if (second !== undefined) {
    const place = reader.place(second.contents?.range?.[0] ?? second.range?.[0] ?? 0);
    throw problemAt(place, undefined, "a second document begins here; keep one and remove the ---");
  }
  return reader.node(first.contents, 0, 0);
}

/** Limits of the parser itself become a sentence, too. */
function documentsOf(source: string, lineCounter: LineCounter, reader: Reader): Document[] {
  try {
    return [...parseAllDocuments(source, {
      lineCounter,
      schema: "failsafe",
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: "silent",
    })] as Document[];
  } catch (error) {
    throw problemAt(
      reader.place(0),
      undefined,
      `cannot be read as YAML, ${show(messageOf(error))}; make it simpler`,
    );
  }
}

const SYNTAX: Readonly<Record<string, string>> = {
  BLOCK_AS_IMPLICIT_KEY:
    'a second "key:" begins inside this value; indent it like the key it belongs beside, or put ' +
    "the value into quotes",
  MULTILINE_IMPLICIT_KEY: 'no ": " stands in this line; write key: value, with the space',
  RESOURCE_EXHAUSTION: "is nested too deeply; a config needs only a few levels",
  TAB_AS_INDENT: "a tab indents this line; use spaces",
  UNEXPECTED_TOKEN:
    'something unexpected stands here; put a "- " into a line of its own, and text that begins ' +
    "with a special character into quotes",
};

class Reader {
  constructor(
    readonly file: string,
    readonly position: (offset: number) => { line: number; col: number },
  ) {}

  place(offset: number): Place {
    const { line, col } = this.position(offset);
    return { file: this.file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  syntaxError(error: YAMLError): Error {
    const { code, message, pos } = error;
    const told = message.replace(/\s+/g, " ").replace(/^[A-Z](?=[a-z])/, (c) => c.toLowerCase());
    const sentence = SYNTAX[code] ?? `${told}; check quotes, brackets and indentation here`;
    return problemAt(this.place(pos[0]), undefined, sentence);
  }

  nothing(offset: number): YamlScalar {
    return { kind: "scalar", text: "", plain: true, place: this.place(offset) };
  }

  /** `offset` is where a node that has no place of its own would stand. */
  node(node: unknown, offset: number, depth: number): YamlNode {
    if (node === null || node === undefined) return this.nothing(offset);
    const { range, tag, anchor } = node as Partial<Scalar.Parsed>;
    const place = this.place(range?.[0] ?? offset);
    if (tag !== undefined) throw problemAt(place, undefined, "has a tag; remove the !");
    if (depth > MOST_DEPTH) {
      throw problemAt(place, undefined, SYNTAX["RESOURCE_EXHAUSTION"]!);
    }
    if (anchor === undefined && isScalar(node)) {
      return { kind: "scalar", text: String(node.value), plain: node.type === "PLAIN", place };
    }
    if (anchor === undefined && isSeq(node)) {
      const items = node.items.map((item) => this.node(item, range?.[0] ?? offset, depth + 1));
      return { kind: "list", items, place };
    }
    if (anchor === undefined && isMap(node)) {
      return { kind: "map", entries: this.entries(node, depth), place };
    }
    throw problemAt(place, undefined, "anchors (&) and aliases (*) are not read; write it out");
  }

  entries(map: YAMLMap, depth: number): YamlEntry[] {
    const seen = new Map<string, YamlEntry>();
    for (const pair of map.items) {
      const entry = this.entry(pair, map.range?.[0] ?? 0, depth);
      const first = seen.get(entry.key);
      if (first !== undefined) {
        const what = `is given twice, first in line ${first.place.line}; remove one`;
        throw problemAt(entry.place, showKey(entry.key), what);
      }
      seen.set(entry.key, entry);
    }
    return [...seen.values()];
  }

  entry(pair: Pair, offset: number, depth: number): YamlEntry {
    const key = this.node(pair.key, offset, depth + 1);
    if (key.kind !== "scalar") {
      throw problemAt(key.place, undefined, "a key must be one word; write key: value");
    }
    const end = isScalar(pair.key) ? pair.key.range?.[1] : undefined;
    const value = this.node(pair.value, end ?? offset, depth + 1);
    return { key: key.text, place: key.place, value };
  }
}
