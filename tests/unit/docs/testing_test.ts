import { filesBelow, ROOT } from "../../../scripts/tools.ts";
import { assert } from "../../support/assert.ts";

Deno.test("docs/TESTING.md names only tests that exist", async () => {
  const files = (await filesBelow("tests")).filter((path) => path.endsWith("_test.ts"));
  const texts = await Promise.all(files.map((path) => Deno.readTextFile(`${ROOT}${path}`)));
  const source = texts.join("\n");
  const page = await Deno.readTextFile(`${ROOT}docs/TESTING.md`);
  const tables = page.slice(
    page.indexOf("## Guarantees"),
    page.indexOf("## What was run"),
  );
  const names = [...tables.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
  assert(names.length > 40, `${names.length} names`);
  for (const name of names) {
    const there = [`"${name}`, `\`${name}`, `'${name}`].some((start) => source.includes(start));
    assert(there, `there is no test "${name}"`);
  }
});
