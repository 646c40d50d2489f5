/**
 * Whether a tree is made of the keys in cli/keys.ts, and reading it with types once it is.
 * May import: base/, cli/ (address, keys, place, suggest, values, yaml).
 *
 * checkKeys() comes first and before variables are expanded: a key that is not valid is the better
 * complaint. After it every map, list and scalar is where it must be and nothing is empty; a
 * Section relies on that.
 * @module
 */
import { assert } from "../base/assert.ts";
import { type ConfigKey, KEYS } from "./keys.ts";
import { parseAt, type Place, problemAt, showKey } from "./place.ts";
import { childrenOf, whyUnknown } from "./suggest.ts";
import { parseInteger, parseRangedDuration } from "./values.ts";
import type { YamlEntry, YamlMap, YamlNode } from "./yaml.ts";

const EXAMPLE = "write dbs: and below it - path: /data/db";

/** What stands below each name that is no key itself. */
const SHAPES: Readonly<Record<string, { readonly kind: "list" | "map"; readonly write: string }>> =
  {
    "": { kind: "map", write: EXAMPLE },
    auth: { kind: "map", write: "write token: … below it, indented" },
    tls: { kind: "map", write: "write cert: … and key: … below it, indented" },
    dbs: { kind: "list", write: 'begin each database with "- path:"' },
    "dbs[]": { kind: "map", write: "write - path: /data/db" },
    limits: { kind: "map", write: "write streams: 200 below it, indented" },
    "dbs[].upstream": { kind: "map", write: "write url: http://host:9090 below it, indented" },
  };

/** @throws {LiveError} "config" for the first key or shape that is wrong. */
export function checkKeys(tree: YamlNode): void {
  checkNode(tree, "", tree.place);
}

/** `place` is that of the node's key, where it has one: the value may stand lines below. */
function checkNode(node: YamlNode, name: string, place: Place): void {
  const shape = SHAPES[name];
  if (shape === undefined) return checkLeaf(node, name, place);
  const key = name === "" ? undefined : name;
  if (isNothing(node)) throw problemAt(place, key, `${nothing(name)}; ${shape.write}`);
  if (node.kind !== shape.kind) {
    throw problemAt(
      node.place,
      key,
      `must be a ${shape.kind}, not a ${kindOf(node)}; ${shape.write}`,
    );
  }
  if (node.kind === "list") {
    if (node.items.length === 0) throw problemAt(place, key, `is an empty list; ${shape.write}`);
    for (const item of node.items) checkNode(item, `${name}[]`, item.place);
  }
  if (node.kind === "map") checkMap(node, name);
}

function checkMap(map: YamlMap, parent: string): void {
  const valid = childrenOf(parent);
  for (const { key, place, value } of map.entries) {
    const name = parent === "" ? key : `${parent}.${key}`;
    if (!valid.includes(key)) throw problemAt(place, showKey(name), whyUnknown(parent, key));
    checkNode(value, name, place);
  }
  for (const { name, required, example } of KEYS) {
    if (required !== true || !valid.some((child) => `${parent}.${child}` === name)) continue;
    const key = name.slice(parent.length + 1);
    if (map.entries.some((entry) => entry.key === key)) continue;
    throw problemAt(map.place, name, `is missing; add ${key}: ${example}`);
  }
  if (parent === "" && !map.entries.some(({ key }) => key === "dbs")) {
    throw problemAt(map.place, "dbs", `is missing; ${EXAMPLE}`);
  }
}

function checkLeaf(node: YamlNode, name: string, place: Place): void {
  const { type, example, required, list } = keyOf(name);
  if (list === true && node.kind === "list" && node.items.length > 0) {
    for (const item of node.items) {
      if (item.kind === "list") {
        throw problemAt(item.place, name, "must be a list of single values");
      }
      checkLeaf(item, name, item.place);
    }
    return;
  }
  const write = `write ${name.slice(name.lastIndexOf(".") + 1)}: ${example}`;
  if (isNothing(node)) {
    const what = `has no value; ${write}${required === true ? "" : ", or remove the line"}`;
    throw problemAt(place, name, what);
  }
  if (node.kind !== "scalar") {
    throw problemAt(node.place, name, `must be one value, not a ${kindOf(node)}; ${write}`);
  }
  if (node.plain && /^(true|false)$/i.test(node.text) && (type === "path" || type === "token")) {
    throw problemAt(node.place, name, `cannot be ${node.text}; ${write}, or put it into quotes`);
  }
}

function isNothing(node: YamlNode): boolean {
  return node.kind === "scalar" && node.plain && /^(|~|null)$/i.test(node.text);
}

function nothing(name: string): string {
  return name === "" ? "is empty" : "has no value";
}

function kindOf(node: YamlNode): string {
  return node.kind === "scalar" ? "single value" : node.kind;
}

function keyOf(name: string): ConfigKey {
  const key = KEYS.find((one) => one.name === name);
  assert(key !== undefined, `no config key ${name}`);
  return key;
}

/** A map of a tree that checkKeys() has passed. Names are relative to it. */
export class Section {
  /** `name` is the dotted name of the map, "" for the top level. */
  constructor(readonly map: YamlMap, readonly name = "") {}

  static root(tree: YamlNode): Section {
    assert(tree.kind === "map", "checkKeys() passed no map");
    return new Section(tree);
  }

  has(key: string): boolean {
    return this.#entry(key) !== undefined;
  }

  /** Where the key's value stands, or this map if the key is not there. */
  place(key: string): Place {
    return this.#entry(key)?.value.place ?? this.map.place;
  }

  /** A complaint about one of its keys. */
  problem(key: string, what: string): Error {
    return problemAt(this.place(key), this.#full(key), what);
  }

  /** Undefined if the key is not there. A complaint of `parse` gets file and line. */
  read<T>(key: string, parse: (text: string) => T): T | undefined {
    const value = this.#entry(key)?.value;
    if (value === undefined) return undefined;
    assert(value.kind === "scalar", `checkKeys() passed ${key}`);
    return parseAt(value.place, this.#full(key), () => parse(value.text));
  }

  /** Like read(), of a key that may have a list; one value is a list of one. */
  readAll<T>(key: string, parse: (text: string) => T): T[] {
    const value = this.#entry(key)?.value;
    const items = value?.kind === "list" ? value.items : value === undefined ? [] : [value];
    return items.map((item) => {
      assert(item.kind === "scalar", `checkKeys() passed ${key}`);
      return parseAt(item.place, this.#full(key), () => parse(item.text));
    });
  }

  /** Of an integer, or of a duration in milliseconds, in the range of cli/keys.ts. */
  number(key: string): number | undefined {
    const { type, range } = keyOf(this.#full(key));
    assert(range !== undefined, `${key} is no number`);
    return this.read(
      key,
      (text) => type === "duration" ? parseRangedDuration(text, range) : parseInteger(text, range),
    );
  }

  section(key: string): Section | undefined {
    const value = this.#entry(key)?.value;
    return value?.kind === "map" ? new Section(value, this.#full(key)) : undefined;
  }

  list(key: string): Section[] {
    const value = this.#entry(key)?.value;
    const items = value?.kind === "list" ? value.items : [];
    return items.flatMap((item) =>
      item.kind === "map" ? [new Section(item, `${this.#full(key)}[]`)] : []
    );
  }

  /** Notes of those keys that are given here. */
  notes(): string[] {
    return this.map.entries.flatMap(({ key, place }) => {
      const note = KEYS.find(({ name }) => name === this.#full(key))?.note;
      return note === undefined ? [] : [problemAt(place, this.#full(key), note).message];
    });
  }

  #entry(key: string): YamlEntry | undefined {
    return this.map.entries.find((entry) => entry.key === key);
  }

  #full(key: string): string {
    return this.name === "" ? key : `${this.name}.${key}`;
  }
}
