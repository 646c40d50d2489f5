import { fileURLToPath } from "node:url";
import type { Result } from "../../scripts/bench/work.ts";
import { WORKS } from "../../scripts/bench/works.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { EXECUTABLE } from "../support/node.ts";
import { Child } from "../support/process.ts";
import { scopedTest } from "../support/scope.ts";

const BENCH = fileURLToPath(new URL("../../scripts/bench.ts", import.meta.url));
const LIMIT_MS = 600_000;
/** A large database of 4 MiB has no such measures. */
const LARGER = /^(growth (?!10 MB)|catchup 100?000)/;

scopedTest(
  "bench --quick runs every work, and each tells all of its measures",
  async (scope) => {
    const args = ["run", "-A", "--quiet", BENCH, "--quick", "--json", "--executable", EXECUTABLE];
    const bench = scope.own(new Child({ program: Deno.execPath(), args }));
    const { code } = await bench.wait(LIMIT_MS);
    assertEquals(code, 0, bench.stderr.kept.join("\n"));
    const { results } = JSON.parse(bench.stdout.kept.join("\n")) as { results: Result[] };
    const told = new Map(results.map((one) => [`${one.work} ${one.measure.key}`, one.median]));
    for (const { name, measures } of WORKS) {
      for (const { key } of measures) {
        if (LARGER.test(`${name} ${key}`)) continue;
        const median = told.get(`${name} ${key}`);
        assert(typeof median === "number", `${name} ${key}: ${median}`); // NaN is null in JSON
      }
    }
  },
  { limitMs: LIMIT_MS },
);
