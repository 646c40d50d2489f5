import type { DatabaseId } from "../../../src/base/types.ts";
import { healthOf, healthOfDatabase } from "../../../src/http/health.ts";
import type { DatabaseStatus } from "../../../src/node/status.ts";
import { assertEquals } from "../../support/assert.ts";

const PRIMARY = {
  path: "/data/db",
  role: "primary",
  state: "serving",
  readable: true,
  id: "00000000000000d1" as DatabaseId,
} as unknown as DatabaseStatus;

const REPLICA = {
  ...PRIMARY,
  role: "replica",
  state: "streaming",
  upstream: { lag: { ms: 10, bytes: 0, txids: 0 } },
} as unknown as DatabaseStatus;

function reasonOf(database: DatabaseStatus, maxLagMs?: number): string | undefined {
  const health = healthOf({ databases: [database] } as never, maxLagMs);
  assertEquals(health.healthy, health.databases[0]!.healthy);
  return health.databases[0]!.reason;
}

Deno.test("health: trouble counts on either side, also where lag alone is asked for", () => {
  for (const database of [PRIMARY, REPLICA]) {
    assertEquals(reasonOf(database), undefined);
    const troubled = { ...database, trouble: "the log grows", reason: "the log grows" };
    assertEquals(reasonOf(troubled), "the log grows");
    assertEquals(reasonOf(troubled, 60_000), "the log grows");
  }
});

Deno.test("health: a limit on lag forgives a break of the connection, not a stall", () => {
  const connecting = { ...REPLICA, state: "connecting", reason: "refused" } as DatabaseStatus;
  assertEquals(reasonOf(connecting), "refused");
  assertEquals(reasonOf(connecting, 1000), undefined);
  assertEquals(reasonOf(connecting, 5), "it lags 10 ms, more than 5 ms: refused");
});

Deno.test("health: each reason is of a kind that metrics can name", () => {
  const causeOf = (change: object): string | undefined =>
    healthOfDatabase({ ...REPLICA, ...change } as DatabaseStatus).cause;
  assertEquals(causeOf({}), undefined);
  assertEquals(causeOf({ state: "failed" }), "failed");
  assertEquals(causeOf({ trouble: "the log grows" }), "trouble");
  assertEquals(causeOf({ upstream: { lag: { ms: 5001 } } }), "lag");
  assertEquals(causeOf({ state: "repairing" }), "not-live");
});

Deno.test("health: what cannot be read or cannot go on is never healthy", () => {
  const copying = { ...REPLICA, state: "copying", readable: false } as DatabaseStatus;
  assertEquals(reasonOf(copying, 60_000), "it is copying");
  assertEquals(reasonOf({ ...PRIMARY, state: "failed" } as DatabaseStatus), "it cannot go on");
});
