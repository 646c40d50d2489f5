import { LiveError } from "../../../src/base/errors.ts";
import { Counters } from "../../../src/node/counters.ts";
import { FileChecks, SelfChecks } from "../../../src/node/file_checks.ts";
import type { LiveSource } from "../../../src/node/live_source.ts";
import { PageIndex } from "../../../src/pages/page_index.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { fakeEnv } from "../../support/fake_env.ts";

const PAGE_BYTES = 512;

/** A database of so many good pages; `read` has the numbers of all that were read. */
function database(pageCount: number, role: "primary" | "replica" = "replica") {
  const read: number[] = [];
  const state: { fails?: Error } = {};
  const index = new PageIndex(PAGE_BYTES);
  index.resize(pageCount);
  const pages = {
    read: (_: PageIndex, pgnos: readonly number[]) => {
      if (state.fails !== undefined) throw state.fails;
      read.push(...pgnos);
      return undefined;
    },
  };
  const source = { checked: { index, pages } } as unknown as LiveSource;
  const parts = { counters: new Counters(), source: () => source, distrust: () => {} };
  return { role, read, state, checks: new FileChecks(parts, fakeEnv()) };
}

Deno.test("SelfChecks reads so much each second, and begins anew after thirty at the soonest", async () => {
  const all = Array.from({ length: 10 }, () => database(2));
  const checks = new SelfChecks(5 * PAGE_BYTES);
  const count = (): number => all.reduce((sum, { read }) => sum + read.length, 0);
  const counts: number[] = [];
  for (let second = 1; second <= 61; second++) {
    await checks.step(all);
    counts.push(count());
  }
  const pause = (pages: number): number[] => Array(27).fill(pages);
  assertEquals(counts, [5, 10, 15, ...pause(20), 25, 30, 35, ...pause(40), 45]);
  assertEquals(all[9]!.read, [1, 2, 1, 2], "each in its turn");
});

Deno.test("SelfChecks goes on without a pause where a round takes longer", async () => {
  const all = [database(80), database(120)];
  const checks = new SelfChecks(5 * PAGE_BYTES);
  for (let second = 1; second <= 80; second++) {
    await checks.step(all);
    assertEquals(all[0]!.read.length + all[1]!.read.length, 5 * second);
  }
});

Deno.test("SelfChecks reads all in one second if it may, and no primary's", async () => {
  const all = [database(3), database(2, "primary"), database(1)];
  const checks = new SelfChecks(1e6);
  const seconds = async (count: number): Promise<number[][]> => {
    for (let second = 0; second < count; second++) await checks.step(all);
    return all.map(({ read }) => read);
  };
  assertEquals(await seconds(30), [[1, 2, 3], [], [1]]);
  assertEquals(await seconds(1), [[1, 2, 3, 1, 2, 3], [], [1, 1]]);
  await checks.step([]);
});

Deno.test("SelfChecks goes on with the next database where one cannot be read", async () => {
  const all = [database(1), database(1), database(1)];
  const checks = new SelfChecks(1e6);
  all[1]!.state.fails = new LiveError("disk", "EIO");
  for (let second = 0; second < 2; second++) await checks.step(all);
  assertEquals(all.map(({ read }) => read.length), [1, 0, 1], "its turn ends the second");
  all[1]!.state.fails = new TypeError("a bug");
  for (let second = 2; second < 30; second++) await checks.step(all);
  await assertRejects(() => checks.step(all), /a bug/);
});
