import { assertEquals } from "../../support/assert.ts";
import { timeBetween } from "../../support/processor.ts";

Deno.test("timeBetween() counts a new thread whole, and one that ended not at all", () => {
  const before = new Map([["main", 100], ["ended", 5000]]);
  const after = new Map([["main", 107], ["new", 30]]);
  assertEquals(timeBetween(before, after), 37);
});
