/**
 * A replica of many databases tells how far they are in few requests, also an upstream that knows
 * nothing of lists. Between the two stands a proxy that counts.
 */
import { assert, assertEquals } from "../support/assert.ts";
import type { LiveNode } from "../support/node.ts";
import { eventually, sleep } from "../support/process.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const DATABASES = 30;
const SECONDS = 6;

interface Counted extends AsyncDisposable {
  readonly url: string;
  readonly asked: { alone: number; together: number };
}

/** Hands all on to `node`; an older one answers 404 to what it does not know. */
function proxyTo(node: LiveNode, older: boolean): Counted {
  const asked = { alone: 0, together: 0 };
  const end = new AbortController();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, signal: end.signal, onListen: () => {} },
    async (request) => {
      const { pathname, search } = new URL(request.url);
      if (pathname === "/v1/report") asked.alone++;
      if (pathname === "/v1/reports") asked.together++;
      if (pathname === "/v1/reports" && older) return new Response("none", { status: 404 });
      const { method, headers, signal } = request;
      const body = method === "POST" ? { body: await request.arrayBuffer() } : {};
      return await fetch(new URL(pathname + search, node.url), {
        method,
        headers,
        signal,
        ...body,
      });
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    asked,
    async [Symbol.asyncDispose]() {
      end.abort();
      await server.finished;
    },
  };
}

async function followed(scope: Scope): Promise<{ primary: LiveNode; paths: readonly string[] }> {
  const app = await scope.app();
  const paths: string[] = [];
  for (let nth = 0; nth < DATABASES; nth++) {
    const path = await scope.path(`primary/${nth}.db`);
    await app.open(path);
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)", "INSERT INTO t VALUES(1)");
    await app.close();
    paths.push(path);
  }
  return { primary: await scope.start("primary", { dbs: paths.map((path) => ({ path })) }), paths };
}

for (const older of [false, true]) {
  const upstream = older ? "an upstream that knows no lists" : "its upstream, together";
  scopedTest(`a replica of ${DATABASES} databases reports to ${upstream}`, async (scope) => {
    const { primary, paths } = await followed(scope);
    await using proxy = proxyTo(primary, older);
    const dbs = [];
    for (const [nth, path] of paths.entries()) {
      const copy = await scope.path(`replica/${nth}.db`);
      dbs.push({ path: copy, upstream: { url: proxy.url, path } });
    }
    const replica = await scope.start("replica", { dbs });
    await eventually("all have told that they have it", async () => {
      const { databases } = await primary.status();
      return databases.every(({ txid, replicas }) =>
        replicas?.length === 1 && replicas[0]!.connected && replicas[0]!.durable === txid
      ) || undefined;
    });
    const before = { ...proxy.asked };
    await sleep(SECONDS * 1000);
    const alone = proxy.asked.alone - before.alone;
    const together = proxy.asked.together - before.together;
    if (older) assert(alone > DATABASES * SECONDS / 2, `${alone} requests`);
    else {
      assert(together > 0, "none came together");
      assert(alone + together < DATABASES * SECONDS / 3, `${alone} and ${together} requests`);
    }
    const { databases } = await primary.status();
    for (const { path, replicas } of databases) {
      const { connected, silentMs, lagMs } = replicas![0]!;
      assertEquals([connected, silentMs < 4000, lagMs! < 4000], [true, true, true], path);
    }
    assertEquals((await replica.health()).status, 200);
  });
}
