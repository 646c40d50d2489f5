import { regenerate } from "../../../scripts/docs.ts";
import { assertEquals } from "../../support/assert.ts";

Deno.test("docs/OPERATING.md has the tables of the code", async () => {
  const text = await Deno.readTextFile(new URL("../../../docs/OPERATING.md", import.meta.url));
  const same = regenerate(text) === text;
  assertEquals(same, true, "stale: deno run -A scripts/docs.ts");
});
