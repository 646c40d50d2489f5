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

Deno.test("SelfChecks reads so much each second, however small the databases are", async () => {
  const all = Array.from({ length: 10 }, () => database(2));
  const checks = new SelfChecks(5 * PAGE_BYTES);
  const count = (): number => all.reduce((sum, { read }) => sum + read.length, 0);
  for (let second = 1; second <= 8; second++) {
    await checks.step(all);
    assertEquals(count(), 5 * second);
  }
  assertEquals(all.map(({ read }) => read), all.map(() => [1, 2, 1, 2]), "each in its turn");
});

Deno.test("SelfChecks reads each database once a second at most, and no primary's", async () => {
  const all = [database(3), database(2, "primary"), database(1)];
  const checks = new SelfChecks(1e6);
  for (let second = 0; second < 2; second++) await checks.step(all);
  assertEquals(all.map(({ read }) => read), [[1, 2, 3, 1, 2, 3], [], [1, 1]]);
  await checks.step([]);
});

Deno.test("SelfChecks goes on with the next database where one cannot be read", async () => {
  const all = [database(1), database(1), database(1)];
  const checks = new SelfChecks(1e6);
  all[1]!.state.fails = new LiveError("disk", "EIO");
  for (let second = 0; second < 3; second++) await checks.step(all);
  assertEquals(all.map(({ read }) => read.length), [3, 0, 2], "its turn ends the second");
  all[1]!.state.fails = new TypeError("a bug");
  await assertRejects(() => checks.step(all), /a bug/);
});
