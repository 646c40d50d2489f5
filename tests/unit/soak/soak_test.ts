/** The parts of the soak that are no processes. */
import { SeededRandom } from "../../support/chaos_random.ts";
import { Delays } from "../../soak/delay.ts";
import { Freshness } from "../../soak/freshness.ts";
import { parseOptions, UsageError } from "../../soak/options.ts";
import {
  APP_KINDS,
  describe,
  type Fault,
  NODE_KINDS,
  schedule,
  SMALL_DISKS,
  type Step,
} from "../../soak/schedule.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

function steps(seed: number, count: number, smallDisks = true): Step[] {
  const all: Step[] = [];
  for (const step of schedule({ seed, smallDisks })) {
    all.push(step);
    if (all.length === count) break;
  }
  return all;
}

const faultsOf = (all: readonly Step[]): Fault[] =>
  all.flatMap((step) => step.type === "faults" ? [...step.faults] : []);

Deno.test("parseOptions() reads the soak's command line or says what is wrong with it", async (t) => {
  const plain = { minutes: 2, seed: 7, json: false, keepGoing: false };
  assertEquals(parseOptions([], 7), plain);
  assertEquals(
    parseOptions(
      ["--minutes=0.5", "--seed", "9", "--json", "--keep-going", "--executable", "/x"],
      7,
    ),
    { minutes: 0.5, seed: 9, json: true, keepGoing: true, executable: "/x" },
  );
  const bad = [["--minutes"], ["--minutes", "0"], ["--minutes", "x"], ["--seed", "-1"], [
    "--seed=4294967296",
  ], [
    "--what",
  ]];
  for (const args of bad) {
    await t.step(args.join(" "), () => {
      assert(assertThrows(() => parseOptions(args, 7)) instanceof UsageError);
    });
  }
});

Deno.test("schedule() gives the same steps for the same seed, others for another", () => {
  const first = steps(1, 50).map(describe);
  assertEquals(steps(1, 50).map(describe), first);
  assert(steps(2, 50).map(describe).join() !== first.join());
});

Deno.test("schedule() comes to every kind, settles, and never hits one node twice at once", () => {
  const all = steps(3, 400);
  const kinds = new Set(faultsOf(all).map(({ kind }) => kind));
  assertEquals([...NODE_KINDS, ...APP_KINDS].filter((kind) => !kinds.has(kind)), []);
  assert(all.filter(({ type }) => type === "settle").length > 400 / 8);
  for (const step of all) {
    if (step.type === "settle") continue;
    const nodes = step.faults.filter(({ kind }) =>
      (NODE_KINDS as readonly string[]).includes(kind)
    );
    assertEquals(new Set(nodes.map(({ target }) => target)).size, nodes.length, describe(step));
    for (const { kind, target, ms, chance } of step.faults) {
      assert(ms > 0 && ms <= 9000 && chance >= 0 && chance < 1, describe(step));
      if (kind === "disk-full") assert((SMALL_DISKS as readonly string[]).includes(target));
    }
  }
  const kept = faultsOf(steps(3, 400, false)).some(({ kind }) => kind === "disk-full");
  assertEquals(kept, false, "no disk is filled that is not small");
});

Deno.test("Freshness misses what the primary had longer than the limit ago", () => {
  const freshness = new Freshness(5000);
  const at = (txid: number, epoch = "e1"): { epoch: string; txid: number } => ({ epoch, txid });
  assertEquals(freshness.missing(9000, at(1)), 0, "nobody knows");
  freshness.primaryWas(1000, at(10));
  freshness.primaryWas(2000, at(20));
  assertEquals(freshness.missing(5999, at(0)), 0);
  assertEquals(freshness.missing(6000, at(7)), 3);
  assertEquals(freshness.missing(7000, at(20)), 0);
  assertEquals(freshness.missing(7000, at(19)), 1);
  assertEquals(freshness.missing(7000, at(1, "e2")), 0, "another history");
  for (let now = 3000; now < 300_000; now += 1000) freshness.primaryWas(now, at(now));
  assertEquals(freshness.missing(300_000, at(0)), 295_000);
});

Deno.test("Delays allows for a machine that is late, for a while, and for nothing else", () => {
  const delays = new Delays(10_000);
  assertEquals(delays.allowance(0), 0);
  delays.seen(100, 20);
  assertEquals(delays.allowance(100), 0, "a few ms are usual");
  delays.seen(200, 300);
  delays.seen(300, 60);
  assertEquals([delays.worst(300), delays.allowance(300)], [300, 3000]);
  assertEquals(delays.worst(10_250), 60, "the worst of the last while");
  assertEquals(delays.allowance(20_000), 0);
  for (let now = 20_000; now < 90_000; now += 50) delays.seen(now, 1);
  assertEquals(delays.allowance(90_000), 0);
});

Deno.test("SeededRandom gives the same numbers again, within what was asked for", () => {
  const numbers = (seed: number): number[] => {
    const random = new SeededRandom(seed);
    return Array.from({ length: 200 }, () => random.int(3, 7));
  };
  assertEquals(numbers(5), numbers(5));
  assert(numbers(5).join() !== numbers(6).join());
  assertEquals([...new Set(numbers(5))].sort(), [3, 4, 5, 6, 7]);
  const random = new SeededRandom(1);
  assertEquals(random.shuffled([1, 2, 3, 4]).sort(), [1, 2, 3, 4]);
  assertEquals([random.chance(0), random.chance(1)], [false, true]);
});
