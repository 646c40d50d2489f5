import { LiveError } from "../../../src/base/errors.ts";
import {
  checkKey,
  checkPair,
  explainTls,
  parseCertificates,
  whyNotValid,
} from "../../../src/http/tls.ts";
import { assertEquals, assertMatch, assertThrows } from "../../support/assert.ts";
import { Authority, type Issued } from "../../support/certificates.ts";

const DAY_MS = 86_400_000;

async function withAuthority(work: (ca: Authority) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "litestream-live-" });
  try {
    await work(await Authority.create(folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function textOf({ cert, key }: Issued): Promise<{ cert: string; key: string }> {
  return { cert: await Deno.readTextFile(cert), key: await Deno.readTextFile(key) };
}

function complaint(work: () => unknown): string {
  const error = assertThrows(work);
  assertEquals(error instanceof LiveError ? error.code : error.stack, "config");
  return error.message;
}

Deno.test("parseCertificates() reads a chain, and says what is no certificate", async () => {
  await withAuthority(async (ca) => {
    const { cert, key } = await textOf(await ca.issue("node"));
    const authority = await Deno.readTextFile(ca.cert);
    const chain = parseCertificates(`any text\n${cert}\n${authority}`);
    assertEquals(chain.map(({ subject }) => subject), ["CN=node", "CN=CA"]);
    const damaged = cert.replace(/\nMII.{20}/, "\nAAAAAAAAAAAAAAAAAAAAAAA");
    for (
      const [text, sentence] of [
        ["", /^holds no certificate; /],
        [key, /^holds no certificate; /],
        [cert.slice(0, -30), /^holds no certificate; /],
        [authority + damaged, /^holds a damaged certificate, number 2 in it; /],
      ] as const
    ) {
      assertMatch(complaint(() => parseCertificates(text)), sentence);
    }
  });
});

Deno.test("checkKey() and checkPair() take the keys that openssl makes", async (t) => {
  await withAuthority(async (ca) => {
    const kinds: [kind: string, options: string[]][] = [
      ["EC", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]],
      ["EC P-384", ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]],
      ["RSA", ["rsa:2048"]],
      ["Ed25519", ["ed25519"]],
    ];
    const other = await textOf(await ca.issue("other"));
    const before = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    checkPair({ cert: other.cert, key: before + other.cert + other.key });
    for (const [kind, newKey] of kinds) {
      await t.step(kind, async () => {
        const pair = await textOf(await ca.issue("node", { newKey }));
        checkKey(pair.key);
        checkPair(pair);
        const mixed = { cert: pair.cert, key: other.key };
        assertMatch(complaint(() => checkPair(mixed)), /^is not the key of the certificate; /);
      });
    }
  });
});

Deno.test("checkKey() says what is no key, and never a byte of it", async () => {
  await withAuthority(async (ca) => {
    const { cert, key } = await textOf(await ca.issue("node"));
    const cases: [text: string, sentence: RegExp][] = [
      ["", /^holds no private key; /],
      [cert, /^holds no private key; /],
      [key.replace(/\nMI.{30}/, "\n"), /^holds a damaged private key; /],
      ["-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII", /^holds an encrypted key; .*passphrase$/],
    ];
    for (const [text, sentence] of cases) assertMatch(complaint(() => checkKey(text)), sentence);
  });
});

Deno.test("whyNotValid() knows the days of a certificate", async () => {
  await withAuthority(async (ca) => {
    const { cert } = await textOf(await ca.issue("node", { from: -1, until: 1 }));
    const now = Date.now();
    assertEquals(whyNotValid(cert, now), undefined);
    assertMatch(whyNotValid(cert, now + 2 * DAY_MS)!, /^it has expired on .*; renew it$/);
    assertMatch(whyNotValid(cert, now - 2 * DAY_MS)!, /^it is not valid before .*clock$/);
  });
});

Deno.test("explainTls() names the settings that help, and leaves other failures alone", () => {
  const settings = { url: "upstream.url", ca: "upstream.ca" };
  const said = explainTls("invalid peer certificate: UnknownIssuer", settings);
  assertMatch(said!, /give that CA's certificate as upstream\.ca$/);
  assertEquals(explainTls("tcp connect error: Connection refused", settings), undefined);
});
