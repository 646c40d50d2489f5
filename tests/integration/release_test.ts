import { Buffer } from "node:buffer";
import config from "../../deno.json" with { type: "json" };
import { BUNDLE, compile, SOURCE_MAP } from "../../scripts/build.ts";
import { LIBRARY } from "../../scripts/build_sqlite.ts";
import { release, type ReleaseFile } from "../../scripts/release.ts";
import { tooNew } from "../../scripts/release/glibc.ts";
import { run, runOrFail } from "../../scripts/tools.ts";
import { inSources } from "../../src/cli/stack.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { EXECUTABLE } from "../support/node.ts";
import { assertInSync, assertUndisturbed, primaryOf, replicaOf } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";
import { minimalRoot, packageRoot } from "../support/system_root.ts";

const VERSION = config.version;
const ARCH = Deno.build.arch === "x86_64" ? "amd64" : "arm64";
const NAME = `litestream-live-${VERSION}-linux-${ARCH}`;
const DEB = `litestream-live_${VERSION}_${ARCH}.deb`;
const SECONDS = 1_700_000_000;

async function works(program: string, ...args: string[]): Promise<boolean> {
  return await run(program, args).then(({ code }) => code === 0, () => false);
}

const canEnter = await works("unshare", "-r", "-m", "chroot", "/", "true");
const hasDpkg = canEnter && await works("dpkg", "--version");
const hasDownload = await works("curl", "--version") || await works("wget", "--version");
/** systemd 250 and newer judge a unit that is not installed. */
const systemd = await run("systemd-analyze", ["--version"])
  .then(({ stdout }) => Number(stdout.match(/^systemd (\d+)/)?.[1] ?? 0), () => 0);

/** dist/release as it is published, compressed less; the tests of this file share it. */
const shared: { files?: Promise<ReleaseFile[]> } = {};
const OUT = await Deno.makeTempDir({ prefix: "litestream-live-release-" });
globalThis.addEventListener("unload", () => Deno.removeSync(OUT, { recursive: true }));

function released(): Promise<ReleaseFile[]> {
  return shared.files ??= release({ out: OUT, effort: "fast", seconds: SECONDS });
}

async function unpacked(scope: Scope): Promise<string> {
  await released();
  await runOrFail("unpack", "tar", ["-xzf", `${OUT}/${NAME}.tar.gz`, "-C", scope.folder]);
  return `${scope.folder}/${NAME}`;
}

scopedTest("a release is made of the same bytes each time", async (scope) => {
  const first = await released();
  const again = await release({ out: `${scope.folder}/out`, effort: "fast", seconds: SECONDS });
  assertEquals(again.map(({ name }) => name), first.map(({ name }) => name));
  for (const [nth, { name, bytes }] of again.entries()) {
    assert(indexOfDifference(bytes, first[nth]!.bytes) === undefined, `${name} is the same`);
  }
  await runOrFail("check the sums", "sha256sum", ["--check", "--strict", "SHA256SUMS"], {
    cwd: OUT,
  });
});

scopedTest("the executable is made of the same bytes each time", async (scope) => {
  await Deno.utime(BUNDLE, 1, 1);
  const path = `${scope.folder}/litestream-live`;
  await compile(path);
  const difference = indexOfDifference(await Deno.readFile(path), await Deno.readFile(EXECUTABLE));
  assertEquals(difference, undefined, "first byte that differs");
});

function indexOfDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  if (a.length !== b.length) return Math.min(a.length, b.length);
  const at = a.findIndex((byte, nth) => byte !== b[nth]);
  return at < 0 ? undefined : at;
}

/** What was bundled: the sources of the source map. */
async function bundledFiles(): Promise<string[]> {
  return (JSON.parse(await Deno.readTextFile(SOURCE_MAP)) as { sources: string[] }).sources;
}

scopedTest("the executable does not tell where it was built", async () => {
  const files = await bundledFiles();
  const known = /^(npm\/|\.\.\/(src|main\.ts|deno\.json)|[\w-]+:)/;
  assertEquals(files.filter((path) => !known.test(path)), []);
  for (const file of [BUNDLE, SOURCE_MAP]) {
    assertEquals((await Deno.readTextFile(file)).includes("/.cache/"), false, file);
  }
});

scopedTest("a bug's stack names the sources, by the map inside the executable", async () => {
  const map = await Deno.readTextFile(SOURCE_MAP);
  const executable = Buffer.from((await Deno.readFile(EXECUTABLE)).buffer);
  assert(executable.includes(map.slice(0, 1000)), "it is inside");
  assert(!(await Deno.readTextFile(BUNDLE)).includes("sourceMappingURL"), "and not read each time");
  const lines = (await Deno.readTextFile(BUNDLE)).split("\n");
  const line = lines.findIndex((text) => text.includes("it began anew before it was read"));
  const place = `/tmp/x/dist/main.js:${line + 1}:${lines[line]!.search(/\S/) + 1}`;
  const stack =
    `Error: what\n    at unexpected (file://${place})\n    at ${place}\n    at <anonymous>`;
  const found = inSources(stack, () => map).split("\n").map((text) => text.trim());
  assertEquals([found.at(0), found.at(-1)], ["Error: what", "at <anonymous>"]);
  assertMatch(found[1]!, /^at unexpected \(src\/node\/primary\.ts:\d+:\d+\)$/);
  assertMatch(found[2]!, /^at src\/node\/primary\.ts:\d+:\d+$/);
});

scopedTest("executable and library need no glibc after 2.27", async () => {
  for (const file of [EXECUTABLE, LIBRARY]) assertEquals(await tooNew(file), [], file);
});

scopedTest("the SBOM and the notices name every package in the executable", async (scope) => {
  const folder = await unpacked(scope);
  const bill: { components: { purl: string; hashes?: unknown; version: string }[] } = JSON.parse(
    await Deno.readTextFile(`${folder}/sbom.cdx.json`),
  );
  const notices = await Deno.readTextFile(`${folder}/THIRD-PARTY-NOTICES`);
  const named = bill.components.map(({ purl }) => purl);
  const packages = new Set((await bundledFiles()).flatMap((path) => {
    const [, name, version] = path.match(/^npm\/((?:@[^/]+\/)?[^/]+)\/(\d+\.[^/]+)\//) ?? [];
    return name === undefined ? [] : [`${name}@${version}`];
  }));
  assert(packages.size >= 6, `packages in the source map: ${[...packages]}`);
  for (const name of packages) {
    assert(named.includes(`pkg:npm/${name.replace(/^@/, "%40")}`), `the SBOM has ${name}`);
    assert(notices.includes(`\n${name.replace(/@(?=[^@]*$)/, " ")} (`), `the notices have ${name}`);
  }
  for (const name of ["sqlite", "xxhash", "deno", "v8"]) {
    assert(bill.components.some(({ purl }) => purl.includes(`/${name}@`)), `the SBOM has ${name}`);
    assertMatch(notices, new RegExp(`\n${name} [\\d.]+ \\(`));
  }
  assert(!named.some((purl) => purl.includes("fast-check")), "what only tests use is not inside");
});

scopedTest("the archive replicates on a system with glibc alone", async (scope) => {
  await released();
  const { wrapper, root } = await minimalRoot(scope, EXECUTABLE);
  await runOrFail("unpack", "tar", ["-xzf", `${OUT}/${NAME}.tar.gz`, "-C", root]);
  const executable = `/${NAME}/litestream-live`;
  const [program, ...args] = wrapper;
  const told = await runOrFail("run it", program!, [...args, executable, "version"]);
  assertEquals(told, `${VERSION}\n`);

  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const primary = scope.node("primary", primaryOf(source));
  const replica = scope.node("replica", replicaOf(copy, primary, source));
  for (const node of [primary, replica]) node.start({ wrapper, executable });
  const writer = await scope.app();
  await writer.startWriter({ path: source, count: 200 });
  assertUndisturbed(await writer.joinWriter());
  for (const node of [primary, replica]) await node.healthy();
  await assertInSync({ source, copy, primary, replica });
  await Promise.all([primary.stop(), replica.stop()]);
}, { ignore: !canEnter });

scopedTest(
  "the archive has the man page, and completions as the executable prints them",
  async (scope) => {
    const folder = await unpacked(scope);
    assertMatch(await Deno.readTextFile(`${folder}/litestream-live.1`), /^\.SH EXIT STATUS$/m);
    const files = {
      bash: "litestream-live.bash",
      zsh: "_litestream-live",
      fish: "litestream-live.fish",
    };
    for (const [shell, name] of Object.entries(files)) {
      const printed = await runOrFail("ask for it", EXECUTABLE, ["completion", shell]);
      assertEquals(await Deno.readTextFile(`${folder}/completions/${name}`), printed, shell);
    }
  },
);

scopedTest("the .deb is installed, upgraded, removed and purged", async (scope) => {
  await released();
  const { dpkg, root, systemctlCalls } = await packageRoot(scope);
  const edited = "# edited\n";
  const conf = `${root}/etc/litestream-live.yml`;
  const database = `${root}/data/db`;
  await Deno.mkdir(`${database}-live`, { recursive: true });
  await Deno.writeTextFile(database, "not ours");
  await Deno.writeTextFile(`${database}-live/state`, "ours, and kept");

  await dpkg("--install", `${OUT}/${DEB}`);
  assertEquals(await systemctlCalls(), ["--system daemon-reload"], "nothing is started");
  const installed = await Deno.readFile(`${root}/usr/bin/litestream-live`);
  assertEquals(indexOfDifference(installed, await Deno.readFile(EXECUTABLE)), undefined);
  assertEquals(await dpkg("--verify", "litestream-live"), "");
  const unit = await Deno.readTextFile(`${root}/usr/lib/systemd/system/litestream-live.service`);
  assertMatch(unit, /^ExecStart=\/usr\/bin\/litestream-live replicate/m);

  const share = `${root}/usr/share`;
  assertMatch(
    await runOrFail("read it", "gzip", ["-dc", `${share}/man/man1/litestream-live.1.gz`]),
    new RegExp(`^\\.TH LITESTREAM-LIVE 1 "2023-11-14" "litestream-live ${VERSION}"$`, "m"),
  );
  const completion = `${share}/bash-completion/completions/litestream-live`;
  assertEquals(
    await Deno.readTextFile(completion),
    await runOrFail("ask for it", EXECUTABLE, ["completion", "bash"]),
  );

  await Deno.writeTextFile(conf, edited);
  await dpkg("--install", `${OUT}/${DEB}`);
  assertEquals(await systemctlCalls(), [
    "--system daemon-reload",
    "--system daemon-reload",
    "try-restart litestream-live.service",
  ]);
  assertEquals(await Deno.readTextFile(conf), edited, "an upgrade keeps the config");

  await dpkg("--remove", "litestream-live");
  assertEquals((await systemctlCalls()).slice(3), [
    "disable --now litestream-live.service",
    "--system daemon-reload",
  ]);
  assertEquals(await works("test", "-e", `${root}/usr/bin/litestream-live`), false);
  assertEquals(await Deno.readTextFile(conf), edited, "removing keeps the config");
  await dpkg("--purge", "litestream-live");
  assertEquals(await works("test", "-e", conf), false);
  assertEquals(await Deno.readTextFile(`${database}-live/state`), "ours, and kept");
  assertEquals(await Deno.readTextFile(database), "not ours");
}, { ignore: !hasDpkg });

scopedTest("install.sh installs what has its checksum and nothing else", async (scope, t) => {
  const files = new Map((await released()).map(({ name, bytes }) => [name, bytes]));
  const served = new Map(files);
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => {
      const bytes = served.get(new URL(request.url).pathname.slice("/v1/".length));
      return new Response(bytes as Uint8Array<ArrayBuffer> | undefined ?? null, {
        status: bytes === undefined ? 404 : 200,
      });
    },
  );
  const bin = `${scope.folder}/bin`;
  const install = async (url: string): Promise<{ code: number; said: string }> => {
    const env = { HOME: scope.folder, TMPDIR: scope.folder, NO_PROXY: "*", no_proxy: "*" };
    const { code, stdout, stderr } = await run("sh", [`${OUT}/install.sh`], {
      env: { ...env, LITESTREAM_LIVE_DIR: bin, LITESTREAM_LIVE_URL: url },
    });
    return { code, said: stdout + stderr };
  };
  const url = `http://127.0.0.1:${server.addr.port}/v1`;
  const archive = `${NAME}.tar.gz`;
  const cut = files.get(archive)!.subarray(0, 1_000_000);
  const sums = new TextDecoder().decode(files.get("SHA256SUMS"));
  const encoder = new TextEncoder();

  const bad: [name: string, from: string, change: () => void, sentence: RegExp][] = [
    ["no address", "", () => {}, /set LITESTREAM_LIVE_URL/],
    ["no such place", `${url}/none`, () => {}, /cannot download .*\/none\/SHA256SUMS/],
    ["an archive that is cut", url, () => served.set(archive, cut), /has the checksum/],
    [
      "a list without it",
      url,
      () => served.set("SHA256SUMS", encoder.encode(sums.replaceAll(archive, "other.tar.gz"))),
      /SHA256SUMS has no litestream-live/,
    ],
  ];
  for (const [name, from, change, sentence] of bad) {
    await t.step(name, async () => {
      change();
      const { code, said } = await install(from);
      assertEquals(code, 1, said);
      assertMatch(said, sentence);
      assertEquals(await works("test", "-e", bin), false, "nothing is installed");
      for (const [file, bytes] of files) served.set(file, bytes);
    });
  }
  await t.step("all well, over an older one", async () => {
    for (let times = 0; times < 2; times++) {
      const { code, said } = await install(url);
      assertEquals(code, 0, said);
      assertMatch(said, /litestream-live [\d.]+ is installed: .*\n.* is not in PATH/);
      assertEquals(
        await runOrFail("run it", `${bin}/litestream-live`, ["version"]),
        `${VERSION}\n`,
      );
    }
    const left = await runOrFail("list", "find", [scope.folder, "-mindepth", "1"]);
    assertEquals(left, `${bin}\n${bin}/litestream-live\n`, "nothing else is left");
  });
}, { ignore: !hasDownload });

scopedTest("systemd reads the unit and finds it hardened", async (scope) => {
  const folder = await unpacked(scope);
  const path = `${scope.folder}/litestream-live.service`;
  const unit = await Deno.readTextFile(`${folder}/litestream-live.service`);
  await Deno.writeTextFile(path, unit.replaceAll("/usr/local/bin", folder));
  const verified = await run("systemd-analyze", ["verify", "--man=no", path]);
  assertEquals([verified.code, verified.stderr], [0, ""]);
  // Tenths of what it calls exposure, 0 to 100: it has the network, and processes can be named.
  const judge = ["security", "--offline=true", "--no-pager", "--threshold=20", path];
  const { code, stdout } = await run("systemd-analyze", judge);
  assertEquals(code, 0, stdout);
}, { ignore: systemd < 250 });

scopedTest("what the Dockerfile copies is in the archive", async (scope) => {
  const folder = await unpacked(scope);
  const text = (await Deno.readTextFile(`${OUT}/Dockerfile`)).replaceAll(/\\\n\s*/g, "");
  const copied = [
    ...text.matchAll(/\/litestream-live-\$\{VERSION\}-linux-\$\{TARGETARCH\}\/(\S+)/g),
  ];
  assertEquals(copied.map(([, path]) => path), [
    "litestream-live",
    "LICENSE",
    "THIRD-PARTY-NOTICES",
  ]);
  for (const [, path] of copied) assert((await Deno.stat(`${folder}/${path}`)).isFile, path);
});
