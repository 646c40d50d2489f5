import { inSources } from "../../../src/cli/stack.ts";
import { assertEquals } from "../../support/assert.ts";

/** Line 1 of the bundle is line 1 of a.ts, its line 2 has no source. */
const MAP = JSON.stringify({
  version: 3,
  sources: ["../src/a.ts"],
  names: [],
  mappings: "AAAA;A",
});
const STACK =
  "Error: x\n    at f (file:///x/main.js:1:1)\n    at /x/main.js:2:1\n    at ext:core:1:2";

Deno.test("inSources() names the sources where the map knows them", () => {
  const want = STACK.replace("file:///x/main.js:1:1", "src/a.ts:1:1");
  assertEquals(inSources(STACK, () => MAP), want);
});

Deno.test("inSources() leaves a stack alone where there is no map, or none that can be read", () => {
  assertEquals(inSources(STACK), STACK);
  assertEquals(inSources(STACK, () => undefined), STACK);
  assertEquals(inSources(STACK, () => "no map"), STACK);
  const unread = (): string => {
    throw new Error("read for nothing");
  };
  assertEquals(inSources("Error: x\n    at src/a.ts:1:1", unread), "Error: x\n    at src/a.ts:1:1");
});
