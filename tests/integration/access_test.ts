import { type Endpoint, ENDPOINTS, type Needs } from "../../src/http/endpoints.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { Authority } from "../support/certificates.ts";
import { EXECUTABLE, type LiveNode } from "../support/node.ts";
import { assertInSync, assertNeverCut, primaryOf, startPair } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const TOKEN = "data-t0ken-1f";
const STATUS = "status-t0ken-2e";

async function source(scope: Scope): Promise<string> {
  const path = await scope.path("primary/app.db");
  const writer = await scope.app();
  await writer.startWriter({ path, count: 50 });
  await writer.joinWriter();
  return path;
}

async function secretFile(scope: Scope, name: string, text: string): Promise<string> {
  const path = await scope.path(`secrets/${name}`);
  await Deno.writeTextFile(path, text, { mode: 0o600 });
  return path;
}

const HEX = "0123456789abcdef";
const ZERO = "0".repeat(16);
const REPORT = { epoch: HEX, received: ZERO, durable: ZERO, applied: ZERO };
const ANYTHING: Readonly<Record<string, string>> = { replica: HEX, protocol: "1" };

/** A request that is right but for its token. */
async function ask(
  node: LiveNode,
  endpoint: Endpoint,
  database: string,
  authorization: string | undefined,
): Promise<Response> {
  const { method, path, query } = endpoint;
  const url = new URL(path, node.url);
  for (const name of Object.keys(query)) {
    const value = name === "path" ? database : ANYTHING[name];
    if (value !== undefined) url.searchParams.set(name, value);
  }
  const bodies: Readonly<Record<string, string>> = {
    [ENDPOINTS.report.path]: JSON.stringify(REPORT),
    [ENDPOINTS.reports.path]: "[]",
    [ENDPOINTS.tree.path]: "[]",
  };
  const body = bodies[path] ?? "";
  const response = await fetch(url, {
    method,
    headers: authorization === undefined ? {} : { authorization },
    ...(method === "POST" ? { body } : {}),
    signal: AbortSignal.timeout(10_000),
  });
  await response.body?.cancel();
  return response;
}

/**
 * /demote is asked without the node to step down for: it must not do it. /health may say that the machine
 * is busy.
 */
function assertOpened(endpoint: Endpoint, response: Response, what: string): void {
  if (endpoint.path === ENDPOINTS.demote.path) assertEquals(response.status, 400, what);
  else if (endpoint.path === ENDPOINTS.health.path) {
    assert([200, 503].includes(response.status), what);
  } else assert(response.ok, `${what}: ${response.status}`);
}

/** What a header opens. */
const HEADERS: readonly (readonly [header: string | undefined, opens: Needs])[] = [
  [undefined, "nothing"],
  ["Bearer wrong", "nothing"],
  ["Bearer ", "nothing"],
  ["Bearer", "nothing"],
  [TOKEN, "nothing"],
  [`Basic ${TOKEN}`, "nothing"],
  [`Bearer ${TOKEN}x`, "nothing"],
  [`Bearer ${TOKEN.slice(1)}`, "nothing"],
  [`Bearer ${STATUS}`, "status"],
  [`Bearer ${TOKEN}`, "token"],
  [`bearer ${TOKEN}`, "token"],
];

function isOpen(needs: Needs, opens: Needs): boolean {
  return needs === "nothing" || opens === "token" || opens === needs;
}

function assertSecured(response: Response, what: string): void {
  const { headers } = response;
  assertEquals(headers.get("x-content-type-options"), "nosniff", what);
  assertEquals(headers.get("referrer-policy"), "no-referrer", what);
  assertMatch(headers.get("content-security-policy") ?? "", /^default-src 'none'/, what);
  assertMatch(headers.get("cache-control") ?? "", /\bno-store\b/, what);
}

scopedTest("each endpoint opens for what it needs and for nothing less", async (scope) => {
  const path = await source(scope);
  const auth = {
    "token-file": await secretFile(scope, "token", `${TOKEN}\n`),
    "status-token": STATUS,
  };
  const primary = scope.node("primary", { ...primaryOf(path), auth });
  primary.start();
  await primary.healthy();
  const others: Endpoint[] = ["/index.html", "/nothing", "/stream", "/v1/", "/status/", "/Status"]
    .map(
      (path) => ({ method: "GET", path, query: {}, needs: "token", sentence: "" }),
    );
  let refused = 0;
  for (const endpoint of [...Object.values(ENDPOINTS), ...others]) {
    for (const [header, opens] of HEADERS) {
      const what = `${endpoint.method} ${endpoint.path} with ${header}`;
      const response = await ask(primary, endpoint, path, header);
      assertSecured(response, what);
      if (!isOpen(endpoint.needs, opens)) {
        refused++;
        assertEquals(response.status, 401, what);
        assertEquals(response.headers.get("www-authenticate"), "Bearer", what);
        assertEquals(response.headers.get("litestream-live-chain"), null, what);
      } else if (others.includes(endpoint)) {
        assert([400, 404].includes(response.status), `${what}: ${response.status}`);
      } else {
        assertOpened(endpoint, response, what);
      }
    }
  }
  assert(refused > 80, `${refused} were refused: this tests too little`);
});

scopedTest("each endpoint answers everybody where no token is set", async (scope) => {
  const path = await source(scope);
  const primary = await scope.start("primary", primaryOf(path));
  for (const endpoint of Object.values(ENDPOINTS)) {
    for (const header of [undefined, "Bearer any"]) {
      const response = await ask(primary, endpoint, path, header);
      assertOpened(endpoint, response, `${endpoint.method} ${endpoint.path}`);
    }
  }
});

scopedTest("a token is changed by SIGHUP: the old one opens nothing any more", async (scope) => {
  const path = await source(scope);
  const copy = await scope.path("replica/app.db");
  const ours = await secretFile(scope, "token", "first-t0ken\n");
  const theirs = await secretFile(scope, "upstream-token", "first-t0ken");
  const primary = scope.node("primary", { ...primaryOf(path), auth: { "token-file": ours } });
  primary.start();
  await primary.healthy();
  const upstream = { url: primary.url, path, "token-file": theirs };
  const replica = await scope.start("replica", { dbs: [{ path: copy, upstream }] });

  await Deno.writeTextFile(ours, "second-t0ken\n");
  primary.child.signal("SIGHUP");
  const refused = await replica.until(
    "is refused",
    ({ upstream }) => upstream?.error?.includes("refuses") === true,
  );
  assertMatch(refused.upstream!.error!, /refuses: set upstream\.token, or upstream\.token-file/);
  assertEquals([refused.state, refused.readable], ["connecting", true]);

  await Deno.writeTextFile(theirs, "second-t0ken");
  replica.child.signal("SIGHUP");
  await replica.healthy();
  assertEquals((await replica.database()).counters.repairs, 0, "it went on where it was");

  await Deno.writeTextFile(theirs, "");
  replica.child.signal("SIGHUP");
  await replica.logged(/NOT taken, what was read before stays.*upstream\.token-file.*is empty/);
  const app = await scope.open(path);
  await app.exec("CREATE TABLE later(a)");
  const check = { authorization: "Bearer second-t0ken" };
  assertEquals(await primary.get("/status", check).then((r) => r.text().then(() => r.ok)), true);
  await replica.until(
    "follows",
    ({ state, upstream }) => state === "streaming" && upstream?.lag.txids === 0,
  );
});

scopedTest("SIGHUP takes tokens and TLS that are new in the config", async (scope) => {
  const path = await source(scope);
  const ca = await Authority.create(await scope.path("ca"));
  const primary = await scope.start("primary", primaryOf(path));
  assertEquals((await primary.getText("/status")).status, 200);
  const tls = await ca.issue("node");
  primary.reload({ ...primaryOf(path), auth: { token: TOKEN }, tls });
  await primary.logged(/"listening again".*"tls":true/);
  primary.trust(ca.cert);
  assertEquals((await primary.getText("/status")).status, 401);
  const right = await primary.get("/status", { authorization: `Bearer ${TOKEN}` });
  await right.body?.cancel();
  assertEquals(right.status, 200);
  primary.reload({
    ...primaryOf(path),
    auth: { token: TOKEN },
    tls: { cert: "/none", key: "/none" },
  });
  await primary.logged(/NOT taken, what was read before stays.*does not exist; write it/);
  assertEquals((await primary.getText("/status")).status, 401);
  await primary.logged(/config reloaded/);
});

scopedTest("SIGHUP without a change cuts nothing", async (scope) => {
  await source(scope);
  const pair = await startPair(scope);
  for (const node of [pair.primary, pair.replica]) {
    node.child.signal("SIGHUP");
    await node.logged(/reading tokens and certificates again/);
  }
  const app = await scope.open(pair.source);
  await app.exec("CREATE TABLE later(a)");
  await assertInSync(pair);
  await assertNeverCut(pair.replica);
});

async function run(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; text: string }> {
  const command = new Deno.Command(EXECUTABLE, { args: [...args], clearEnv: true, env });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  return { code, text: text.decode(stdout) + text.decode(stderr) };
}

scopedTest("no token, key or password is in what a node says", async (scope) => {
  const ca = await Authority.create(await scope.path("ca"));
  const tls = await ca.issue("node");
  const path = await source(scope);
  const auth = { token: TOKEN, "status-token-file": await secretFile(scope, "status", STATUS) };
  const debug = { "log-level": "debug" };
  const primary = scope.node("primary", { ...primaryOf(path), auth, tls, ...debug });
  primary.trust(ca.cert);
  primary.start();
  await primary.healthy();
  const wrong = "wr0ng-t0ken-3d";
  const said: string[] = [];
  for (const [name, token] of [["right", TOKEN], ["wrong", wrong]] as const) {
    const at = await scope.path(`${name}/app.db`);
    const upstream = { url: primary.url, path, ca: ca.cert, token };
    const replica = scope.node(name, { ...debug, dbs: [{ path: at, upstream }] });
    replica.start();
    await replica.until(
      "has an answer",
      ({ state, upstream }) => state === "streaming" || upstream?.error !== undefined,
    );
    for (const where of ["/status", "/metrics", "/health"]) {
      said.push((await replica.getText(where)).text);
    }
    said.push((await run(["databases", "-json", "-config", replica.configPath])).text);
    said.push((await run(["status", "-json", "-config", replica.configPath])).text);
  }
  for (const where of ["/status", "/metrics", "/health", "/nothing", "/v1/stream"]) {
    for (const token of [TOKEN, STATUS, wrong]) {
      const response = await primary.get(where, { authorization: `Bearer ${token}` });
      said.push(await response.text(), JSON.stringify([...response.headers]));
    }
  }
  const ours = await run(["status", "-json", "-config", primary.configPath]);
  assertEquals(ours.code, 0, ours.text);
  said.push(ours.text, (await run(["databases", "-json", "-config", primary.configPath])).text);
  primary.child.signal("SIGHUP");
  await primary.logged(/reading tokens/);

  const config = async (name: string, text: string): Promise<string> => {
    const file = await scope.path(`${name}.yml`);
    await Deno.writeTextFile(file, text);
    return (await run(["replicate", "-config", file])).text;
  };
  const database = "dbs: [{path: /x/y.db, upstream: {url:";
  const spaced = await secretFile(scope, "spaced", `${TOKEN} x`);
  const mistakes = [
    await config("user", `${database} "http://ann:${wrong}@h:1"}}]`),
    await config("scheme", `${database} "ftp://ann:${wrong}@h:1/p?token=${wrong}"}}]`),
    await config("space", `auth: {token: "${TOKEN} x"}\n${database} "http://h:1"}}]`),
    await config(
      "same",
      `auth: {token: ${TOKEN}, status-token: ${TOKEN}}\n${database} "http://h"}}]`,
    ),
    await config("both", `auth: {token: ${TOKEN}, token-file: /x}\n${database} "http://h"}}]`),
    await config("file", `auth: {token-file: ${spaced}}\n${database} "http://h"}}]`),
    await config("key", `tls: {cert: ${tls.key}, key: ${tls.cert}}\n${database} "http://h"}}]`),
    (await run(["status", `http://ann:${wrong}@127.0.0.1:1`])).text,
    (await run(["status", "http://127.0.0.1:1", "-token", wrong])).text,
    (await run(["status", "http://127.0.0.1:1"], { LITESTREAM_LIVE_TOKEN: wrong })).text,
  ];
  for (const mistake of mistakes) assertMatch(mistake, /^litestream-live: [^\n]+\n$/);
  said.push(...mistakes, ...scope.nodes.flatMap(({ log }) => log));

  const key = (await Deno.readTextFile(tls.key)).split("\n").filter((line) => line.length > 30);
  assert(key.length > 0 && said.length > 50 && said.join("").includes(primary.address!));
  for (const secret of [TOKEN, STATUS, wrong, ...key]) {
    assertEquals(said.filter((text) => text.includes(secret)), [], secret);
  }
});

scopedTest(
  "a node that others can reach says what is not protected",
  async (scope) => {
    const path = await source(scope);
    const ca = await Authority.create(await scope.path("ca"));
    const alone = ["unshare", "--net"]; // a network of its own, with nobody in it
    const token = { "token-file": await secretFile(scope, "token", TOKEN) };
    const tls = await ca.issue("node");
    const cases: [name: string, more: object, addr: string, says: RegExp | undefined][] = [
      ["open", {}, "0.0.0.0:0", /"level":"warn","message":"ANYBODY who can reach this address/],
      [
        "clear",
        { auth: token },
        "0.0.0.0:0",
        /"warn","message":"data and tokens cross the network/,
      ],
      ["closed", { auth: token, tls }, "0.0.0.0:0", undefined],
      ["local", {}, "127.0.0.1:0", undefined],
    ];
    for (const [name, more, addr, says] of cases) {
      await using node = scope.node(name, { ...primaryOf(path), ...more, addr });
      node.start({ wrapper: alone });
      await node.logged(/"listening"/);
      if (says !== undefined) await node.logged(says);
      else await node.stop();
      const warnings = node.log.filter((line) => /ANYBODY|in the clear/.test(line));
      assertEquals(warnings.length, says === undefined ? 0 : 1, name);
    }
  },
  { ignore: Deno.uid() !== 0 },
);
