import fc from "fast-check";
import { ENDPOINTS, type Needs } from "../../../src/http/endpoints.ts";
import { Guard, needsOf, secure } from "../../../src/http/guard.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";

const guard = new Guard({ token: "all", statusToken: "some" });

Deno.test("Guard.refusal() opens what a token is for", async (t) => {
  const cases: [header: string | undefined, status: boolean, token: boolean][] = [
    [undefined, false, false],
    ["", false, false],
    ["Bearer", false, false],
    ["Bearer ", false, false],
    ["all", false, false],
    ["Basic all", false, false],
    ["Bearer al", false, false],
    ["Bearer all ", false, false],
    ["Bearer Bearer all", false, false],
    ["Bearer all", true, true],
    ["bearer  all", true, true],
    ["Bearer some", true, false],
    ["some", false, false],
  ];
  for (const [header, status, token] of cases) {
    await t.step(String(header), () => {
      const opens = (needs: Needs): boolean => guard.refusal(needs, header) === undefined;
      assertEquals([opens("nothing"), opens("status"), opens("token")], [true, status, token]);
    });
  }
  assertMatch(guard.refusal("token", "Bearer some")!, /^This is the token for the status/);
});

Deno.test("Guard.refusal() lets nothing in that is not the token", () => {
  const header = fc.oneof(
    fc.string(),
    fc.tuple(fc.constantFrom("Bearer ", "bearer ", "Basic "), fc.string()).map(([a, b]) => a + b),
  );
  fc.assert(fc.property(header, (header) => {
    const isToken = /^bearer +all$/i.test(header);
    assertEquals(guard.refusal("token", header) === undefined, isToken);
  }));
});

Deno.test("Guard.renew() forgets the tokens before", () => {
  const guard = new Guard({});
  assertEquals(guard.refusal("token", undefined), undefined, "no token is set");
  guard.renew({ token: "new" });
  assert(guard.refusal("token", undefined) !== undefined);
  guard.renew({ token: "newer" });
  assert(guard.refusal("token", "Bearer new") !== undefined);
  assertEquals(guard.refusal("token", "Bearer newer"), undefined);
});

Deno.test("needsOf() is as in the table, and the token for all that is not there", () => {
  for (const { path, needs } of Object.values(ENDPOINTS)) {
    assertEquals<string>(needsOf(path), needs);
    if (path.startsWith("/v1/")) assertEquals<string>(needs, "token", "data needs the token");
  }
  for (const path of ["", "//", "/v1", "/health/", "/HEALTH", "/health/../status", "/stream"]) {
    assertEquals(needsOf(path), "token", path);
  }
});

Deno.test("secure() leaves what an answer has set itself", () => {
  const headers = new Headers({ "content-security-policy": "script-src 'self'" });
  secure(headers);
  assertEquals(headers.get("content-security-policy"), "script-src 'self'");
  assertEquals(headers.get("cache-control"), "no-store");
});
