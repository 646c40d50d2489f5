import { countsOf, parseArguments } from "../../../scripts/test.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";

Deno.test("countsOf() adds up every suite when a JUnit file has several", () => {
  const junit = `<testsuites name="deno test" tests="9" failures="2" errors="0" time="0.2">
    <testsuite name="a_test.ts" tests="6" disabled="1" errors="0" failures="2">
    <testsuite name="b_test.ts" tests="3" disabled="0" errors="1" failures="0">`;
  assertEquals(countsOf(junit), { passed: 5, failed: 3, ignored: 1 });
  assertEquals(countsOf(""), { passed: 0, failed: 0, ignored: 0 });
});

Deno.test("parseArguments() takes a suite and a filter in any order", () => {
  assertEquals(parseArguments([]), { suites: ["unit", "integration"] });
  assertEquals(parseArguments(["all"]), { suites: ["unit", "integration"] });
  assertEquals(parseArguments(["slow", "--filter", "x y"]), { suites: ["slow"], filter: "x y" });
  assertEquals(parseArguments(["--filter=x", "unit"]), { suites: ["unit"], filter: "x" });
  assertThrows(() => parseArguments(["fast"]), /Cannot run "fast"/);
});
