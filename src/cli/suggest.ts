/**
 * What to say about a key that is not valid where it stands. Pure. May import: base/, cli/keys.
 * @module
 */
import { KEYS, REFUSED_KEYS } from "./keys.ts";

/** Edits, swapped neighbours counting as one, that turn `from` into `to`. */
export function editDistance(from: string, to: string): number {
  let before: number[] = [];
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1] ? 0 : 1;
      let least = Math.min(current[column - 1]! + 1, above[column]! + 1, above[column - 1]! + same);
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] &&
        from[row - 2] === to[column - 1];
      if (swapped) least = Math.min(least, before[column - 2]! + 1);
      current.push(least);
    }
    [before, above] = [above, current];
  }
  return above[to.length]!;
}

/** The candidate that was probably meant; undefined if none is near. */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  const plain = kebab(word.slice(0, 60));
  let best: string | undefined;
  let least = Infinity;
  for (const candidate of candidates) {
    const distance = editDistance(plain, candidate);
    if (distance >= least || distance > Math.max(1, Math.floor(candidate.length / 3))) continue;
    [best, least] = [candidate, distance];
  }
  return best;
}

/** logLevel, LOG_LEVEL and "log level" are meant as log-level. */
function kebab(word: string): string {
  return word.replace(/([a-z])([A-Z])/g, "$1-$2").replace(/[_\s]+/g, "-").toLowerCase();
}

/** Keys and the maps and lists that they stand in: "auth", "auth.token", "dbs", "dbs[].path". */
const ALL_NAMES: readonly string[] = [
  ...new Set(
    KEYS.flatMap(({ name }) =>
      name.split(".").map((_, nth, parts) => parts.slice(0, nth + 1).join(".").replace(/\[\]$/, ""))
    ),
  ),
];

/** Names valid directly below `parent`: "" is the top level, "dbs[]" an item of dbs. */
export function childrenOf(parent: string): readonly string[] {
  const prefix = parent === "" ? "" : `${parent}.`;
  return ALL_NAMES
    .filter((name) => name.startsWith(prefix) && !name.slice(prefix.length).includes("."))
    .map((name) => name.slice(prefix.length));
}

/** Of relatives' keys those that mean nothing outside their place. */
const COMMON_WORDS: readonly string[] = ["host", "name", "password", "type", "user"];

/** Why `key` is not valid below `parent`, and what to do: "is …; …". */
export function whyUnknown(parent: string, key: string): string {
  const where = parent === "" ? "at the top level" : `in ${parent}`;
  if (key.includes(".") && ALL_NAMES.includes(key)) {
    return `is a path of keys; write ${key.split(".").join(": and below it, indented, ")}:`;
  }
  const elsewhere = ALL_NAMES.filter((one) => lastPart(one) === key);
  if (elsewhere.length > 0) {
    return `is not valid ${where}; did you mean ${elsewhere.map(inFull).join(" or ")}?`;
  }
  const relative = COMMON_WORDS.includes(key)
    ? undefined
    : REFUSED_KEYS.find((one) => lastPart(one.name) === key);
  if (relative !== undefined) return relative.why;

  const near = closest(key, childrenOf(parent));
  if (near !== undefined) return `is not a key; did you mean ${near}?`;
  const far = closest(key, ALL_NAMES.map(lastPart));
  if (far !== undefined) {
    const names = ALL_NAMES.filter((one) => lastPart(one) === far).map(inFull);
    return `is not a key; did you mean ${names.join(" or ")}?`;
  }
  return `is not a key; valid ${where} are ${childrenOf(parent).join(", ")}`;
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

function inFull(name: string): string {
  return name.includes(".") ? name : `${name} at the top level`;
}
