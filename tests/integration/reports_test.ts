/**
 * A replica of many databases tells how far they are in few requests, also an upstream that knows
 * nothing of lists, and learns from the answers what heartbeats would tell. Between the two stands a
 * proxy that counts.
 */
import { assert, assertEquals } from "../support/assert.ts";
import type { LiveNode } from "../support/node.ts";
import { eventually, sleep } from "../support/process.ts";
import { SILENCE } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";
import { SlowLine } from "../support/slow_line.ts";

const DATABASES = 30;
const SECONDS = 4;

interface Counted extends AsyncDisposable {
  readonly url: string;
  readonly asked: { alone: number; together: number };
  /** Of lists of reports and their answers. */
  listBytes: number;
  /** Chunks of streams that came by; more than one record may be in one. */
  chunks: number;
  /** Streams of this path carry nothing from now on; new ones do. */
  hold(path: string): void;
  /** The node knows nothing of the sessions there are. */
  forget(): void;
}

/** What an upstream of some version knows of reports. */
type Knows = "one" | "lists" | "beats" | "sessions";

/** What a query loses on its way to a node that knows so much. */
const UNKNOWN: Readonly<Record<Knows, RegExp>> = {
  one: /(beats=1|session=[^&]+)&?/g,
  lists: /(beats=1|session=[^&]+)&?/g,
  beats: /session=[^&]+&?/g,
  sessions: /$^/,
};

/** Hands all on to `node`; an older one answers 404 to what it does not know. */
function proxyTo(node: LiveNode, knows: Knows): Counted {
  const asked = { alone: 0, together: 0 };
  const held = new Map<string, AbortController>();
  const holdOf = (path: string): AbortController => {
    if (!held.has(path)) held.set(path, new AbortController());
    return held.get(path)!;
  };
  const end = new AbortController();
  const sessions = new Set<string>();
  const forgotten = new Set<string>();
  const server = Deno.serve(
    {
      hostname: "127.0.0.1",
      port: 0,
      signal: end.signal,
      onListen: () => {},
      onError: () => new Response("the node is gone", { status: 502 }),
    },
    async (request) => {
      const { pathname, search, searchParams } = new URL(request.url);
      if (pathname === "/v1/report") asked.alone++;
      if (pathname === "/v1/reports") asked.together++;
      if (pathname === "/v1/reports" && knows === "one") {
        return new Response("none", { status: 404 });
      }
      const { method, headers, signal } = request;
      const body = method === "POST" ? { body: await request.arrayBuffer() } : {};
      const [session] = (searchParams.get("session") ?? "").split("/") as [string];
      sessions.add(session);
      const query = search.replace(UNKNOWN[knows], "")
        .replace(session, forgotten.has(session) ? session.split("").reverse().join("") : session);
      const response = await fetch(new URL(pathname + query, node.url), {
        method,
        headers,
        signal,
        ...body,
      });
      if (pathname !== "/v1/stream") {
        const whole = response.body === null ? null : await response.arrayBuffer();
        if (pathname === "/v1/reports") {
          proxy.listBytes += (body.body?.byteLength ?? 0) + (whole?.byteLength ?? 0);
        }
        return new Response(whole, response);
      }
      const hold = holdOf(searchParams.get("path")!).signal;
      const counting = new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          proxy.chunks++;
          if (!hold.aborted) controller.enqueue(chunk);
        },
      });
      return new Response(response.body!.pipeThrough(counting), response);
    },
  );
  const proxy: Counted = {
    url: `http://127.0.0.1:${server.addr.port}`,
    asked,
    listBytes: 0,
    chunks: 0,
    hold(path) {
      holdOf(path).abort();
      held.delete(path);
    },
    forget() {
      for (const session of sessions) forgotten.add(session);
    },
    async [Symbol.asyncDispose]() {
      end.abort();
      await server.finished;
    },
  };
  return proxy;
}

async function followed(
  scope: Scope,
  count = DATABASES,
): Promise<{ primary: LiveNode; paths: readonly string[] }> {
  const app = await scope.app();
  const paths: string[] = [];
  for (let nth = 0; nth < count; nth++) {
    const path = await scope.path(`primary/${nth}.db`);
    await app.open(path);
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)", "INSERT INTO t VALUES(1)");
    await app.close();
    paths.push(path);
  }
  return { primary: await scope.start("primary", { dbs: paths.map((path) => ({ path })) }), paths };
}

/** One copy of each, that has told that it has all. */
async function following(
  scope: Scope,
  proxy: { readonly url: string },
  primary: LiveNode,
  paths: readonly string[],
): Promise<{ replica: LiveNode; copies: readonly string[] }> {
  const copies = await Promise.all(paths.map((_, nth) => scope.path(`replica/${nth}.db`)));
  const { url } = proxy;
  const dbs = copies.map((path, nth) => ({ path, upstream: { url, path: paths[nth]! } }));
  const replica = await scope.start("replica", { dbs });
  await eventually("all have told that they have it", async () => {
    const { databases } = await primary.status();
    return databases.every(({ txid, replicas }) =>
      replicas?.length === 1 && replicas[0]!.connected && replicas[0]!.durable === txid
    ) || undefined;
  });
  return { replica, copies };
}

const KNOWING: readonly [Knows, string][] = [
  ["one", "an upstream that knows no lists"],
  ["lists", "an upstream that answers no more than it has to"],
  ["beats", "an upstream that wants to be told all each time"],
  ["sessions", "its upstream, together, and only what has changed"],
];

for (const [knows, upstream] of KNOWING) {
  scopedTest(`a replica of ${DATABASES} databases reports to ${upstream}`, async (scope) => {
    const { primary, paths } = await followed(scope);
    await using proxy = proxyTo(primary, knows);
    const { replica } = await following(scope, proxy, primary, paths);
    await sleep(2500); // until heartbeats are not needed
    const began = performance.now();
    const { alone, together } = { ...proxy.asked };
    const told = proxy.listBytes;
    const saysBeats = knows === "beats" || knows === "sessions";
    const carried = proxy.chunks;
    const enough = DATABASES * SECONDS / 2;
    if (saysBeats) await sleep(SECONDS * 1000);
    else {
      await eventually("every stream has its heartbeats", () => {
        return proxy.chunks - carried > enough || undefined;
      });
    }
    if (knows === "one") {
      await eventually("each reports", () => proxy.asked.alone - alone > enough || undefined);
    } else {
      const few = DATABASES * (performance.now() - began) / 3000;
      const requests = proxy.asked.alone - alone + proxy.asked.together - together;
      assert(proxy.asked.together > together, "none came together");
      assert(requests < few, `${requests} requests`);
      const chunks = proxy.chunks - carried;
      if (saysBeats) assert(chunks < few, `${chunks} heartbeats`);
      const bytes = (proxy.listBytes - told) / (proxy.asked.together - together);
      const all = DATABASES * 200;
      assert(knows === "sessions" ? bytes < all / 4 : bytes > all / 2, `${bytes} bytes a list`);
    }
    proxy.forget();
    const before = proxy.asked.together + proxy.asked.alone;
    await eventually("it is asked again", () => {
      return proxy.asked.together + proxy.asked.alone - before > 3 || undefined;
    });
    await eventually("everybody is heard of", async () => {
      const { databases } = await primary.status();
      return databases.every(({ replicas }) => {
        const { connected, silentMs, lagMs } = replicas![0]!;
        return connected && silentMs < 4000 && lagMs! < 4000;
      }) || undefined;
    });
    await replica.healthy();
  });
}

scopedTest(
  "a stream that dies in silence is noticed though its upstream speaks beside it",
  async (scope) => {
    const { primary, paths } = await followed(scope, 10);
    await using proxy = proxyTo(primary, "beats");
    const { replica, copies } = await following(scope, proxy, primary, paths);
    proxy.hold(paths[7]!);
    await sleep(3500); // it has nothing to carry: nobody needs to know
    await eventually("all are current", async () => {
      const { databases } = await replica.status();
      return databases.every(({ state, upstream }) => {
        return state === "streaming" && upstream?.connected === true && upstream.lag.ms < 2500;
      }) || undefined;
    });
    const gaveUp = (): number =>
      replica.log.filter((line) => SILENCE.test(line) && line.includes("/7.db")).length;
    assertEquals(gaveUp(), 0);
    const app = await scope.open(paths[7]!);
    await app.exec("INSERT INTO t VALUES(2)");
    await eventually("it is told that this copy is behind", async () => {
      const { databases } = await replica.status();
      return databases[7]!.upstream!.lag.ms > 500 || undefined;
    });
    const reader = await scope.app();
    await reader.open(copies[7]!, { mode: "ro" });
    await eventually("it has asked again", async () => {
      return (await reader.value("SELECT count(*) FROM t")) === 2 || undefined;
    });
    assertEquals(gaveUp(), 1, "the silent stream");
    primary.child.signal("SIGSTOP");
    await eventually("it is told that the upstream is silent", async () => {
      const { databases } = await replica.status();
      return databases.every(({ upstream }) => upstream!.lag.ms > 2000) || undefined;
    });
    await eventually("and that it is lost", async () => {
      const { databases } = await replica.status();
      return databases.every(({ upstream }) => !upstream!.connected) || undefined;
    });
    primary.child.signal("SIGCONT");
    await eventually("all go on", async () => (await replica.health()).status === 200 || undefined);
  },
);

scopedTest(
  "a line of 1.6 seconds there and back is not taken for a silent upstream",
  async (scope) => {
    const { primary, paths } = await followed(scope, 5);
    const { hostname, port } = new URL(primary.url);
    const line = scope.own(
      new SlowLine({ hostname, port: Number(port) }, { bytesPerSecond: 10e6, delayMs: 800 }),
    );
    const { replica } = await following(scope, line, primary, paths);
    const givenUp = (): number => replica.log.filter((line) => SILENCE.test(line)).length;
    const before = givenUp();
    await sleep(7000); // twice as long as a silence may last
    const times = givenUp() - before;
    assert(times < 5, `${times} streams were given up`);
  },
);
