import { assert as assertBug } from "../../../src/base/assert.ts";
import {
  codeOf,
  type ErrorCode,
  exitCode,
  httpStatus,
  LiveError,
  messageOf,
} from "../../../src/base/errors.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

Deno.test("httpStatus() tells a client what to do about each code", () => {
  const cases: [ErrorCode, number][] = [
    ["bad_request", 400],
    ["unauthorized", 401],
    ["not_found", 404],
    ["guard", 409],
    ["position_gone", 410],
    ["upstream", 502],
    ["busy", 503],
    ["not_ready", 503],
  ];
  for (const [code, status] of cases) assertEquals(httpStatus(code), status, code);
});

Deno.test("exitCode() is 2 only for what the user wrote", () => {
  assertEquals(exitCode("config"), 2);
  assertEquals(exitCode("corrupt"), 1);
});

Deno.test("LiveError carries its code and context", () => {
  const error = new LiveError("checksum", "Page 3 arrived with another hash", { pgno: 3 });
  assertEquals([codeOf(error), messageOf(error)], ["checksum", "Page 3 arrived with another hash"]);
  assertEquals(error.context, { pgno: 3 });
  assert(error instanceof Error);
  assertEquals([codeOf(new Error("x")), messageOf("x")], [undefined, "x"]);
});

Deno.test("assert() throws a bug, which has no code", () => {
  assertBug(true, "never said");
  assertEquals(
    codeOf(assertThrows(() => assertBug(false, "it is so"), /^BUG: it is so$/)),
    undefined,
  );
});
