import { ROOT } from "../../scripts/tools.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { assertInSync, startPair } from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

/** There only while something is wrong. */
const ONLY_IN_TROUBLE = ["litestream_live_unhealthy"];

scopedTest("/metrics of a pair has all that the Grafana dashboard and the alerts ask for", async (
  scope,
) => {
  const writer = await scope.app();
  await writer.startWriter({ path: await scope.path("primary/app.db"), count: 50 });
  await writer.joinWriter();
  const pair = await startPair(scope);
  await assertInSync(pair);
  await pair.primary.until("has its lag", ({ replicas }) => replicas[0]?.lagMs !== undefined);
  const answers = await Promise.all(
    [pair.primary, pair.replica].map((node) => node.getText("/metrics")),
  );
  assertEquals(answers.map(({ status }) => status), [200, 200]);
  const samples = new Set(
    answers.flatMap(({ text }) => text.split("\n"))
      .flatMap((line) => line.match(/^(\w+)(?:\{.*\})? \S+$/)?.[1] ?? []),
  );
  const ofProcess = [
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
  ];
  assertEquals(
    ofProcess.filter((name) => !samples.has(name)),
    [],
    "and what describes the process",
  );
  for (const file of ["docs/grafana.json", "docs/alerts.yml"]) {
    const asked = (await Deno.readTextFile(`${ROOT}${file}`)).matchAll(/\blitestream_\w+/g);
    const names = new Set([...asked].map(([name]) => name));
    assert(names.size > 3, `${file} asks for ${names.size} metrics`);
    const missing = names.difference(samples).difference(new Set(ONLY_IN_TROUBLE));
    assertEquals([...missing], [], file);
  }
});
