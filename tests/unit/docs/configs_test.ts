import { ROOT } from "../../../scripts/tools.ts";
import { parse as parseYaml } from "yaml";
import { parseConfig } from "../../../src/cli/config.ts";
import { METRICS } from "../../../src/http/metrics.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { MACHINE } from "../cli/parse.ts";

const source = async (path: string): Promise<string> => await Deno.readTextFile(`${ROOT}${path}`);

/** Every variable is set, every user exists: only what is written counts. */
function reads(name: string, text: string): void {
  const env = (): string => "value.internal";
  const { options } = parseConfig(text, { ...MACHINE, path: name, env, idOf: () => 1000 });
  assert(options.databases.length > 0, name);
}

Deno.test("every config in the documents is read by the config reader", async () => {
  let found = 0;
  for (const page of ["README.md", "docs/OPERATING.md"]) {
    const blocks = [...(await source(page)).matchAll(/^```yaml\n([^]*?)^```$/gm)];
    for (const [nth, [, text]] of blocks.entries()) {
      if (!/^dbs:/m.test(text!)) continue; // a part of a config, or another program's
      reads(`${page}, block ${nth + 1}`, text!);
      found++;
    }
  }
  assert(found >= 6, `${found} configs`);
});

Deno.test("the examples are read by the config reader", async () => {
  for (const name of ["primary.yml", "replica.yml", "takeover.yml"]) {
    reads(name, await source(`examples/${name}`));
  }
});

Deno.test("the installed config is empty, and each half of it is one when uncommented", async () => {
  const text = await source("scripts/release/debian/litestream-live.yml");
  assertEquals(text.split("\n").filter((line) => line !== "" && !line.startsWith("#")), []);
  const [, ...halves] = text.split(/^# --- .*\n/m);
  assertEquals(halves.length, 2);
  for (const half of halves) reads("litestream-live.yml", half.replace(/^#(?=\S| {2})/gm, ""));
});

interface AlertFile {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly annotations: { readonly summary: string; readonly description: string };
    }[];
  }[];
}

Deno.test("docs/alerts.yml names metrics and sections that exist", async () => {
  const { groups } = parseYaml(await source("docs/alerts.yml")) as AlertFile;
  const rules = groups.flatMap((group) => group.rules);
  assert(rules.length >= 5, `${rules.length} rules`);
  const metrics = new Map(METRICS.map((row) => [row.name, row]));
  const operating = await source("docs/OPERATING.md");
  for (const { alert, expr, annotations } of rules) {
    const names = expr.match(/\blitestream_\w+/g) ?? [];
    assert(names.length > 0 || expr.startsWith("up{"), `${alert} asks for a metric`);
    for (const name of names) assert(metrics.has(name), `${alert}: there is no metric ${name}`);
    for (const [, label] of annotations.summary.matchAll(/\$labels\.(\w+)/g)) {
      const known = ["instance", ...names.flatMap((name) => metrics.get(name)!.labels)];
      assert(known.includes(label!), `${alert}: no label ${label}`);
    }
    const [, section] = annotations.description.match(/"([^"]+)"\s*$/) ?? [];
    assert(new RegExp(`^###? ${section}$`, "m").test(operating), `${alert}: section "${section}"`);
  }
});

interface GrafanaFile {
  readonly templating: { readonly list: readonly { readonly query: string }[] };
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

Deno.test("docs/grafana.json asks for metrics and labels that exist", async () => {
  const dashboard = JSON.parse(await source("docs/grafana.json")) as GrafanaFile;
  const metrics = new Map(METRICS.map((row) => [row.name, row]));
  const labels = (text: string, metric: string): void => {
    const known = ["instance", ...metrics.get(metric)!.labels];
    for (const [, matched, shown] of text.matchAll(/(\w+)=~|\{\{(\w+)\}\}/g)) {
      const label = matched ?? shown!;
      assert(known.includes(label), `${metric} has no label ${label}`);
    }
  };
  const shown = dashboard.panels.flatMap(({ targets }) => targets);
  const chosen = dashboard.templating.list.filter(({ query }) => query !== "prometheus")
    .map(({ query }) => ({ expr: query, legendFormat: "" }));
  const asked = [...shown, ...chosen];
  assert(asked.length > 12, `${asked.length} queries`);
  for (const { expr, legendFormat } of asked) {
    const [name, ...more] = expr.match(/\blitestream_\w+/g) ?? [];
    assertEquals(more, [], expr);
    const row = metrics.get(name ?? "");
    assert(row !== undefined, `there is no metric ${name}`);
    labels(expr + legendFormat, name!);
    const isRate = /^(rate|increase)\(/.test(expr);
    assertEquals(isRate, row.type === "counter", `${expr}: a ${row.type}`);
  }
});

interface Workflow {
  readonly jobs: Readonly<Record<string, { readonly steps: readonly Step[] }>>;
}
interface Step {
  readonly uses?: string;
  readonly with?: Readonly<Record<string, unknown>>;
  readonly run?: string;
}

Deno.test("the workflows run tasks that exist, with the Deno of scripts/deno", async () => {
  const { tasks } = JSON.parse(await source("deno.json")) as { tasks: Record<string, string> };
  const [, want] = (await source("scripts/deno")).match(/^want=(.+)$/m) ?? [];
  for (const name of ["ci", "release"]) {
    const workflow = parseYaml(await source(`.github/workflows/${name}.yml`)) as Workflow;
    const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);
    assert(steps.some(({ run }) => run === ".ci/run"), `${name}.yml runs the checks`);
    for (const step of steps) {
      if (step.uses?.startsWith("denoland/")) assertEquals(step.with?.["deno-version"], want);
      for (const [, task] of (step.run ?? "").matchAll(/deno task ([\w:-]+)/g)) {
        assert(tasks[task!] !== undefined, `${name}.yml: there is no task ${task}`);
      }
    }
  }
});
