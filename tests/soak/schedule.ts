/**
 * What goes wrong when: a pure function of the seed. Kinds are cards of a deck that is shuffled when
 * it is empty, so that a short run meets as many kinds as possible. May import:
 * tests/support/chaos_random.
 *
 *     step    one fault, often a second one on a process or a link that the first leaves alone; each
 *             begins, lasts `ms`, is healed, and what it touched must be healthy soon after
 *     settle  every few steps: all is whole, writers pause, every file must hold the same pages
 * @module
 */
import { SeededRandom } from "../support/chaos_random.ts";

export const NODES = ["primary", "a", "b", "c"] as const;
export type NodeName = typeof NODES[number];
export const REPLICAS = ["a", "b", "c"] as const;
export type ReplicaName = typeof REPLICAS[number];
/** c follows b, the others the primary. */
export const UPSTREAM = { a: "primary", b: "primary", c: "b" } as const;
export const WRITERS = ["w1", "w2", "w3"] as const;
export type WriterName = typeof WRITERS[number];
/** The nodes whose files lie on a small file system of their own, if the machine allows that. */
export const SMALL_DISKS: readonly NodeName[] = ["primary", "b"];

/** A fault of the link between a replica and its upstream. */
export const LINK_KINDS = ["cut", "hole", "half-open", "throttle", "flip", "truncate"] as const;
export type LinkKind = typeof LINK_KINDS[number];
/** A fault of a node: its process, its disk, its files. */
export const NODE_KINDS = [
  "kill", // SIGKILL, started again
  "stop", // SIGTERM, must end by itself, started again
  "freeze", // SIGSTOP, SIGCONT
  "disk-full",
  "wal-deleted", // a replica's -wal and -shm, while it is down
  "foreign-checkpoint", // TRUNCATE by a stock SQLite on a replica that is down
  "restore", // the primary's file replaced by an older backup, the application stopped
  "long-reader", // a read transaction over the whole time
  ...LINK_KINDS,
] as const;
export type NodeKind = typeof NODE_KINDS[number];
export const APP_KINDS = ["app-kill", "app-freeze", "reader-kill", "reader-freeze"] as const;
export type AppKind = typeof APP_KINDS[number];
export type Kind = NodeKind | AppKind;

export interface Fault {
  readonly kind: Kind;
  readonly target: NodeName | WriterName;
  /** How long it lasts. */
  readonly ms: number;
  /** For whatever the fault leaves open: which byte, which way. */
  readonly chance: number;
}

export type Step =
  | { readonly type: "faults"; readonly faults: readonly Fault[] }
  | { readonly type: "settle" };

export interface ScheduleOptions {
  readonly seed: number;
  /** Without small file systems no disk is filled. */
  readonly smallDisks: boolean;
}

const STEPS_PER_SETTLE = 6;
const SECOND_FAULT = 0.3;
const APP_FAULT = 0.6;
/** Below this nobody's patience ends; above it a node must have noticed. */
const SHORT_MS: readonly [number, number] = [200, 2000];
/** No longer: SQLite's own readers give up after 10 s. */
const LONG_MS: readonly [number, number] = [5500, 7000];
const LONGEST_MS: readonly [number, number] = [7500, 9000];

interface Card {
  readonly kind: NodeKind;
  readonly targets: readonly NodeName[];
}

const DECK: readonly Card[] = [
  { kind: "kill", targets: ["primary"] },
  { kind: "kill", targets: ["primary"] },
  { kind: "kill", targets: ["a", "c"] },
  { kind: "kill", targets: ["b"] },
  { kind: "kill", targets: REPLICAS },
  { kind: "stop", targets: NODES },
  { kind: "freeze", targets: ["primary"] },
  { kind: "freeze", targets: REPLICAS },
  { kind: "disk-full", targets: ["primary"] },
  { kind: "disk-full", targets: ["b"] },
  { kind: "wal-deleted", targets: REPLICAS },
  { kind: "foreign-checkpoint", targets: REPLICAS },
  { kind: "restore", targets: ["primary"] },
  { kind: "long-reader", targets: ["primary"] },
  { kind: "long-reader", targets: REPLICAS },
  { kind: "cut", targets: ["a", "c"] },
  { kind: "cut", targets: ["b"] },
  { kind: "hole", targets: REPLICAS },
  { kind: "half-open", targets: REPLICAS },
  { kind: "throttle", targets: REPLICAS },
  { kind: "flip", targets: REPLICAS },
  { kind: "flip", targets: REPLICAS },
  { kind: "truncate", targets: REPLICAS },
];

/** Kinds that can hit a second node in the same step. */
const SECOND: readonly NodeKind[] = ["kill", "freeze", "cut", "hole", "flip", "truncate"];
/** Kinds beside which nothing else happens to a node. */
const ALONE: readonly NodeKind[] = ["restore", "disk-full", "wal-deleted"];
/** Kinds that tell writers or readers what to do: those must be there to obey. */
const NEEDS_THE_CREW: readonly NodeKind[] = ["restore", "wal-deleted"];
const ALWAYS_SHORT: readonly Kind[] = ["stop", "wal-deleted", "foreign-checkpoint", "restore"];
/** They last as long as it takes until the byte has come by. */
const DAMAGE: readonly Kind[] = ["flip", "truncate"];

/** Never ends; the same options, the same steps. */
export function* schedule(options: ScheduleOptions): Generator<Step, never> {
  const random = new SeededRandom(options.seed);
  const cards = DECK.filter(({ kind }) => options.smallDisks || kind !== "disk-full");
  let deck: Card[] = [];
  for (let nth = 1;; nth++) {
    if (deck.length === 0) deck = random.shuffled(cards);
    yield { type: "faults", faults: step(random, deck.pop()!) };
    if (nth % STEPS_PER_SETTLE === 0) yield { type: "settle" };
  }
}

function step(random: SeededRandom, card: Card): Fault[] {
  const first = fault(random, card.kind, random.pick(card.targets));
  const faults = [first];
  if (!ALONE.includes(card.kind) && random.chance(SECOND_FAULT)) {
    const others = NODES.filter((name) => name !== first.target);
    const kind = random.pick(SECOND);
    const onLink = (LINK_KINDS as readonly NodeKind[]).includes(kind);
    const targets = onLink ? others.filter((name) => name !== "primary") : others;
    faults.push(fault(random, kind, random.pick(targets)));
  }
  if (!NEEDS_THE_CREW.includes(card.kind) && random.chance(APP_FAULT)) {
    const kind = random.pick(APP_KINDS);
    const ofWriter = kind === "app-kill" || kind === "app-freeze";
    faults.push(fault(random, kind, ofWriter ? random.pick(WRITERS) : random.pick(NODES)));
  }
  return faults;
}

function fault(random: SeededRandom, kind: Kind, target: Fault["target"]): Fault {
  const chance = random.fraction();
  const long = random.chance(0.4);
  if (DAMAGE.includes(kind)) return { kind, target, ms: 3000, chance };
  if (kind === "half-open") return { kind, target, ms: random.int(...LONG_MS), chance };
  if (kind === "throttle") return { kind, target, ms: random.int(...LONGEST_MS), chance };
  const isShort = ALWAYS_SHORT.includes(kind) || !long;
  // An application or reader that stands for long holds locks that others wait for.
  const most: readonly [number, number] = kind.includes("-freeze") ? [2000, 3500] : LONG_MS;
  return { kind, target, ms: random.int(...(isShort ? SHORT_MS : most)), chance };
}

export function describe(step: Step): string {
  if (step.type === "settle") return "settle";
  return step.faults.map(({ kind, target, ms }) => `${kind} ${target} ${ms} ms`).join(" + ");
}
