/**
 * Carries out one step of the schedule: each fault begins, lasts, is undone, and what it touched must
 * be healthy again soon. May import: tests/support, tests/soak.
 * @module
 */
import { sleep } from "../support/process.ts";
import { APP_FAULTS } from "./faults_app.ts";
import { LINK_FAULTS } from "./faults_link.ts";
import { NODE_FAULTS } from "./faults_node.ts";
import type { AppKind, Fault, NodeKind, NodeName } from "./schedule.ts";
import type { Effect, World } from "./world.ts";

/** What a reader of /health may rely on: the longest pause between two attempts is 5 s. */
const RECOVERS_MS = 7500;
/** c waits for b, which waits for the primary. */
const HOP_MS = 6000;
/** Silence is noticed after 3 s. */
const NOTICES_MS = 5000;
const POLL_MS = 50;

const FAULTS = { ...NODE_FAULTS, ...LINK_FAULTS };
const isOfApp = (kind: Fault["kind"]): kind is AppKind => kind in APP_FAULTS;

export async function carryOut(world: World, faults: readonly Fault[]): Promise<void> {
  await Promise.all(faults.map((fault) => one(world, fault)));
}

function effectOf(world: World, fault: Fault): Effect {
  if (isOfApp(fault.kind)) return APP_FAULTS[fault.kind](world, fault);
  const kind: NodeKind = fault.kind;
  return FAULTS[kind](world, fault, world.fleet.get(fault.target as NodeName));
}

async function one(world: World, fault: Fault): Promise<void> {
  const { watch, ledger, fleet } = world;
  const effect = effectOf(world, fault);
  watch.trouble(fault, effect.touches);
  try {
    const heal = await effect.begin();
    const endsAt = performance.now() + fault.ms;
    const { query, noticesMs = NOTICES_MS } = effect;
    const breaks = (effect.breaks ?? []).map((name) =>
      watch.fails(fleet.get(name), {
        limitMs: noticesMs,
        endsAt,
        because: `${fault.kind} ${fault.target}`,
        ...(query === undefined ? {} : { query }),
      })
    );
    while (performance.now() < endsAt && effect.over?.() !== true) {
      await sleep(Math.max(1, Math.min(POLL_MS, endsAt - performance.now())));
    }
    await Promise.all(breaks);
    await heal();
    ledger.count(`${fault.kind} ${isOfApp(fault.kind) ? "" : fault.target}`.trim());
    await recovered(world, fault, effect.touches);
  } finally {
    watch.over(fault);
  }
}

/** Those that another fault touches as well are judged when that one is over. */
async function recovered(
  { watch, fleet }: World,
  fault: Fault,
  touched: readonly NodeName[],
): Promise<void> {
  await Promise.all(touched.map(async (name) => {
    if (watch.leaveToOthers(fault, name)) return;
    const hop = name === "c" && fault.target !== "c" ? HOP_MS : 0;
    await watch.recovers(fleet.get(name), RECOVERS_MS + hop, `${fault.kind} ${fault.target}`);
  }));
}
