/**
 * Clients that hold what they can: streams, slow readers, half requests, descriptors. Whoever was there
 * before goes on, and memory stays bounded.
 */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import type { LiveNode } from "../support/node.ts";
import { eventually } from "../support/process.ts";
import { addressOf, HeldSocket, residentBytes } from "../support/raw_http.ts";
import {
  assertInSync,
  assertNeverCut,
  assertSameContent,
  type Pair,
  primaryOf,
  replicaOf,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const MIB = 1024 * 1024;
const GET = "HTTP/1.1\r\nhost: a\r\n\r\n";

async function pairWith(
  scope: Scope,
  limits: Readonly<Record<string, string | number>>,
  options: { readonly megabytes?: number; readonly wrapper?: readonly string[] } = {},
): Promise<Pair & { write(): Promise<void> }> {
  const { megabytes = 0, wrapper = [] } = options;
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "PRAGMA synchronous=off", "CREATE TABLE t(a)");
  for (let part = 0; part < megabytes; part += 10) {
    await app.exec(`INSERT INTO t VALUES(randomblob(${10 * MIB}))`);
  }
  const primary = scope.node("primary", { ...primaryOf(source), limits, "log-level": "debug" });
  primary.start({ wrapper });
  await primary.healthy();
  const replica = await scope.start("replica", replicaOf(copy, primary, source));
  const write = (): Promise<void> => app.exec("INSERT INTO t VALUES(randomblob(100))");
  return { source, copy, primary, replica, write };
}

function streamOf(path: string, nth: number, method = "GET"): string {
  const id = nth.toString(16).padStart(16, "0");
  return `${method} /v1/stream?path=${encodeURIComponent(path)}&replica=${id} ${GET}`;
}

/** A new connection each time: a pool would use one that is there already. */
async function isHealthy(node: LiveNode): Promise<void> {
  await eventually("a new connection is accepted, and all is well", async () => {
    using socket = await HeldSocket.open(addressOf(node.address!), `GET /health ${GET}`);
    return (await socket.read())?.startsWith("HTTP/1.1 200") || undefined;
  });
}

async function goesOn(pair: Pair & { write(): Promise<void> }): Promise<void> {
  await pair.write();
  await assertInSync(pair);
  await assertNeverCut(pair.replica);
}

scopedTest("a thousand streams too many get 503 and a sentence, replicas stay", async (scope) => {
  const pair = await pairWith(scope, { streams: 20 });
  const address = addressOf(pair.primary.address!);
  const held: HeldSocket[] = [];
  try {
    for (let nth = 0; nth < 100; nth++) { // their answer has no body, but was made as one
      using head = await HeldSocket.open(address, streamOf(pair.source, nth, "HEAD"));
      assertMatch(await head.read() ?? "", /^HTTP\/1\.1 400/);
    }
    let refused = 0;
    for (let nth = 0; nth < 1019; nth++) {
      const socket = await HeldSocket.open(address, streamOf(pair.source, nth));
      held.push(socket);
      const answer = await socket.read() ?? "";
      if (answer.startsWith("HTTP/1.1 200")) continue;
      refused++;
      assertMatch(
        answer,
        /^HTTP\/1\.1 503[^]*retry-after: 1[^]*20 replicas are connected: no more/,
      );
    }
    assertEquals(refused, 1000);
    await goesOn(pair);
  } finally {
    for (const socket of held) socket[Symbol.dispose]();
  }
  await eventually("there is room again", async () => {
    using socket = await HeldSocket.open(address, streamOf(pair.source, 5000));
    return (await socket.read())?.startsWith("HTTP/1.1 200") || undefined;
  });
  await goesOn(pair);
});

/** Sockets that ask for a first copy each and read nothing of it. */
async function slowReaders(pair: Pair, count: number): Promise<HeldSocket[]> {
  const address = addressOf(pair.primary.address!);
  const held: HeldSocket[] = [];
  for (let nth = 0; nth < count; nth++) {
    held.push(await HeldSocket.open(address, streamOf(pair.source, nth)));
  }
  return held;
}

async function cut(pair: Pair, count: number): Promise<void> {
  await eventually(`${count} are cut`, () => {
    const gone = pair.primary.log.filter((line) => line.includes("replica disconnected"));
    return gone.length >= count || undefined;
  });
}

scopedTest("the slowest are cut when too much waits for them, replicas stay", async (scope) => {
  const limits = { "stall-timeout": "10m", "queued-memory": 16 };
  const pair = await pairWith(scope, limits, { megabytes: 60 });
  const before = residentBytes(pair.primary.child.pid);
  const held = await slowReaders(pair, 200);
  try {
    await cut(pair, 200 - 64); // a record of 256 KiB waits for each of the others
    await goesOn(pair);
    const grown = residentBytes(pair.primary.child.pid) - before;
    assert(grown < 400 * MIB, `${Math.round(grown / MIB)} MiB`);
  } finally {
    for (const socket of held) socket[Symbol.dispose]();
  }
});

scopedTest("readers that take nothing are cut, replicas stay", async (scope) => {
  const pair = await pairWith(scope, { "stall-timeout": "2s" }, { megabytes: 60 });
  const held = await slowReaders(pair, 20);
  try {
    await goesOn(pair);
    await cut(pair, 20);
    // What lies in the buffers of the sockets comes, then the end.
    for (const socket of held) assert(await socket.drain() < 60 * MIB, "it was cut");
    await goesOn(pair);
  } finally {
    for (const socket of held) socket[Symbol.dispose]();
  }
});

scopedTest("requests that never end are limited and cut, and /health answers", async (scope) => {
  const pair = await pairWith(scope, { requests: 10, "stall-timeout": "10s" });
  const address = addressOf(pair.primary.address!);
  const path = encodeURIComponent(pair.source);
  const half = `POST /v1/report?path=${path}&replica=00000000000000aa HTTP/1.1\r\nhost: a\r\n` +
    "content-length: 100\r\n\r\n{";
  const held: HeldSocket[] = [];
  try {
    for (let nth = 0; nth < 30; nth++) held.push(await HeldSocket.open(address, half));
    await eventually("others are refused", async () => {
      using socket = await HeldSocket.open(address, `GET /status ${GET}`);
      const answer = await socket.read() ?? "";
      return /^HTTP\/1\.1 503[^]*10 requests are at work/.test(answer) || undefined;
    });
    await isHealthy(pair.primary);
    await pair.write();
    await assertSameContent(pair.source, [pair.copy]);
    let late = 0;
    for (const socket of held) {
      if (/did not come within/.test(await socket.read(20_000) ?? "")) late++;
    }
    assertEquals(late, 10, "those that were at work");
  } finally {
    for (const socket of held) socket[Symbol.dispose]();
  }
  await goesOn(pair);
});

scopedTest(
  "thousands of idle connections and half heads cost little, replicas stay",
  async (scope) => {
    const pair = await pairWith(scope, {});
    const address = addressOf(pair.primary.address!);
    const before = residentBytes(pair.primary.child.pid);
    const held: HeldSocket[] = [];
    try {
      for (let nth = 0; nth < 2000; nth++) {
        const text = nth % 2 === 0 ? "" : "GET /health HTTP/1.1\r\nhost: a\r\nx-half: ";
        held.push(await HeldSocket.open(address, text));
      }
      await goesOn(pair);
      await isHealthy(pair.primary);
      const grown = residentBytes(pair.primary.child.pid) - before;
      assert(grown < 150 * MIB, `${Math.round(grown / MIB)} MiB for 2000 connections`);
    } finally {
      for (const socket of held) socket[Symbol.dispose]();
    }
  },
);

scopedTest("a node that had no descriptor left listens again, replicas stay", async (scope) => {
  const wrapper = ["sh", "-c", 'ulimit -n 200; exec "$@"', "sh"];
  const pair = await pairWith(scope, {}, { wrapper });
  const address = addressOf(pair.primary.address!);
  const held: HeldSocket[] = [];
  try {
    for (let nth = 0; nth < 300; nth++) {
      held.push(await HeldSocket.open(address).catch(() => undefined) ?? held[0]!);
    }
    await pair.primary.logged(/cannot accept connections/);
    await goesOn(pair);
  } finally {
    for (const socket of held) socket[Symbol.dispose]();
  }
  await isHealthy(pair.primary);
  await goesOn(pair);
});
