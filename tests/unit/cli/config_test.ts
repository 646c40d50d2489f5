import { LiveError } from "../../../src/base/errors.ts";
import { findConfig, loadConfig } from "../../../src/cli/config.ts";
import { DATABASE_DEFAULTS, LIMIT_DEFAULTS } from "../../../src/node/options.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { complaint, MACHINE, parse } from "./parse.ts";

const REPLICA = `dbs:
  - path: /data/db
    upstream:
      url: http://$PRIMARY_HOSTNAME:9090
`;

Deno.test("parseConfig() reads the guide's primary", () => {
  assertEquals(parse('addr: ":9090"\ndbs:\n  - path: /data/db\n'), {
    options: {
      addr: { hostname: "::", port: 9090 },
      databases: [{ ...DATABASE_DEFAULTS, path: "/data/db" }],
      selfCheckBytes: 256_000,
      giveWay: true,
      limits: LIMIT_DEFAULTS,
    },
    log: { level: "info", format: "text" },
    notes: [],
    path: "live.yml",
  });
});

Deno.test("parseConfig() reads the guide's replica", async (t) => {
  const upstream = { url: "http://primary.internal:9090", path: "/data/db" };
  const selfCheckBytes = 256_000;
  const cases: [name: string, text: string, options: object][] = [
    ["as it stands", REPLICA, {
      databases: [{ ...DATABASE_DEFAULTS, path: "/data/db", upstream }],
    }],
    ["with addr", `addr: :0\n${REPLICA}`, {
      addr: { hostname: "::", port: 0 },
      databases: [{ ...DATABASE_DEFAULTS, path: "/data/db", upstream }],
    }],
    ["with upstream.path", `${REPLICA}      path: /x/../other\n`, {
      databases: [{
        ...DATABASE_DEFAULTS,
        path: "/data/db",
        upstream: { ...upstream, path: "/other" },
      }],
    }],
  ];
  for (const [name, text, options] of cases) {
    await t.step(name, () => {
      assertEquals<unknown>(parse(text).options, {
        limits: LIMIT_DEFAULTS,
        selfCheckBytes,
        giveWay: true,
        ...options,
      });
    });
  }
});

Deno.test("parseConfig() reads every key into its option", () => {
  const loaded = parse(`
addr: "127.0.0.1:9090"
auth:
  token: own-token
  status-token-file: ~/status
tls: { cert: /tls/c, key: k }
log-level: debug
log-format: json
self-check-rate: 1.5MB/s
copy-rate-limit: 10KB/s
give-way: false
limits:
  streams: 10
  requests: 20
  queued-memory: 32
  stall-timeout: 5s
dbs:
  - path: ~/one.db
    monitor-delay-interval: 10ms
    checkpoint-interval: 1m30s
    min-checkpoint-page-count: 2000
    max-checkpoint-page-count: 0
    shadow-retention-count: 32
    allow-network-filesystem: true
  - path: two.db
    owner: app
    group: 12
    mode: "0640"
    upstream: { url: "https://h/there", token: 0123, ca: /tls/../ca }
  - path: /three.db
    upstream: { url: "http://h", token-file: token }
`);
  assertEquals(loaded, {
    options: {
      addr: { hostname: "127.0.0.1", port: 9090 },
      token: "own-token",
      selfCheckBytes: 1_500_000,
      giveWay: false,
      statusTokenFile: "/users/ann/status",
      tls: { cert: "/tls/c", key: "/srv/app/k" },
      limits: {
        copyBytes: 10_000,
        ...{ streams: 10, requests: 20, queuedBytes: 32 * 1024 * 1024, stallMs: 5000 },
      },
      databases: [
        {
          path: "/users/ann/one.db",
          monitorDelayMs: 10,
          checkpointIntervalMs: 90_000,
          minCheckpointPageCount: 2000,
          maxCheckpointPageCount: 0,
          ownership: {},
          allowNetworkFilesystem: true,
        },
        {
          ...DATABASE_DEFAULTS,
          path: "/srv/app/two.db",
          ownership: { uid: 1001, gid: 12, mode: 0o640 },
          upstream: { url: "https://h", path: "/there", token: "0123", ca: "/ca" },
        },
        {
          ...DATABASE_DEFAULTS,
          path: "/three.db",
          upstream: { url: "http://h", path: "/three.db", tokenFile: "/srv/app/token" },
        },
      ],
    },
    log: { level: "debug", format: "json" },
    notes: [
      "live.yml:23:5: dbs[].shadow-retention-count: no effect: there is no shadow WAL",
    ],
    path: "live.yml",
  });
});

Deno.test("parseConfig() refuses owner, group and mode that make no sense", async (t) => {
  const cases: [name: string, line: string, sentence: RegExp][] = [
    ["an unknown user", "owner: nobody-here", /owner: names "nobody-here", whom this machine does/],
    ["a mode that is no mode", 'mode: "rw"', /mode: cannot be "rw"/],
    ["an owner who may not write", 'mode: "0440"', /mode: is "0440", but the owner must/],
  ];
  for (const [name, line, sentence] of cases) {
    const text = `dbs: [{path: /a, upstream: {url: "http://h"}, ${line}}]`;
    await t.step(name, () => assertMatch(complaint(() => parse(text)), sentence));
  }
  const primary = `addr: ":1"\ndbs: [{path: /a, owner: app}]`;
  assertMatch(
    complaint(() => parse(primary)),
    /owner: is of a replica's files, and this is a prim/,
  );
});

Deno.test("parseConfig() raises max-checkpoint-page-count to the least, where it is not given", () => {
  const most = (least: number): number =>
    parse(`addr: ":1"\ndbs: [{path: /a, min-checkpoint-page-count: ${least}}]`)
      .options.databases[0]!.maxCheckpointPageCount;
  const { maxCheckpointPageCount } = DATABASE_DEFAULTS;
  assertEquals([most(1), most(5 * maxCheckpointPageCount)], [
    maxCheckpointPageCount,
    5 * maxCheckpointPageCount,
  ]);
});

Deno.test("parseConfig() lets flags win over the file", () => {
  const flags = { addr: "[::1]:1", logLevel: "error", logFormat: "json" };
  const { options, log } = parse(`addr: ":2"\nlog-level: debug\n${REPLICA}`, flags);
  assertEquals(options.addr, { hostname: "::1", port: 1 });
  assertEquals(log, { level: "error", format: "json" });
  assertEquals(parse("dbs: [{path: /a}]", { addr: ":1" }).options.addr?.port, 1);
  assertMatch(complaint(() => parse(REPLICA, { addr: "1" })), /^-addr: is a port without a colon/);
  assertMatch(complaint(() => parse(REPLICA, { logLevel: "x" })), /^-log-level: cannot be "x"/);
});

Deno.test("parseConfig() names file, line, column and key of a mistake", async (t) => {
  const primary = (...lines: string[]): string =>
    ['addr: ":1"', "dbs:", "  - path: /a", ...lines.map((line) => `    ${line}`)].join("\n");
  const replica = (...lines: string[]): string =>
    primary("upstream:", "  url: http://h:1", ...lines.map((line) => `  ${line}`));
  const cases: [name: string, text: string, sentence: RegExp][] = [
    ["empty", "", /^live\.yml:1:1: is empty; write dbs:/],
    ["text", "hello", /^live\.yml:1:1: must be a map/],
    ["a list", "- path: /a", /^live\.yml:1:1: must be a map, not a list/],
    ["no dbs", 'addr: ":1"', /^live\.yml:1:1: dbs: is missing/],
    ["dbs without value", "dbs:", /^live\.yml:1:1: dbs: has no value; begin each .*"- path:"/],
    ["no database", "dbs: []", /^live\.yml:1:1: dbs: is an empty list; begin each/],
    [
      "dbs a map",
      "dbs:\n  path: /a",
      /^live\.yml:2:3: dbs: must be a list, not a map; .*"- path:"/,
    ],
    ["a path alone", "dbs:\n  - /a", /^live\.yml:2:5: dbs\[\]: must be a map.*- path:/],
    ["no path", "dbs:\n  - upstream: {url: a}", /^live\.yml:2:5: dbs\[\]\.path: is missing; add/],
    ["no addr", "dbs:\n  - path: /a", /^live\.yml:2:11: .*is a primary.*; add addr: ":9090"/],
    [
      "path twice",
      primary("").trimEnd() + "\n  - path: /b/../a",
      /^live\.yml:4:11: .* line 3 again/,
    ],
    ["a boolean path", "dbs: [{path: true}]", /^live\.yml:1:14: dbs\[\]\.path: cannot be true/],
    ["addr a number", "addr: 9090\ndbs: [{path: a}]", /^live\.yml:1:7: addr: .*write ":9090"$/],
    ["a key nobody knows", primary("upstrem: x"), /^live\.yml:4:5: dbs\[\]\.upstrem: .*upstream\?/],
    ["a key with a line break", '"a\\nb": 1', /^live\.yml:1:1: "a\\nb": is not a key/],
    ["upstream a URL", primary("upstream: http://h"), /^live\.yml:4:15: .*upstream: must be a map/],
    ["upstream empty", primary("upstream:"), /^live\.yml:4:5: dbs\[\]\.upstream: has no value/],
    ["upstream without URL", primary("upstream: {path: /a}"), /^live\.yml:4:15: .*url: is missing/],
    ["a relative path there", replica("path: a"), /^live\.yml:6:13: .*path: must be absolute/],
    ["token empty", replica('token: ""'), /^live\.yml:6:14: dbs\[\]\.upstream\.token: is empty/],
    ["auth empty", "auth: {}\ndbs: [{path: a}]", /^live\.yml:1:7: auth\.token: is missing/],
    [
      "two tokens",
      "auth:\n  token: a\n  token-file: /a\n" + replica(),
      /^live\.yml:3:15: auth\.token-file: says what token in line 2 says; remove one of the two$/,
    ],
    [
      "two status tokens",
      "auth: {token: a, status-token-file: /a,\n  status-token: b}\n" + replica(),
      /^live\.yml:1:37: auth\.status-token-file: says what status-token in line 2 says/,
    ],
    [
      "two upstream tokens",
      replica("token: a", "token-file: /a"),
      /^live\.yml:7:19: dbs\[\]\.upstream\.token-file: says what token in line 6 says/,
    ],
    [
      "a status token alone",
      "auth: {status-token: a}\n" + replica(),
      /^live\.yml:1:7: auth\.token: is missing; add token: .*, or token-file: and a path$/,
    ],
    [
      "a status token that is the token",
      "auth: {token: a, status-token: a}\n" + replica(),
      /^live\.yml:1:32: auth\.status-token: is the token; make another/,
    ],
    [
      "a token-file that is a root",
      "auth: {token-file: /}\n" + replica(),
      /the file of the token$/,
    ],
    ["tls without key", "tls: {cert: /c}\n" + replica(), /^live\.yml:1:6: tls\.key: is missing/],
    ["tls without value", "tls:\n" + replica(), /^live\.yml:1:1: tls: has no value; write cert: /],
    ["no verification", "tls: {cert: /c, key: /k, skip-verify: true}", /tls\.skip-verify: /],
    [
      "a CA for http",
      replica("ca: /ca"),
      /^live\.yml:6:11: dbs\[\]\.upstream\.ca: is for https, and url is http; write https/,
    ],
    [
      "auth.token empty",
      "auth: {token: ''}\n" + replica(),
      /^live\.yml:1:15: auth\.token: is empty/,
    ],
    ["a count", primary("min-checkpoint-page-count: 0"), /^live\.yml:4:32: .*at least 1, not 0/],
    ["a fraction", primary("min-checkpoint-page-count: 1.5"), /whole number/],
    ["a time", primary("checkpoint-interval: 10"), /^live\.yml:4:26: .*has no unit; write 10ms/],
    ["a shadow", primary("shadow-retention-count: x"), /^live\.yml:4:29: .*whole number/],
    [
      "max below min",
      primary("min-checkpoint-page-count: 500", "max-checkpoint-page-count: 499"),
      /^live\.yml:5:32: dbs\[\]\.max-checkpoint-page-count: is 499, less than .*500/,
    ],
    [
      "a level",
      "log-level: warning\n" + replica(),
      /^live\.yml:1:12: log-level: cannot be "warning"/,
    ],
  ];
  for (const [name, text, sentence] of cases) {
    await t.step(name, () => assertMatch(complaint(() => parse(text)), sentence));
  }
});

Deno.test("parseConfig() lets files be looked at, and says where they are named", () => {
  const text = `
auth: { token-file: /t, status-token-file: /s }
tls: { cert: /c, key: /k }
dbs: [{path: /a, upstream: {url: "https://h", token-file: /u, ca: /ca}}]
`;
  const seen: string[] = [];
  parse(text, { checkFile: (kind, path) => void seen.push(`${kind} ${path}`) });
  const all = ["ca /ca", "certificate /c", "key /k", "token /s", "token /t", "token /u"];
  assertEquals(seen.sort(), all);
  const checkFile = (_kind: string, path: string): void => {
    if (path === "/k") throw new LiveError("config", `"${path}" is bad; make it good`);
  };
  assertEquals(
    complaint(() => parse(text, { checkFile })),
    'live.yml:3:23: tls.key: "/k" is bad; make it good',
  );
});

Deno.test("parseConfig() takes a path of the URL as upstream.path", async (t) => {
  const text = (url: string, path: string): string =>
    `dbs:\n  - path: /own\n    upstream:\n      url: ${url}\n${path && `      path: ${path}\n`}`;
  const pathOf = (text: string): string | undefined =>
    parse(text).options.databases[0]!.upstream?.path;
  await t.step("URL only", () => assertEquals(pathOf(text("http://h:1/a", "")), "/a"));
  await t.step("both the same", () => assertEquals(pathOf(text("http://h:1/a", "/./a")), "/a"));
  await t.step("neither", () => assertEquals(pathOf(text("http://h:1/", "")), "/own"));
  await t.step("different", () => {
    assertMatch(
      complaint(() => parse(text("http://h:1/a", "/b"))),
      /^live\.yml:5:13: dbs\[\]\.upstream\.path: is not the path in url; remove one of the two$/,
    );
  });
});

Deno.test("findConfig() takes the flag, the variable, or the first file that exists", async (t) => {
  const env = (value?: string) => (name: string): string | undefined =>
    name === "LITESTREAM_CONFIG" ? value : undefined;
  const files = (...present: string[]) => (path: string): boolean => present.includes(path);
  const cases: [
    name: string,
    flag: string | undefined,
    variable: string | undefined,
    string[],
    want: string,
  ][] = [
    ["flag", "a.yml", "b.yml", ["./litestream.yml"], "a.yml"],
    ["variable", undefined, "b.yml", ["./litestream.yml"], "b.yml"],
    ["empty variable", undefined, "", ["./litestream.yml"], "./litestream.yml"],
    [
      "own name first",
      undefined,
      undefined,
      ["./litestream.yml", "./litestream-live.yml"],
      "./litestream-live.yml",
    ],
    [
      "here before /etc",
      undefined,
      undefined,
      ["/etc/litestream-live.yml", "./litestream.yml"],
      "./litestream.yml",
    ],
    [
      "/etc",
      undefined,
      undefined,
      ["/etc/litestream.yml", "/etc/litestream-live.yml"],
      "/etc/litestream-live.yml",
    ],
    ["last", undefined, undefined, ["/etc/litestream.yml"], "/etc/litestream.yml"],
  ];
  for (const [name, flag, variable, present, want] of cases) {
    await t.step(
      name,
      () => assertEquals(findConfig(flag, env(variable), files(...present)), want),
    );
  }
  await t.step("none: all places are named", () => {
    const sentence = complaint(() => findConfig(undefined, env(), files()));
    for (
      const place of [
        "-config",
        "$LITESTREAM_CONFIG",
        "./litestream-live.yml",
        "./litestream.yml",
        "/etc/litestream-live.yml",
        "/etc/litestream.yml",
      ]
    ) {
      assert(sentence.includes(place), place);
    }
  });
  await t.step(
    "empty flag",
    () => assertMatch(complaint(() => findConfig("", env(), files())), /^-config: is empty/),
  );
});

Deno.test("loadConfig() reads the file, and says why it cannot", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = `${directory}/live.yml`;
    Deno.writeTextFileSync(path, REPLICA);
    const load = (config: string): unknown => loadConfig({ config, expandEnv: true }, MACHINE);
    assertEquals(load(path), { ...parse(REPLICA), path });
    assertEquals(
      complaint(() => load(`${directory}/no.yml`)),
      `${directory}/no.yml: does not exist; write it, or name another`,
    );
    assertMatch(complaint(() => load(directory)), /: cannot be read, Is a directory/);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
