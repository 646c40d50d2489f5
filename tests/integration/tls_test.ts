import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { Authority, type Issued } from "../support/certificates.ts";
import { compareFiles } from "../support/content.ts";
import { EXECUTABLE } from "../support/node.ts";
import {
  assertInSync,
  assertNeverCut,
  assertNoRepairs,
  assertSameContent,
  assertSamePosition,
  assertUndisturbed,
  type Pair,
  primaryOf,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

async function authority(scope: Scope, name = "ca"): Promise<Authority> {
  return await Authority.create(await scope.path(name));
}

/** The files of a config's `tls`, so that others can be put in their place. */
async function place(scope: Scope, issued: Issued): Promise<Issued> {
  const files = { cert: await scope.path("tls/node.crt"), key: await scope.path("tls/node.key") };
  await Deno.copyFile(issued.cert, files.cert);
  await Deno.copyFile(issued.key, files.key);
  return files;
}

async function source(scope: Scope): Promise<string> {
  const path = await scope.path("primary/app.db");
  const writer = await scope.app();
  await writer.startWriter({ path, count: 50 });
  await writer.joinWriter();
  return path;
}

async function securePair(scope: Scope, ca: Authority, tls: Issued): Promise<Pair> {
  const at = await source(scope);
  const primary = scope.node("primary", { ...primaryOf(at), tls });
  primary.trust(ca.cert);
  primary.start();
  await primary.healthy();
  const copy = await scope.path("replica/app.db");
  const upstream = { url: primary.url, path: at, ca: ca.cert };
  const replica = await scope.start("replica", { dbs: [{ path: copy, upstream }] });
  return { source: at, copy, primary, replica };
}

async function run(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(EXECUTABLE, {
    args: [...args],
    clearEnv: true,
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

scopedTest("replicas follow over TLS, each database on a connection of its own", async (scope) => {
  const ca = await authority(scope);
  const tls = await ca.issue("node");
  const pair = await securePair(scope, ca, tls);
  const writer = await scope.app();
  await writer.startWriter({ path: pair.source, count: 300, pace_ms: 1 });
  assertUndisturbed(await writer.joinWriter());
  await assertInSync(pair);
  await assertNoRepairs(pair.replica);

  const next = await scope.path("next/app.db");
  const upstream = { url: pair.primary.url, path: pair.source, ca: ca.cert };
  const second = { path: await scope.path("next/second.db"), upstream };
  await scope.start("next", { dbs: [{ path: next, upstream }, second] });
  await assertSameContent(pair.source, [next, second.path]);
  const { replicas } = await pair.primary.database();
  const addresses = new Set(replicas.map(({ address }) => address));
  assertEquals([replicas.length, addresses.size], [3, 3], "a stream has its own connection");
});

scopedTest("SIGHUP takes a new certificate, and streams go on where they are", async (scope) => {
  const ca = await authority(scope);
  const files = await place(scope, await ca.issue("first"));
  const pair = await securePair(scope, ca, files);
  const { primary, replica } = pair;
  const writer = await scope.app();
  await writer.startWriter({ path: pair.source, pace_ms: 2 });
  assertEquals(await ca.shownAt(primary.address!), "first");

  const second = await ca.issue("second");
  await Deno.copyFile(second.cert, files.cert);
  await Deno.copyFile(second.key, files.key);
  primary.child.signal("SIGHUP");
  await primary.logged(/"listening again"/);
  assertEquals(await ca.shownAt(primary.address!), "second");
  await assertNeverCut(replica);
  await primary.healthy();

  await writer.stopWriter();
  await assertInSync(pair);
  await assertNoRepairs(replica);
  await primary.stop();
  primary.start(); // a stream of the new certificate
  await primary.healthy();
  await assertSamePosition(primary, replica);
});

scopedTest("a bad new certificate changes nothing, and the log says so", async (scope) => {
  const ca = await authority(scope);
  const files = await place(scope, await ca.issue("good"));
  const pair = await securePair(scope, ca, files);
  const { primary } = pair;
  const other = await ca.issue("other");
  const expired = await ca.issue("expired", { from: -9, until: -2 });
  const steps: [name: string, change: () => Promise<void>, reason: RegExp][] = [
    [
      "a key of another certificate",
      () => Deno.copyFile(other.cert, files.cert),
      /tls\.key: is not the key of the certificate; /,
    ],
    [
      "an expired one",
      async () => {
        await Deno.copyFile(expired.cert, files.cert);
        await Deno.copyFile(expired.key, files.key);
      },
      /tls\.cert: it has expired on .*; renew it/,
    ],
    [
      "no certificate",
      () => Deno.writeTextFile(files.cert, "x"),
      /node\.crt\\?" holds no certificate; give a PEM file/,
    ],
    ["no file", () => Deno.remove(files.cert), /node\.crt\\?" does not exist; write it/],
  ];
  for (const [name, change, reason] of steps) {
    await change();
    primary.child.signal("SIGHUP");
    const line = await primary.logged(reason);
    assertMatch(line, /"level":"error","message":"NOT taken, what was read before stays"/, name);
    assertEquals(await ca.shownAt(primary.address!), "good", name);
  }
  await assertNeverCut(pair.replica);
  await assertInSync(pair);
});

scopedTest("a certificate that is not trusted says what to do", async (scope) => {
  const ca = await authority(scope);
  const path = await source(scope);
  const cases: [name: string, tls: Issued | undefined, ca: string | undefined, why: RegExp][] = [
    [
      "unknown",
      await ca.issue("unknown"),
      undefined,
      /a CA that is not trusted here.*upstream\.ca$/,
    ],
    [
      "another-ca",
      await ca.issue("node"),
      (await authority(scope, "ca-2")).cert,
      /a CA that is not trusted here: give that CA's certificate as upstream\.ca$/,
    ],
    [
      "names",
      await ca.issue("names", { names: "DNS:primary.internal" }),
      ca.cert,
      /is for other names: write one of them in upstream\.url, or/,
    ],
    [
      "expired",
      await ca.issue("expired", { from: -9, until: -2 }),
      ca.cert,
      /has expired: renew it there and send that node SIGHUP$/,
    ],
    [
      "early",
      await ca.issue("early", { from: 1, until: 3 }),
      ca.cert,
      /is not valid yet: look at the clocks of both machines$/,
    ],
    [
      "self-signed",
      { cert: ca.cert, key: ca.cert.replace(/crt$/, "key") },
      ca.cert,
      /certificate is that of a CA: give the node one with basicConstraints CA:FALSE$/,
    ],
    ["plain", undefined, ca.cert, /does not speak TLS: write http:\/\/ in upstream\.url, or set/],
  ];
  for (const [name, tls, trusted, why] of cases) {
    await using primary = scope.node(`p-${name}`, { ...primaryOf(path), ...(tls && { tls }) });
    primary.start();
    await primary.logged(/"listening"/);
    const url = `https://${primary.address}`;
    const upstream = { url, path, ...(trusted !== undefined && { ca: trusted }) };
    const at = await scope.path(`${name}/app.db`);
    await using replica = await scope.start(name, { dbs: [{ path: at, upstream }] }, false);
    const found = await replica.until(
      "says why",
      ({ upstream }) => upstream?.error !== undefined,
    );
    assertMatch(found.upstream!.error!, why, name);
    assertEquals((await replica.health()).status, 503, name);
    assert((await replica.health()).text.includes(url), name);
    if (name === "expired") await primary.logged(/NO replica will take this node's certificate/);
  }
});

scopedTest("http to a node that speaks TLS says so", async (scope) => {
  const ca = await authority(scope);
  const path = await source(scope);
  const primary = scope.node("primary", { ...primaryOf(path), tls: await ca.issue("node") });
  primary.start();
  await primary.logged(/"listening"/);
  const upstream = { url: `http://${primary.address}`, path };
  const at = await scope.path("replica/app.db");
  const replica = await scope.start("replica", { dbs: [{ path: at, upstream }] }, false);
  const found = await replica.until("says why", ({ upstream }) => upstream?.error !== undefined);
  assertMatch(found.upstream!.error!, /where it speaks TLS, write https:\/\/ in upstream\.url$/);
});

scopedTest("a CA of the system's store is trusted without upstream.ca", async (scope) => {
  const ca = await authority(scope);
  const path = await source(scope);
  const primary = scope.node("primary", { ...primaryOf(path), tls: await ca.issue("node") });
  primary.trust(ca.cert);
  primary.start();
  await primary.healthy();
  const copy = await scope.path("replica/app.db");
  const upstream = { url: primary.url, path };
  const replica = scope.node("replica", { dbs: [{ path: copy, upstream }] });
  const bundle = await scope.path("system/bundle.pem"); // one of its certificates is damaged
  const good = await Deno.readTextFile(ca.cert);
  await Deno.writeTextFile(bundle, good.replace(/\nMII.{20}/, "\nAAAAAAAAAAAAAAAAAAAAAAA") + good);
  replica.start({ env: { SSL_CERT_FILE: bundle } }); // where the system's store is
  await replica.healthy();
  await assertInSync({ source: path, copy, primary, replica });
  await replica.stop();
  replica.start({ env: { SSL_CERT_FILE: "/none" } });
  const found = await replica.until(
    "does not trust it any more",
    ({ upstream }) => upstream?.error !== undefined,
  );
  assertMatch(found.upstream!.error!, /a CA that is not trusted here/);
});

scopedTest("upstream.ca is read again at SIGHUP, when a CA is replaced", async (scope) => {
  const ca = await authority(scope);
  const path = await source(scope);
  const primary = scope.node("primary", { ...primaryOf(path), tls: await ca.issue("node") });
  primary.trust(ca.cert);
  primary.start();
  await primary.healthy();
  const trusted = await scope.path("trusted/ca.crt");
  await Deno.copyFile((await authority(scope, "ca-2")).cert, trusted);
  const copy = await scope.path("replica/app.db");
  const upstream = { url: primary.url, path, ca: trusted };
  const replica = await scope.start("replica", { dbs: [{ path: copy, upstream }] }, false);
  await replica.until("is refused", ({ upstream }) => upstream?.error !== undefined);
  await Deno.copyFile(ca.cert, trusted);
  replica.child.signal("SIGHUP");
  await replica.healthy();
  await assertInSync({ source: path, copy, primary, replica });
});

scopedTest("status and databases ask a node that speaks TLS", async (scope) => {
  const ca = await authority(scope);
  const files = await place(scope, await ca.issue("node", { names: "DNS:localhost" }));
  const path = await source(scope);
  const auth = { token: "data-t0ken", "status-token": "status-t0ken" };
  const primary = scope.node("primary", { ...primaryOf(path), auth, tls: files });
  primary.start();
  await primary.logged(/"listening"/);
  const config = ["-config", primary.configPath];
  const local = await run(["status", ...config]); // 127.0.0.1 is none of its names
  assertEquals([local.code, local.err], [0, ""]);
  assertMatch(local.out, /app\.db/);
  assertMatch((await run(["databases", ...config])).out, /primary +serving\n/);
  const url = `https://localhost:${primary.address!.split(":")[1]}`;
  const token = ["-token", "status-t0ken"];
  assertEquals((await run(["status", url, ...token, "-ca", ca.cert])).code, 0);
  const unknown = await run(["status", url, ...token]);
  assertEquals([unknown.code, unknown.out], [1, ""]);
  assertMatch(unknown.err, /a CA that is not trusted here: give that CA's certificate as -ca\n$/);
  assertMatch((await run(["wait", url, "-path", path, ...token, "-ca", ca.cert])).out, /^ok /);
  assertMatch((await run(["wait", ...config])).out, /^ok /);
  const copied = await scope.path("copied/app.db");
  const data = ["-token", "data-t0ken", "-json"];
  const copy = ["copy", `${url}${path}`, copied, ...data];
  const whole = await run([...copy, "-ca", ca.cert]);
  assertEquals(whole.code, 0, whole.err);
  assertEquals((await compareFiles(path, copied)).problems, []);
  const both = await run(["status", ...config, "-ca", ca.cert]);
  assertEquals([both.code, both.out], [2, ""]);
  assertMatch(both.err, /-token, -token-file and -ca belong to a URL/);

  const follower = scope.node("follower", {
    dbs: [{
      path: await scope.path("follower/app.db"),
      upstream: { url, path, token: "data-t0ken", ca: ca.cert },
    }],
  });
  follower.write();
  const well = await run(["doctor", "-json", "-config", follower.configPath]);
  assertEquals(well.code, 0, well.out);
  assertMatch(well.out, /version \S+ at https:\/\/localhost/);
  assert(!well.out.includes("t0ken"));

  const other = await ca.issue("other", { names: "DNS:localhost" });
  await Deno.copyFile(other.cert, files.cert); // and no SIGHUP
  const changed = await run(["status", ...config]);
  assertEquals(changed.code, 1);
  assertMatch(changed.err, /shows another certificate than tls\.cert; send it SIGHUP\n$/);
  const ill = await run(["doctor", "-json", ...config]);
  assertEquals(ill.code, 1);
  assertMatch(ill.out, /tls\.key: is not the key of the certificate/);
});
