import { assert } from "../support/assert.ts";
import type { LiveNode } from "../support/node.ts";
import { TcpProxy } from "../support/proxy_tcp.ts";
import {
  assertInSync,
  assertNeverCut,
  assertUndisturbed,
  type Pair,
  primaryOf,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";
import { SlowLine } from "../support/slow_line.ts";

/** Text that compresses well, as what applications write does. */
async function filled(scope: Scope): Promise<string> {
  const source = await scope.path("primary/app.db");
  await using app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
  await app.exec(
    "WITH RECURSIVE c(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM c WHERE i<20000) " +
      "INSERT INTO t SELECT 'a row of text that is like the others, number ' || i FROM c",
  );
  await app.close();
  return source;
}

function replicaAt(
  scope: Scope,
  copy: string,
  url: string,
  path: string,
  compression?: string,
): LiveNode {
  const upstream = { url, path, ...(compression && { compression }) };
  return scope.node("replica", { dbs: [{ path: copy, upstream }] });
}

async function pairOver(
  scope: Scope,
  url: (primary: LiveNode) => string,
  compression?: string,
): Promise<Pair> {
  const source = await filled(scope);
  const copy = await scope.path("replica/app.db");
  const primary = await scope.start("primary", primaryOf(source));
  const replica = replicaAt(scope, copy, url(primary), source, compression);
  replica.start();
  await replica.healthy();
  return { source, copy, primary, replica };
}

async function sentShare({ primary }: Pair): Promise<number> {
  const { counters, pageCount, pageSize } = await primary.database();
  return counters.sentBytes / (pageCount! * pageSize!);
}

scopedTest("zstd: a copy and a live stream arrive whole in a third of the bytes", async (scope) => {
  const pair = await pairOver(scope, ({ url }) => url, "zstd");
  assert(await sentShare(pair) < 0.33, `${await sentShare(pair)} of the database was sent`);
  const writer = await scope.app();
  await writer.startWriter({ path: pair.source, pace_ms: 1, count: 1000 });
  assertUndisturbed(await writer.joinWriter());
  await assertInSync(pair);
  await assertNeverCut(pair.replica);
});

scopedTest("zstd: nothing is compressed on the same machine, or where it is off", async (scope) => {
  const pair = await pairOver(scope, ({ url }) => url);
  assert(await sentShare(pair) > 0.9, `${await sentShare(pair)} of the database was sent`);
  await assertInSync(pair);
});

scopedTest("zstd: an upstream that is far compresses by itself", async (scope) => {
  const lines: SlowLine[] = [];
  const pair = await pairOver(scope, ({ address }) => {
    const [hostname, port] = address!.split(":");
    const to = { hostname: hostname!, port: Number(port) };
    lines.push(scope.own(new SlowLine(to, { bytesPerSecond: 20e6 / 8, delayMs: 20 })));
    return lines[0]!.url;
  });
  assert(await sentShare(pair) < 0.33, `${await sentShare(pair)} of the database was sent`);
  await assertInSync(pair);
});

scopedTest("zstd: bits that change on the way are noticed, whatever they become", async (scope) => {
  const proxies: TcpProxy[] = [];
  const pair = await pairOver(scope, ({ address }) => {
    const [hostname, port] = address!.split(":");
    proxies.push(scope.own(new TcpProxy(() => ({ hostname: hostname!, port: Number(port) }))));
    return proxies[0]!.url;
  }, "zstd");
  const writer = await scope.app();
  await writer.startWriter({ path: pair.source, pace_ms: 2 });
  for (let nth = 0; nth < 6; nth++) {
    proxies[0]!.damage({ kind: "flip", direction: "down", after: 2000 + 777 * nth, bit: nth });
    await pair.replica.until("the bit has gone by", () => proxies[0]!.damaged);
    await pair.replica.until("streaming again", ({ state }) => state === "streaming");
  }
  assertUndisturbed(await writer.stopWriter());
  await assertInSync(pair);
});
