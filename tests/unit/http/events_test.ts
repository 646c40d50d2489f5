import fc from "fast-check";
import { parseEpoch, txid } from "../../../src/base/types.ts";
import {
  type DatabaseView,
  encodeEvents,
  Events,
  eventsBetween,
  formatOf,
  KEEP_ALIVE_MS,
  keepEqual,
  LOOK_MS,
  MAX_CLIENTS,
  type NodeView,
  snapshotEvent,
} from "../../../src/http/events.ts";
import { Counters } from "../../../src/node/counters.ts";
import type { DatabaseStatus } from "../../../src/node/status.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { fakeEnv } from "../../support/fake_env.ts";

const A = "00000000000000aa";

function database(change: Partial<DatabaseView> = {}): DatabaseView {
  return {
    path: "/a.db",
    role: "primary",
    state: "serving",
    epoch: A,
    txid: txid(10),
    walBytes: 1000,
    sizeBytes: 8192,
    repairs: 0,
    repairedPages: 0,
    replicas: [{ id: "r1", address: "10.0.0.2:1", connected: true }],
    ...change,
  };
}

const node = (...databases: DatabaseView[]): NodeView => ({
  version: "1.2.3",
  uptimeMs: 5,
  databases,
});

Deno.test("eventsBetween() tells what changed, and no more", async (t) => {
  const replica = { id: "r1", address: "10.0.0.2:1", connected: true };
  const cases: [name: string, now: Partial<DatabaseView>, want: unknown[]][] = [
    ["nothing", {}, []],
    ["bytes without a commit", { walBytes: 2000 }, []],
    ["three commits", { txid: txid(13), walBytes: 1300 }, [
      ["position", { txid: "000000000000000d", commits: 3, bytes: 300 }],
    ]],
    ["another epoch", { epoch: "bb", txid: txid(2) }, [
      ["position", { txid: "0000000000000002", epoch: "bb", commits: undefined }],
    ]],
    ["counts that begin anew", { txid: txid(11), walBytes: 40 }, [["position", { bytes: 40 }]]],
    ["a reason", { state: "failed", reason: "no disk" }, [
      ["state", { state: "failed", from: "serving", reason: "no disk" }],
    ]],
    ["trouble", { trouble: "cannot sync" }, [["state", { trouble: "cannot sync" }]]],
    ["a replica that has gone", { replicas: [{ ...replica, connected: false }] }, [
      ["replica", { id: "r1", change: "gone" }],
    ]],
    ["a new replica", { replicas: [replica, { ...replica, id: "r2" }] }, [
      ["replica", { id: "r2", change: "connected" }],
    ]],
    ["a replica that is not listed any more", { replicas: [] }, []],
    ["a repair", { repairs: 1, repairedPages: 7 }, [["repair", { repairs: 1, pages: 7 }]]],
  ];
  for (const [name, now, want] of cases) {
    await t.step(name, () => {
      const events = eventsBetween(node(database()), node(database(now)));
      assertEquals(events.map(({ event }) => event), want.map((one) => (one as [string])[0]));
      for (const [nth, one] of want.entries()) {
        const [, fields] = one as [string, Record<string, unknown>];
        for (const [key, value] of Object.entries(fields)) assertEquals(events[nth]![key], value);
        assertEquals(events[nth]!["path"], "/a.db");
      }
    });
  }
});

Deno.test("eventsBetween() does not count the seconds of a reason as news", () => {
  const stalled = (seconds: number): NodeView =>
    node(database({ reason: `an answer is being applied for ${seconds} s` }));
  assertEquals(eventsBetween(stalled(4), stalled(5)), []);
  assertEquals(eventsBetween(node(database()), stalled(4)).length, 1);
});

Deno.test("eventsBetween() tells of databases that a reload adds and removes", () => {
  const events = eventsBetween(node(database()), node(database({ path: "/b.db" })));
  assertEquals(events.map(({ event, path }) => [event, path]), [
    ["added", "/b.db"],
    ["removed", "/a.db"],
  ]);
});

Deno.test("eventsBetween() loses no commit however often a client looks", () => {
  fc.assert(fc.property(
    fc.array(fc.nat(5), { minLength: 1, maxLength: 50 }),
    fc.infiniteStream(fc.boolean()),
    (steps, looks) => {
      let at = database();
      let kept = node(at);
      let known = kept;
      let told = 0;
      const look = (): void => {
        for (const { commits } of eventsBetween(known, kept)) told += Number(commits);
        known = kept;
      };
      for (const step of steps) {
        at = { ...at, txid: txid(at.txid! + step) };
        kept = keepEqual(kept, node({ ...at }));
        if (looks.next().value) look();
      }
      look();
      assertEquals(told, at.txid! - 10);
    },
  ));
});

Deno.test("keepEqual() keeps what is not news, so that it is not compared again", () => {
  const before = node(database(), database({ path: "/b.db" }));
  const same = keepEqual(before, node(database({ walBytes: 9 }), database({ path: "/b.db" })));
  assert(same.databases === before.databases);
  const moved = keepEqual(before, node(database(), database({ path: "/b.db", txid: txid(11) })));
  assert(moved.databases[0] === before.databases[0]);
  assert(moved.databases[1] !== before.databases[1]);
});

Deno.test("events are lines of JSON, or server-sent events where these are asked for", () => {
  const events = [snapshotEvent(node(database())), { event: "state", path: "/a\n.db" }];
  const text = (format: "ndjson" | "sse"): string =>
    new TextDecoder().decode(encodeEvents(events, format, "2026-01-01T00:00:00.000Z"));
  const lines = text("ndjson").trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines.map(({ event }) => event), ["snapshot", "state"]);
  assertEquals(lines[0].databases[0].txid, "000000000000000a");
  const [first, second, ...none] = text("sse").split("\n\n");
  assertEquals(first!.split("\ndata: ")[0], "event: snapshot");
  assertEquals(JSON.parse(second!.split("\ndata: ")[1]!).path, "/a\n.db");
  assertEquals(none, [""]);
  assertEquals(formatOf("text/html, Text/Event-Stream;q=0.9"), "sse");
  for (const accept of [undefined, "*/*", "application/x-ndjson"]) {
    assertEquals(formatOf(accept), "ndjson");
  }
});

interface FakeNode {
  looks: number;
  txid: number;
}

function world() {
  const env = fakeEnv();
  const fake: FakeNode = { looks: 0, txid: 1 };
  const events = new Events(() => {
    fake.looks++;
    const database: DatabaseStatus = {
      path: "/a.db",
      role: "primary",
      state: "serving",
      readable: true,
      epoch: parseEpoch(A),
      txid: txid(fake.txid),
      replicas: [],
      counters: new Counters(),
    };
    return { version: "1", pid: 1, uptimeMs: 1, databases: [database] };
  }, env);
  const stop = new AbortController();
  const client = (path?: string) => {
    const request = path === undefined ? {} : { path };
    const listening = events.listen({ ...request, format: "ndjson" }, stop.signal);
    return async () => {
      const { value } = await listening.next();
      if (value === undefined) return undefined;
      const lines = new TextDecoder().decode(value).trimEnd().split("\n");
      return lines.map((line) => JSON.parse(line));
    };
  };
  return { env, fake, events, stop, client };
}

Deno.test("Events.listen() tells a client that does not read one event, not a queue", async () => {
  const { env, fake, stop, client } = world();
  const next = client();
  assertEquals((await next())![0].event, "snapshot");
  for (let nth = 0; nth < 1000; nth++) {
    fake.txid++;
    await env.clock.advance(LOOK_MS);
  }
  assertEquals(fake.looks, 1, "nobody asks, nobody looks");
  const asked = next();
  await env.clock.advance(LOOK_MS);
  const lines = (await asked)!;
  assertEquals(lines.map(({ event, commits }) => [event, commits]), [["position", 1000]]);
  const again = next();
  await env.clock.advance(5 * LOOK_MS);
  fake.txid++;
  await env.clock.advance(LOOK_MS);
  assertEquals((await again)!.map(({ commits }) => commits), [1], "nothing is told twice");
  stop.abort();
  assertEquals(await next(), undefined);
  assertEquals(env.clock.waiting, 0);
});

Deno.test("Events.listen() says that it is alive, shares its looks and ends", async () => {
  const { env, fake, stop, client } = world();
  const clients = [client(), client("/a.db"), client("/none.db")];
  for (const next of clients) await next();
  const before = fake.looks;
  const asked = clients.map((next) => next());
  await env.clock.advance(KEEP_ALIVE_MS - LOOK_MS);
  const looks = fake.looks - before;
  assert(looks > 40 && looks <= KEEP_ALIVE_MS / LOOK_MS, `${looks} looks for three clients`);
  await env.clock.advance(2 * LOOK_MS);
  for (const lines of await Promise.all(asked)) assertEquals(lines![0].event, "keep-alive");
  const last = clients.map((next) => next());
  stop.abort();
  assertEquals(await Promise.all(last), [undefined, undefined, undefined]);
  assertEquals(env.clock.waiting, 0);
});

Deno.test("Events.enter() refuses more clients than there may be, and forgets who left", () => {
  const { events } = world();
  const leave = Array.from({ length: MAX_CLIENTS }, () => events.enter());
  assertThrows(() => events.enter(), /100 clients/);
  leave[0]!();
  leave[0]!();
  assertEquals(events.clients, MAX_CLIENTS - 1);
  events.enter();
  assertThrows(() => events.enter(), /no more here/);
});

Deno.test("Events.listen() says that it failed, and why in the log", async () => {
  const env = fakeEnv();
  const events = new Events(() => {
    throw new Error("no view");
  }, env);
  const pieces = [];
  for await (const piece of events.listen({ format: "ndjson" }, new AbortController().signal)) {
    pieces.push(JSON.parse(new TextDecoder().decode(piece)).event);
  }
  assertEquals(pieces, ["error"]);
  assertEquals(env.lines.map(({ fields }) => fields["error"]), ["no view"]);
});
