/**
 * Work "start": from the start of the process until GET /health is 200, and the executable's size. Of a
 * large database, too: the first start reads it, later ones have its index saved.
 * May import: scripts/bench, scripts/build (path), scripts/tools, tests/support.
 * @module
 */
import type { LiveNode } from "../../tests/support/node.ts";
import { sleep } from "../../tests/support/process.ts";
import { EXECUTABLE } from "../build.ts";
import { runOrFail, ScriptError } from "../tools.ts";
import { median } from "./numbers.ts";
import type { Stage } from "./stage.ts";
import type { Samples, Work } from "./work.ts";

/** Of one run; its value is their median. */
const STARTS = 5;
/** Until its index is on disk, some 10 ms a GB. */
const SAVED_MS = 500;
const LIMIT_MS = 120_000;

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

/** The second start, after a stop or a kill; the first one reads the file. */
async function ofLarge(stage: Stage): Promise<{ first: number; stopped: number; killed: number }> {
  const path = await stage.database("large", stage.options.largeBytes);
  const node = stage.primary("large", path);
  const first = await untilHealthy(node);
  await sleep(SAVED_MS);
  await node.stop();
  const stopped = await untilHealthy(node);
  await sleep(SAVED_MS);
  await node.kill();
  const killed = await untilHealthy(node);
  await node.stop();
  return { first, stopped, killed };
}

export const start: Work = {
  name: "start",
  about:
    "a primary of a small, then of a large database, start of the process → GET /health is 200",
  measures: [
    {
      key: "healthy",
      title: "start → healthy",
      unit: "ms",
      target: { of: "median", most: 250 },
    },
    { key: "size", title: "executable", unit: "MB" },
    { key: "first", title: "large database, the first start", unit: "ms" },
    { key: "stopped", title: "… after a stop", unit: "ms", target: { of: "median", most: 1000 } },
    { key: "killed", title: "… after kill -9", unit: "ms", target: { of: "median", most: 1000 } },
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
    const { first, stopped, killed } = await ofLarge(stage);
    return {
      first: { value: first },
      stopped: { value: stopped },
      killed: { value: killed },
      healthy: { value: median(healthy), baselines: { "only “version”": median(version) } },
      size: { value: (await Deno.stat(executable)).size / 1e6 },
    };
  },
};
