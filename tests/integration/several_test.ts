import { assertEquals } from "../support/assert.ts";
import {
  assertSameContent,
  assertSamePosition,
  assertUndisturbed,
} from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

scopedTest("one node replicates several databases", async (scope) => {
  const names = ["a", "b", "c", "d"];
  const sources = await Promise.all(names.map((name) => scope.path(`primary/${name}.db`)));
  const copies = await Promise.all(names.map((name) => scope.path(`replica/${name}.db`)));
  const writers = await Promise.all(names.map(() => scope.app()));
  for (const [at, writer] of writers.entries()) {
    await writer.startWriter({ path: sources[at]!, pace_ms: at, count: 300 });
  }
  const primary = await scope.start("primary", { dbs: sources.map((path) => ({ path })) });
  const replica = await scope.start("replica", {
    dbs: copies.map((path, at) => ({ path, upstream: { url: primary.url, path: sources[at]! } })),
  });
  for (const writer of writers) assertUndisturbed(await writer.joinWriter());
  for (const [at, source] of sources.entries()) {
    await assertSameContent(source, [copies[at]!]);
    await assertSamePosition(primary, replica, { source, copy: copies[at]! });
  }
});

scopedTest("a node is primary of one database and replica of another", async (scope) => {
  const east = { own: await scope.path("east/east.db"), other: await scope.path("east/west.db") };
  const west = { own: await scope.path("west/west.db"), other: await scope.path("west/east.db") };
  const first = await scope.app();
  const second = await scope.app();
  await first.startWriter({ path: east.own, count: 300 });
  await second.startWriter({ path: west.own, count: 300, pad_bytes: 900 });
  // Each needs the other's address, so the first one's stands before it is started.
  const a = scope.node("east", { dbs: [{ path: east.own }] });
  const b = scope.node("west", {
    dbs: [{ path: west.own }, { path: west.other, upstream: { url: a.url, path: east.own } }],
  });
  const c = scope.node("third", {
    dbs: [{ path: east.other, upstream: { url: b.url, path: west.own } }],
  });
  for (const node of [a, b, c]) node.start();
  for (const node of [a, b, c]) await node.healthy();
  assertUndisturbed(await first.joinWriter());
  assertUndisturbed(await second.joinWriter());
  await assertSameContent(east.own, [west.other]);
  await assertSameContent(west.own, [east.other]);
  const roles = (await b.status()).databases.map(({ role, state }) => [role, state]);
  assertEquals(roles, [["primary", "serving"], ["replica", "streaming"]]);
});
