import { optionsFromArguments } from "../../../src/cli/config.ts";
import type { ConfigFlags } from "../../../src/cli/loaded.ts";
import { DATABASE_DEFAULTS, LIMIT_DEFAULTS } from "../../../src/node/options.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { complaint, MACHINE } from "./parse.ts";

Deno.test("optionsFromArguments() makes a primary of one path and -addr", () => {
  assertEquals(optionsFromArguments(["db"], { addr: ":9090", logLevel: "debug" }, MACHINE), {
    options: {
      addr: { hostname: "::", port: 9090 },
      databases: [{ ...DATABASE_DEFAULTS, path: "/srv/app/db" }],
      giveWay: true,
      limits: LIMIT_DEFAULTS,
    },
    log: { level: "debug", format: "text" },
    notes: [],
    path: "command line",
  });
});

Deno.test("optionsFromArguments() makes a replica of a path and a URL", async (t) => {
  const cases: [url: string, path: string][] = [
    ["http://h:9090", "/users/ann/db"],
    ["http://h:9090/", "/users/ann/db"],
    ["http://h:9090/data/db", "/data/db"],
  ];
  for (const [url, path] of cases) {
    await t.step(url, () => {
      assertEquals(optionsFromArguments(["~/db", url], {}, MACHINE).options, {
        giveWay: true,
        limits: LIMIT_DEFAULTS,
        databases: [{
          ...DATABASE_DEFAULTS,
          path: "/users/ann/db",
          upstream: { url: "http://h:9090", path },
        }],
      });
    });
  }
  await t.step("with addr", () => {
    const { options } = optionsFromArguments(["/db", "http://h:1"], { addr: ":0" }, MACHINE);
    assertEquals(options.addr, { hostname: "::", port: 0 });
  });
});

Deno.test("optionsFromArguments() says what to write when it cannot", async (t) => {
  const cases: [positionals: string[], flags: ConfigFlags, sentence: RegExp][] = [
    [[], {}, /no database is given; write replicate -addr :9090 \/data\/db, or/],
    [["/a", "http://h:1", "/b"], {}, /"\/b" is one argument too many; write/],
    [["/a"], {}, /^-addr: is missing.*; add -addr :9090, or the URL/],
    [["/a"], { addr: "9090" }, /^-addr: is a port without a colon; write ":9090"/],
    [[""], { addr: ":1" }, /^DB_PATH: is empty/],
    [["http://h:1"], { addr: ":1" }, /"http:\/\/h:1" is no database; write/],
    [["http://h:1", "/a"], {}, /the database comes first, the URL second/],
    [["/a", "s3://bucket/db"], {}, /"s3:\/\/bucket\/db" is a backup.*run Litestream beside/],
    [["/a", "/b"], {}, /^the upstream: must be a URL, not "\/b"; write http:\/\/host:9090/],
    [["/a", "http://u:secret@h:1"], {}, /^the upstream: must not contain a user or password/],
    [
      ["/a", "http://h:1"],
      { logFormat: "xml" },
      /^-log-format: cannot be "xml"; write text or json/,
    ],
  ];
  for (const [positionals, flags, sentence] of cases) {
    await t.step(positionals.join(" "), () => {
      assertMatch(complaint(() => optionsFromArguments(positionals, flags, MACHINE)), sentence);
    });
  }
});
