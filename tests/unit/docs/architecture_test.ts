import { filesBelow } from "../../../scripts/tools.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const PAGE = await Deno.readTextFile(new URL("../../../docs/ARCHITECTURE.md", import.meta.url));

Deno.test("docs/ARCHITECTURE.md names every file of src once and no other", async () => {
  const [, map] = PAGE.match(/\n```text\n([^]*?)\n```\n/) ?? [];
  assert(map !== undefined, "there is a code map");
  const named = [...map.matchAll(/(?:^| {2})([a-z]+\/[a-z0-9_]+(?:\.c)?) {2}/gm)];
  const files = (await filesBelow("src")).map((path) => path.slice(4).replace(/\.ts$/, ""));
  assertEquals(named.map(([, name]) => name!).sort(), files.sort());
});

Deno.test("docs/ARCHITECTURE.md stays short and says where each package is imported", async () => {
  assert(PAGE.split("\n").length <= 151, "at most 150 lines");
  const rows = [...PAGE.matchAll(/^\| ([@\w/-]+) +\| [^|]+\| `(\w+\/\w+)`/gm)];
  assert(rows.length > 5, "there is a table of packages");
  for (const [, name, module] of rows) {
    const source = new URL(`../../../src/${module}.ts`, import.meta.url);
    const text = await Deno.readTextFile(source);
    const native: Record<string, string> = { SQLite: "Deno.dlopen", xxHash: "live_hash" };
    const found = text.includes(native[name!] ?? `"${name}"`);
    assert(found, `${module} imports ${name}`);
  }
});
