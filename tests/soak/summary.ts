/**
 * The numbers of a run, as a table or as JSON. Pure. May import: tests/soak/ledger.
 * @module
 */
import type { Ledger } from "./ledger.ts";

export interface NodeCounts {
  readonly name: string;
  readonly applied: number;
  readonly firstCopies: number;
  readonly repairs: number;
  readonly repairedPages: number;
  readonly newEpochs: number;
}

export interface Summary {
  readonly seed: number;
  readonly seconds: number;
  readonly ok: boolean;
  /** Of the application, by what it did. */
  readonly writers: Readonly<Record<string, number>>;
  readonly readers: Readonly<Record<string, number>>;
  /** Faults by kind and node, health checks, comparisons. */
  readonly counts: Readonly<Record<string, number>>;
  readonly highest: Readonly<Record<string, number>>;
  /** Since each node's last start. */
  readonly nodes: readonly NodeCounts[];
  readonly excused: Readonly<Record<string, number>>;
  readonly sqlite: readonly string[];
  readonly violations: readonly string[];
}

export interface SummaryParts {
  readonly seed: number;
  readonly ledger: Ledger;
  readonly writers: readonly Readonly<Record<string, number>>[];
  readonly readers: readonly Readonly<Record<string, number>>[];
  readonly nodes: readonly NodeCounts[];
  readonly sqlite: readonly string[];
}

/** Some names are a node's sentence; one of them does not push all values off a screen. */
const WIDEST = 50;

export function summaryOf(parts: SummaryParts): Summary {
  const { seed, ledger, writers, readers, nodes, sqlite } = parts;
  return {
    seed,
    seconds: Math.round(ledger.seconds),
    ok: ledger.violations.length === 0,
    writers: total(writers),
    readers: total(readers),
    counts: sorted(ledger.counts),
    highest: sorted(ledger.highest),
    nodes,
    excused: sorted(ledger.excused),
    sqlite,
    violations: ledger.violations,
  };
}

export function asTable(summary: Summary): string {
  const { writers, readers, counts, highest, nodes, excused, sqlite, violations } = summary;
  const rows: [string, string][] = [
    ["seed", String(summary.seed)],
    ["seconds", String(summary.seconds)],
    ["SQLite of the application", sqlite.join(", ")],
    ...entries("written", writers),
    ...entries("read", readers),
    ...entries("", counts),
    ...entries("highest", highest),
    ...nodes.map(({ name, ...rest }): [string, string] => [
      `node ${name}, last run`,
      Object.entries(rest).map(([key, value]) => `${key} ${value}`).join(", "),
    ]),
    ...entries("excused, its disk was full:", excused),
    ["violations", String(violations.length)],
  ];
  const width = Math.min(WIDEST, Math.max(...rows.map(([name]) => name.length)));
  const table = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
  if (violations.length === 0) return table;
  const list = violations.map((sentence, nth) => `${nth + 1}. ${sentence}`).join("\n");
  return `${table}\n\nVIOLATIONS\n${list}`;
}

function entries(prefix: string, from: Readonly<Record<string, number>>): [string, string][] {
  return Object.entries(from).map(([name, value]) => [
    `${prefix} ${name.replaceAll("_", " ")}`.trim(),
    String(Math.round(value)),
  ]);
}

function sorted(from: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...from].sort(([a], [b]) => a < b ? -1 : 1));
}

function total(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const stats of all) {
    for (const [name, value] of Object.entries(stats)) {
      const known = sum[name] ?? 0;
      sum[name] = name === "longest_ms" ? Math.max(known, value) : known + value;
    }
  }
  return sum;
}
