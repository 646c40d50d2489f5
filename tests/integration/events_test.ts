import type { App } from "../support/app.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { EventLines } from "../support/events.ts";
import { primaryOf, startPair } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";
import { eventually, sleep } from "../support/process.ts";

/** Where startPair() looks for it. */
async function database(scope: Scope): Promise<App> {
  const app = await scope.open(await scope.path("primary/app.db"));
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
  return app;
}

scopedTest("/events tells commits, replicas that go, and ends with the node", async (scope) => {
  const app = await database(scope);
  const pair = await startPair(scope);
  await pair.primary.until("is followed", ({ replicas }) => replicas[0]?.connected === true);
  await using events = await EventLines.open(pair.primary, "");
  assertEquals(events.headers.get("content-type"), "application/x-ndjson");
  const [snapshot] = await events.until(({ event }) => event === "snapshot");
  assertEquals(snapshot!.databases![0]!.path, pair.source);
  assertEquals(snapshot!.databases![0]!.replicas[0]!.connected, true);
  await app.exec("INSERT INTO t VALUES(1)");
  const position = (await events.until(({ event }) => event === "position")).at(-1);
  assertEquals([position!.path, position!.commits], [pair.source, 1]);
  assert(position!.bytes! >= 4096);
  await pair.replica.kill();
  const gone = await events.until(({ change }) => change === "gone");
  assertEquals(gone.at(-1)!.path, pair.source);
  pair.replica.start();
  await events.until(({ change }) => change === "connected");
  await pair.primary.stop();
  while (await events.next() !== undefined) { /* until it ends */ }
});

scopedTest("/events of a replica tells that it lost its upstream, and why", async (scope) => {
  await database(scope);
  const pair = await startPair(scope);
  const path = encodeURIComponent(pair.copy);
  const accept = { accept: "text/event-stream" };
  await using events = await EventLines.open(pair.replica, `?path=${path}`, accept);
  assertEquals(events.headers.get("content-type"), "text/event-stream");
  await events.until(({ event }) => event === "snapshot");
  await events.until(({ event }) => event === "keep-alive");
  await pair.primary.kill();
  const lost = await events.until(({ event, from }) => event === "state" && from === "streaming");
  assertEquals(lost.at(-1)!.path, pair.copy);
  pair.primary.start();
  await events.until(({ event, state }) => event === "state" && state === "streaming");
});

scopedTest("/events tells who reads late one event for many commits", async (scope) => {
  const path = await scope.path("primary/app.db");
  const writer = await scope.app();
  await writer.startWriter({ path, pace_ms: 1 });
  const primary = await scope.start("primary", primaryOf(path));
  await using events = await EventLines.open(primary, "");
  const started = performance.now();
  await sleep(3000);
  const { count } = await writer.stopWriter();
  const seen = await events.until(({ event }) => event === "keep-alive");
  const positions = seen.filter(({ event }) => event === "position");
  const looks = (performance.now() - started) / 100;
  assert(positions.length > 1 && positions.length <= looks + 1, `${positions.length} of ${looks}`);
  assert(count > 2 * positions.length, `${positions.length} events of ${count} commits`);
});

scopedTest("/events has places for a hundred clients, and gives them back", async (scope) => {
  const path = await scope.path("primary/app.db");
  await database(scope);
  const primary = await scope.start("primary", { ...primaryOf(path), limits: { requests: 50 } });
  const clients: EventLines[] = [];
  try {
    for (let nth = 0; nth < 100; nth++) clients.push(await EventLines.open(primary, ""));
    const { status, text } = await primary.getText("/events");
    assertEquals(status, 503);
    assertMatch(text, /100 clients/);
    assertEquals((await primary.getText("/status")).status, 200, "they are no requests at work");
    assertEquals((await primary.getText("/events?path=/no")).status, 404);
    const head = await fetch(`${primary.url}/events`, { method: "HEAD" });
    assertEquals(head.status, 400);
  } finally {
    for (const client of clients) await client[Symbol.asyncDispose]();
  }
  await using again = await eventually("a place", () => EventLines.open(primary, ""));
  await again.until(({ event }) => event === "snapshot");
});

scopedTest("/events ends when its token is not valid any more", async (scope) => {
  const path = await scope.path("primary/app.db");
  await database(scope);
  const config = primaryOf(path);
  const auth = { token: "data-t0ken", "status-token": "status-t0ken" };
  const primary = scope.node("primary", { ...config, auth });
  primary.start();
  await primary.healthy();
  assertEquals((await primary.getText("/events")).status, 401);
  const authorization = "Bearer status-t0ken";
  await using events = await EventLines.open(primary, "", { authorization });
  await events.until(({ event }) => event === "snapshot");
  primary.reload({ ...config, auth: { ...auth, "status-token": "an0ther-t0ken" } });
  while (await events.next() !== undefined) { /* until it ends */ }
});
