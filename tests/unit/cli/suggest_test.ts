import { childrenOf, closest, editDistance, whyUnknown } from "../../../src/cli/suggest.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";

Deno.test("editDistance() counts inserted, removed, changed and swapped characters", async (t) => {
  const cases: [from: string, to: string, want: number][] = [
    ["", "", 0],
    ["abc", "abc", 0],
    ["", "abc", 3],
    ["abc", "", 3],
    ["abc", "abd", 1],
    ["abc", "ac", 1],
    ["upsteram", "upstream", 1],
    ["kitten", "sitting", 3],
  ];
  for (const [from, to, want] of cases) {
    await t.step(`${from} ${to}`, () => assertEquals(editDistance(from, to), want));
  }
});

Deno.test("closest() finds what was meant, or nothing", async (t) => {
  const keys = ["addr", "auth", "log-level", "log-format", "limits", "dbs"];
  const cases: [word: string, want: string | undefined][] = [
    ["adr", "addr"],
    ["db", "dbs"],
    ["log_level", "log-level"],
    ["logLevel", "log-level"],
    ["LOG-FORMAT", "log-format"],
    ["log-lvl", "log-level"],
    ["x", undefined],
    ["", undefined],
    ["something", undefined],
    ["a".repeat(100_000), undefined],
  ];
  for (const [word, want] of cases) {
    await t.step(word.slice(0, 20), () => assertEquals(closest(word, keys), want));
  }
});

Deno.test("childrenOf() lists the keys of one level", () => {
  assertEquals(childrenOf(""), [
    "addr",
    "auth",
    "tls",
    "exec",
    "on-promote",
    "on-state-change",
    "self-check-rate",
    "copy-rate-limit",
    "give-way",
    "log-level",
    "log-format",
    "limits",
    "dbs",
  ]);
  assertEquals(childrenOf("tls"), ["cert", "key"]);
  assertEquals(childrenOf("dbs[].upstream"), [
    "url",
    "path",
    "token",
    "token-file",
    "ca",
    "compression",
  ]);
  assertEquals(childrenOf("dbs[]").includes("upstream"), true);
  assertEquals(childrenOf("dbs[]").includes("url"), false);
});

Deno.test("whyUnknown() says where a key belongs or what was meant", async (t) => {
  const cases: [parent: string, key: string, sentence: RegExp][] = [
    ["", "adr", /^is not a key; did you mean addr\?$/],
    ["dbs[]", "upsteam", /did you mean upstream\?/],
    [
      "",
      "path",
      /not valid at the top level; did you mean dbs\[\]\.path or dbs\[\]\.upstream\.path/,
    ],
    ["dbs[]", "url", /not valid in dbs\[\]; did you mean dbs\[\]\.upstream\.url\?/],
    ["dbs[]", "addr", /did you mean addr at the top level\?/],
    ["", "token", /did you mean auth\.token or dbs\[\]\.upstream\.token\?/],
    ["", "upsteam", /did you mean dbs\[\]\.upstream\?/],
    ["", "auth.token", /is a path of keys; write auth: and below it, indented, token:/],
    ["dbs[]", "replicas", /backup, which is out of scope.*run Litestream beside/],
    ["", "replicas", /backup, which is out of scope/],
    ["", "access-key-id", /backup, which is out of scope/],
    ["dbs[]", "bucket", /backup, which is out of scope/],
    ["dbs[]", "monitor-interval", /Litestream 0\.5, which polls/],
    ["", "fuse", /LiteFS/],
    ["", "host", /^is not a key; valid at the top level are addr, auth/],
    ["auth", "zzz", /^is not a key; valid in auth are token, token-file, status-token/],
  ];
  for (const [parent, key, sentence] of cases) {
    await t.step(`${parent} ${key}`, () => assertMatch(whyUnknown(parent, key), sentence));
  }
});
