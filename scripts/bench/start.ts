/**
 * Work "start": from the start of the process until GET /health is 200, and the executable's size.
 * May import: scripts/bench, scripts/build (path), scripts/tools, tests/support.
 * @module
 */
import type { LiveNode } from "../../tests/support/node.ts";
import { sleep } from "../../tests/support/process.ts";
import { EXECUTABLE } from "../build.ts";
import { runOrFail, ScriptError } from "../tools.ts";
import { median } from "./numbers.ts";
import type { Samples, Work } from "./work.ts";

/** Of one run; its value is their median. */
const STARTS = 5;
const LIMIT_MS = 20_000;

async function untilHealthy(node: LiveNode): Promise<number> {
  const began = performance.now();
  node.start();
  while (performance.now() - began < LIMIT_MS) {
    try {
      const response = await node.get("/health");
      await response.body?.cancel();
      if (response.status === 200) return performance.now() - began;
    } catch { /* it does not listen yet */ }
    await sleep(1);
  }
  throw new ScriptError(`not healthy after ${LIMIT_MS} ms`);
}

export const start: Work = {
  name: "start",
  about: "a primary of a small database, start of the process → GET /health is 200",
  measures: [
    {
      key: "healthy",
      title: "start → healthy",
      unit: "ms",
      target: { of: "median", most: 250 },
    },
    { key: "size", title: "executable", unit: "MB" },
  ],
  async once(stage): Promise<Samples> {
    const { executable = EXECUTABLE } = stage.options;
    const node = stage.primary("primary", await stage.database("source"));
    const healthy: number[] = [];
    const version: number[] = [];
    for (let nth = 0; nth < STARTS; nth++) {
      const began = performance.now();
      await runOrFail("ask for the version", executable, ["version"]);
      version.push(performance.now() - began);
      healthy.push(await untilHealthy(node));
      await node.stop();
    }
    return {
      healthy: { value: median(healthy), baselines: { "only “version”": median(version) } },
      size: { value: (await Deno.stat(executable)).size / 1e6 },
    };
  },
};
