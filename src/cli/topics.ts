/**
 * What `help TOPIC` tells, as plain text: the tables that docs/OPERATING.md is made from, too.
 * Pure. May import: cli/keys, http/{endpoints,metrics}, node/status (types).
 * @module
 */
import { type ConfigKey, KEYS } from "./keys.ts";
import { type Endpoint, ENDPOINTS } from "../http/endpoints.ts";
import { METRICS } from "../http/metrics.ts";
import type { State } from "../node/status.ts";

/** Longer lines are hard to read, however wide the terminal is. */
export const MOST_COLUMNS = 100;

interface StateRow {
  readonly of: "both" | "primary" | "replica";
  readonly meaning: string;
  readonly todo: string;
}

/** Every state a database can be in: what it means, and what a person does. */
export const STATES: Readonly<Record<State, StateRow>> = {
  waiting: {
    of: "both",
    meaning: "for a file, a directory, a lock or the upstream; `reason` says which",
    todo: "nothing, or make what is missing",
  },
  opening: {
    of: "both",
    meaning: "the database is read once and hashed",
    todo: "wait; it takes as long as reading the file",
  },
  serving: { of: "primary", meaning: "live", todo: "nothing" },
  copying: {
    of: "replica",
    meaning: "first copy; no file at the path yet",
    todo: "wait; `upstream.progress` in `/status` has bytes and an estimate",
  },
  repairing: {
    of: "replica",
    meaning: "page hashes are compared with the upstream; the old state stays readable",
    todo: "wait",
  },
  connecting: {
    of: "replica",
    meaning: "the copy is readable, the upstream is not there",
    todo: "bring the upstream back; it is asked again at least every 5 s",
  },
  "catching-up": {
    of: "replica",
    meaning: "connected; the first answer is not applied yet, the old state stays readable",
    todo: "wait",
  },
  streaming: { of: "replica", meaning: "live", todo: "nothing" },
  failed: {
    of: "both",
    meaning: "it needs a person; `reason` says what to do",
    todo: "do that; it tries again by itself every few seconds",
  },
};

interface ExitCodeRow {
  readonly code: string;
  /** Of few words. */
  readonly short: string;
  readonly meaning: string;
}

export const EXIT_CODES: readonly ExitCodeRow[] = [
  {
    code: "0",
    short: "done, or stopped by a signal",
    meaning: "Done, or stopped by SIGINT or SIGTERM; `wait`: the transaction is there; `verify`: " +
      "the same; `doctor`: OK.",
  },
  {
    code: "1",
    short: "a failure; wait: not there in time; verify: differs; doctor: to do",
    meaning: "A failure; `wait`: not there in time; `verify`: something differs; `doctor`: there " +
      "is something to do.",
  },
  {
    code: "2",
    short: "what was typed or configured cannot be used; nothing was done",
    meaning: "What was typed or configured cannot be used; nothing was done.",
  },
  {
    code: "70",
    short: "ended by its own watchdog",
    meaning: "The node hung, and its watchdog ended it, so that the application can checkpoint.",
  },
  {
    code: "130, 143",
    short: "ended at once by a second signal",
    meaning: "A second SIGINT or SIGTERM ended the node at once.",
  },
  {
    code: "others",
    short: "that of the application",
    meaning: "With `exec`: those of the application, 128 and the signal's number if one ended it.",
  },
];

interface Entry {
  readonly term: string;
  readonly texts: readonly string[];
}

interface TopicRow {
  readonly sentence: string;
  entries(): readonly Entry[];
}

/** What can follow `help`, beside commands. */
export const TOPICS = {
  "config": {
    sentence: "every key of the config file",
    entries: () => KEYS.map((key) => ({ term: `${key.name}  ${valueOf(key)}`, texts: [key.help] })),
  },
  "metrics": {
    sentence: "every metric of /metrics",
    entries: () =>
      METRICS.map(({ name, type, unit, labels, sentence }) => ({
        term: name,
        texts: [
          `${type}${unit === "1" ? "" : `, ${unit}`}; labels: ${labels.join(", ") || "none"}`,
          sentence,
        ],
      })),
  },
  "endpoints": { sentence: "every HTTP request a node answers", entries: endpointEntries },
  "states": {
    sentence: "states of a database, and what to do",
    entries: () =>
      Object.entries(STATES).map(([name, { of, meaning, todo }]) => ({
        term: `${name} (${of === "both" ? "primary and replica" : of})`,
        texts: [`${meaning}`, `To do: ${todo}`],
      })),
  },
  "exit-codes": {
    sentence: "what the exit code says",
    entries: () => EXIT_CODES.map(({ code, meaning }) => ({ term: code, texts: [meaning] })),
  },
} as const satisfies Readonly<Record<string, TopicRow>>;

export type Topic = keyof typeof TOPICS;

/** "duration, default 10s" */
export function valueOf(key: ConfigKey): string {
  const value = key.choices?.join(" | ") ??
    (key.unit === undefined ? key.type : `${key.type}, ${key.unit}`);
  if (key.default !== undefined) return `${value}; default ${key.default}`;
  return key.required === true ? `${value}; required` : value;
}

function endpointEntries(): readonly Entry[] {
  const endpoints: readonly Endpoint[] = Object.values(ENDPOINTS);
  return endpoints.map(({ method, path, query, needs, sentence }) => ({
    term: `${method} ${path}`,
    texts: [
      sentence,
      needs === "nothing"
        ? "Open to everybody."
        : `Needs, where auth.token is set: ${
          needs === "status" ? "that or auth.status-token" : "it"
        }.`,
      ...Object.entries(query).map(([name, meaning]) => `?${name}=  ${meaning}`),
    ],
  }));
}

/** The topic for a terminal of so many columns, of which at most MOST_COLUMNS are used. */
export function topicText(topic: Topic, columns: number): string {
  const width = Math.max(40, Math.min(columns, MOST_COLUMNS));
  const entries = TOPICS[topic].entries().map(({ term, texts }) =>
    [...wrap(term, "", width), ...texts.flatMap((text) => wrap(text, "    ", width))].join("\n")
  );
  return `${entries.join("\n\n").replaceAll("`", "")}\n`;
}

/** Lines of at most `width`, each behind `indent`; a word that is longer stands alone. */
export function wrap(text: string, indent: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/ (?! )/)) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && indent.length + longer.length > width) {
      lines.push(indent + line.trimEnd());
      line = word.trimStart();
    } else line = longer;
  }
  lines.push(indent + line.trimEnd());
  return lines;
}
