import { LiveError } from "../../../src/base/errors.ts";
import { checkSecretFile, nodeAccess, readNamed, Secrets } from "../../../src/cli/secrets.ts";
import type { NodeOptions, UpstreamOptions } from "../../../src/node/options.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../../support/assert.ts";
import { Authority } from "../../support/certificates.ts";
import { fakeEnv } from "../../support/fake_env.ts";

async function withFolder(work: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "litestream-live-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function write(path: string, text: string | Uint8Array, mode = 0o600): string {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  Deno.writeFileSync(path, bytes, { mode });
  return path;
}

function complaint(work: () => unknown): string {
  const error = assertThrows(work);
  assertEquals(error instanceof LiveError ? error.code : error.stack, "config");
  return error.message;
}

Deno.test("readNamed() cuts a token's last line break and nothing else", async () => {
  await withFolder((folder) => {
    const path = `${folder}/token`;
    for (const text of ["t0ken", "t0ken\n", "t0ken\r\n"]) {
      write(path, text);
      assertEquals(readNamed("-token-file", "token", path), "t0ken");
    }
    const cases: [text: string | Uint8Array, sentence: RegExp][] = [
      ["", /^-token-file: ".*token" is empty; /],
      ["\n", /is empty; /],
      ["s3cret s3cret", /contains a space or a line break; /],
      ["s3cret\n\n", /contains a space or a line break; /],
      ["s3cret\ns3cret\n", /contains a space or a line break; /],
      ["s3cret\0", /contains a character that is not ASCII; /],
      [new Uint8Array([0xff, 0x41]), /contains a character that is not ASCII; /],
      ["s3cret".repeat(200_000), /is too large; /],
    ];
    for (const [text, sentence] of cases) {
      write(path, text);
      const said = complaint(() => readNamed("-token-file", "token", path));
      assertMatch(said, sentence);
      assert(!said.includes("s3cret"), said);
    }
  });
});

Deno.test("checkSecretFile() says why a file cannot be read", async () => {
  await withFolder((folder) => {
    for (const kind of ["token", "certificate", "key", "ca"] as const) {
      const none = `${folder}/none`;
      assertEquals(
        complaint(() => checkSecretFile(kind, none)),
        `"${none}" does not exist; write it`,
      );
      assertEquals(
        complaint(() => checkSecretFile(kind, folder)),
        `"${folder}" is a directory; give a file`,
      );
    }
  });
});

Deno.test("checkSecretFile() does not open a database", async () => {
  await withFolder((folder) => {
    const path = write(`${folder}/db`, "t0ken");
    checkSecretFile("token", path);
    Deno.mkdirSync(`${path}-live`);
    write(`${path}-live/state`, "t0ken");
    Deno.symlinkSync(path, `${folder}/link`);
    for (const one of [path, `${folder}/link`, `${path}-live/state`, write(`${path}-shm`, "t")]) {
      assertMatch(
        complaint(() => checkSecretFile("token", one)),
        /is a database, or belongs to one/,
      );
    }
  });
});

Deno.test("Secrets.credentials() keeps what it has read when a file is bad", async () => {
  await withFolder((folder) => {
    const { log, clock, lines } = fakeEnv();
    const secrets = new Secrets(log, clock);
    const tokenFile = write(`${folder}/token`, "first\n");
    const options: NodeOptions = { databases: [], tokenFile, statusToken: "status" };
    assertEquals(secrets.credentials(options), { token: "first", statusToken: "status" });
    write(tokenFile, "second\n");
    assertEquals(secrets.credentials(options).token, "second");
    assertEquals(lines, []);
    for (const bad of ["", "a b", "status"]) {
      write(tokenFile, bad);
      assertEquals(secrets.credentials(options), { token: "second", statusToken: "status" });
    }
    Deno.removeSync(tokenFile);
    assertEquals(secrets.credentials(options).token, "second");
    assertEquals(lines.map(({ level }) => level), Array(4).fill("error"));
    const fresh = new Secrets(log, clock);
    assertMatch(
      complaint(() => fresh.credentials(options)),
      /^auth\.token-file: .* does not exist; /,
    );
  });
});

Deno.test("Secrets warns of a file that every user can read", async () => {
  await withFolder((folder) => {
    for (const [mode, warned] of [[0o600, 0], [0o640, 0], [0o644, 1]] as const) {
      const { log, clock, lines } = fakeEnv();
      const tokenFile = write(`${folder}/${mode}`, "t0ken");
      Deno.chmodSync(tokenFile, mode);
      new Secrets(log, clock).credentials({ databases: [], tokenFile });
      assertEquals(lines.filter(({ level }) => level === "warn").length, warned, String(mode));
    }
  });
});

Deno.test("Secrets.accessOf() tells what was read last", async () => {
  await withFolder(async (folder) => {
    const { log, clock, lines } = fakeEnv();
    const secrets = new Secrets(log, clock);
    const tokenFile = `${folder}/token`;
    const upstream: UpstreamOptions = { url: "http://h", path: "/x", tokenFile };
    const access = secrets.accessOf(upstream);
    assertMatch(complaint(access), /^upstream\.token-file: .* does not exist; /);
    write(tokenFile, "first");
    assertEquals(access(), { token: "first" });
    write(tokenFile, "second");
    assertEquals(access(), { token: "first" }, "not before it is told to");
    secrets.renewUpstreams();
    assertEquals(access(), { token: "second" });
    write(tokenFile, "");
    secrets.renewUpstreams();
    assertEquals(access(), { token: "second" });
    assertEquals(secrets.accessOf({ ...upstream, url: "http://other" })(), { token: "second" });
    assertEquals(lines.length, 1, "once, although two upstreams need it");
    assertEquals(secrets.accessOf({ url: "http://h", path: "/x" })(), {});

    const ca = (await Authority.create(`${folder}/ca`)).cert;
    const secure = secrets.accessOf({ url: "https://h", path: "/x", ca, token: "t" });
    const { token, client } = secure();
    assertEquals([token, client instanceof Deno.HttpClient], ["t", true]);
    secrets.renewUpstreams();
    assert(secure().client === client, "one client as long as the CA is the same");
    client!.close();
  });
});

Deno.test("nodeAccess() takes the status token where there is one, and no key", async () => {
  await withFolder(async (folder) => {
    const ca = await Authority.create(`${folder}/ca`);
    const { cert } = await ca.issue("node");
    const tls = { cert, key: `${folder}/nobody-may-read` };
    const options = { databases: [], token: "all", statusToken: "some", tls };
    assertEquals(nodeAccess(options, "status"), {
      token: "some",
      cert: await Deno.readTextFile(cert),
    });
    assertEquals(nodeAccess({ databases: [], token: "all" }, "status"), { token: "all" });
    assertEquals(nodeAccess({ databases: [] }, "status"), {});
    const statusTokenFile = write(`${folder}/status`, "filed\n");
    assertEquals(nodeAccess({ databases: [], token: "all", statusTokenFile }, "status"), {
      token: "filed",
    });
  });
});
