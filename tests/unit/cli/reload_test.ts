import { LiveError } from "../../../src/base/errors.ts";
import type { LoadedConfig } from "../../../src/cli/loaded.ts";
import { reloader } from "../../../src/cli/reload.ts";
import type { DatabaseOptions } from "../../../src/node/options.ts";
import { assertEquals } from "../../support/assert.ts";
import { type FakeEnv, fakeEnv } from "../../support/fake_env.ts";
import { parse } from "./parse.ts";

const YAML = "addr: ':9090'\ndbs:\n  - path: /a\n";

interface Fake {
  readonly reload: () => Promise<void>;
  readonly lines: FakeEnv["lines"];
  /** Paths of each call, and "end" when it is over. */
  readonly calls: string[];
}

function fake(load: () => LoadedConfig): Fake {
  const { log, lines } = fakeEnv();
  const calls: string[] = [];
  const node = {
    async reload(databases: readonly DatabaseOptions[]) {
      calls.push(databases.map(({ path }) => path).join());
      await Promise.resolve();
      calls.push("end");
      return { added: [], removed: [], changed: [] };
    },
  };
  const renew = (): Promise<void> => Promise.resolve();
  return { reload: reloader({ running: parse(YAML), node, log, load, renew }), lines, calls };
}

Deno.test("reloads follow each other", async () => {
  const { reload, calls } = fake(() => parse(YAML));
  await Promise.all([reload(), reload()]);
  assertEquals(calls, ["/a", "end", "/a", "end"]);
});

Deno.test("a config that cannot be read changes nothing, and the next one is taken", async () => {
  let wrong = true;
  const { reload, calls, lines } = fake(() => {
    if (wrong) throw new LiveError("config", "live.yml:1:1: is wrong");
    return parse(YAML);
  });
  await reload();
  assertEquals(calls, []);
  assertEquals(lines.map(({ level }) => level), ["error"]);
  wrong = false;
  await reload();
  assertEquals(calls, ["/a", "end"]);
});

Deno.test("what a reload cannot change is named", async () => {
  const { reload, lines } = fake(() => parse(`${YAML}exec: app\nlog-format: json\n`));
  await reload();
  const keys = lines.filter(({ level }) => level === "warn").map(({ fields }) => fields["key"]);
  assertEquals(keys, ["log-format", "exec"]);
});

Deno.test("rates and limits are what a reload cannot change, and named only if they did", async () => {
  const lines: readonly [key: string, line: string][] = [
    ["self-check-rate", "self-check-rate: 1MB/s"],
    ["copy-rate-limit", "copy-rate-limit: 50MB/s"],
    ["limits", "limits: { streams: 20 }"],
  ];
  for (const [key, line] of lines) {
    const one = fake(() => parse(`${YAML}${line}\n`));
    await one.reload();
    const warned = one.lines.filter(({ level }) => level === "warn");
    assertEquals(warned.map(({ fields }) => fields["key"]), [key]);
  }
  const same = fake(() => parse(`${YAML}copy-rate-limit: 0\n`));
  await same.reload();
  assertEquals(same.lines.filter(({ level }) => level === "warn"), []);
});
