import { ar, type Entry, tar } from "../../../scripts/release/archive.ts";
import { notices, sbom } from "../../../scripts/release/bill.ts";
import { gzip, xz } from "../../../scripts/release/compress.ts";
import { debianVersion } from "../../../scripts/release/deb.ts";
import { neededVersions, newerThan } from "../../../scripts/release/glibc.ts";
import type { Component } from "../../../scripts/release/packages.ts";
import { parseArguments } from "../../../scripts/release.ts";
import { ROOT, run, runOrFail } from "../../../scripts/tools.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const file = (path: string, content: string, mode = 0o644): Entry => ({
  path,
  bytes: text(content),
  mode,
});

const FILES = [
  file("x/b", "b".repeat(512)),
  file("x/a", "one", 0o755),
  file("x/y/z", ""),
  file("c", "d".repeat(513)),
];

/** Runs a program with `bytes` in a file; what it prints. */
async function read(bytes: Uint8Array, program: string, ...args: string[]): Promise<string> {
  const path = await Deno.makeTempFile({ prefix: "litestream-live-" });
  try {
    await Deno.writeFile(path, bytes);
    return await runOrFail(program, program, [...args, path]);
  } finally {
    await Deno.remove(path);
  }
}

async function works(program: string, ...args: string[]): Promise<boolean> {
  return await run(program, args).then(({ code }) => code === 0, () => false);
}

Deno.test("tar() is read by tar, and does not depend on the order of the files", async () => {
  const bytes = tar(FILES, 86_400);
  const listed = await read(bytes, "env", "TZ=UTC", "tar", "--numeric-owner", "-tvf");
  const lines = listed.trimEnd().split("\n").map((line) => line.split(/\s+/));
  assertEquals(lines.map(([mode, owner, , , , path]) => [mode, owner, path].join(" ")), [
    "-rw-r--r-- 0/0 c",
    "drwxr-xr-x 0/0 x/",
    "-rwxr-xr-x 0/0 x/a",
    "-rw-r--r-- 0/0 x/b",
    "drwxr-xr-x 0/0 x/y/",
    "-rw-r--r-- 0/0 x/y/z",
  ]);
  assertEquals(new Set(lines.map(([, , , day]) => day)), new Set(["1970-01-02"]));
  assertEquals(await read(bytes, "tar", "-xOf"), `${"d".repeat(513)}one${"b".repeat(512)}`);
  assertEquals(tar([...FILES].reverse(), 86_400), bytes);
});

Deno.test("tar() refuses a name that is too long or there twice", () => {
  assertThrows(() => tar([file("x".repeat(101), "")], 0), /longer than 100 bytes/);
  assertThrows(() => tar([...FILES, file("c", "")], 0), /Cannot pack "c" twice/);
});

const hasAr = await works("ar", "--version");
const hasXz = await works("xz", "--version");

Deno.test({
  name: "ar() is read by ar",
  ignore: !hasAr,
  async fn() {
    const bytes = ar([
      { path: "odd", bytes: text("abc") },
      { path: "even", bytes: text("wxyz") },
    ], 0);
    assertEquals(new TextDecoder().decode(bytes.subarray(0, 8)), "!<arch>\n");
    assertEquals(await read(bytes, "ar", "p"), "abcwxyz");
  },
});

const PACKERS = [["gzip", (bytes: Uint8Array) => gzip(bytes, "best"), false], [
  "xz",
  xz,
  !hasXz,
]] as const;
for (const [program, pack, ignore] of PACKERS) {
  Deno.test({
    name: `${program}() gives the same bytes each time, and ${program} reads them`,
    ignore,
    async fn() {
      const bytes = tar(FILES, 0);
      const packed = await pack(bytes);
      assertEquals(await pack(bytes), packed);
      const unpacked = await read(packed, "sh", "-c", `${program} -dc < "$0"`);
      assertEquals(unpacked, new TextDecoder().decode(bytes));
    },
  });
}

Deno.test("newerThan() compares as numbers, and a private version is too new", () => {
  const names = ["GLIBC_2.2.5", "GLIBC_2.9", "GLIBC_2.27", "GLIBC_2.28", "GLIBC_2.100", "GCC_3.0"];
  assertEquals(newerThan("2.27", [...names, "GLIBC_PRIVATE"]), [
    "GLIBC_2.28",
    "GLIBC_2.100",
    "GLIBC_PRIVATE",
  ]);
});

Deno.test("neededVersions() reads what is needed and not what is defined", () => {
  const printed = `Version definition section '.gnu.version_d' contains 1 entry:
  000000: Rev: 1  Flags: BASE  Index: 1  Cnt: 1  Name: GLIBC_2.99

Version needs section '.gnu.version_r' contains 1 entry:
  000000: Version: 1  File: libc.so.6  Cnt: 2
  0x0010:   Name: GLIBC_2.14  Flags: none  Version: 3
  0x0020:   Name: GLIBC_2.2.5  Flags: none  Version: 2
`;
  assertEquals(neededVersions(printed), ["GLIBC_2.14", "GLIBC_2.2.5"]);
});

Deno.test("a pre-release is older than its release to dpkg", () => {
  assertEquals(debianVersion("1.2.3"), "1.2.3");
  assertEquals(debianVersion("1.2.3-rc.1"), "1.2.3~rc.1");
});

Deno.test("parseArguments() of a release refuses what it does not know", () => {
  assertEquals(parseArguments(["--fast", "--out", "/x", "--base-url", "http://h/v1"]), {
    out: "/x",
    effort: "fast",
    baseUrl: "http://h/v1",
  });
  assertThrows(() => parseArguments(["--out"]), /say --fast, --out DIR or --base-url URL/);
});

const PARTS: readonly Component[] = [
  {
    name: "@a/b",
    version: "1.0.0",
    purl: "pkg:npm/%40a/b@1.0.0",
    license: "MIT",
    licenseText: "text of a/b\n",
    sha512: "00ff",
  },
  {
    name: "deno",
    version: "2.7.14",
    purl: "pkg:github/denoland/deno@v2.7.14",
    license: "MIT",
    licenseText: "text of deno\n",
  },
];

Deno.test("sbom() says what is in it, of what bytes, and what it does not list", () => {
  const options = { version: "1.2.3", seconds: 0, sha256: "ab".repeat(32) };
  const bill = JSON.parse(sbom(PARTS, options));
  assertEquals(bill.metadata.timestamp, "1970-01-01T00:00:00.000Z");
  assertEquals(bill.metadata.component.hashes, [{ alg: "SHA-256", content: options.sha256 }]);
  assertEquals(bill.components[0].group, "@a");
  assertEquals(bill.components[0].name, "b");
  assertEquals(bill.components[0].hashes, [{ alg: "SHA-512", content: "00ff" }]);
  assertEquals(bill.compositions[0].assemblies, ["pkg:github/denoland/deno@v2.7.14"]);
  assert(/^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(bill.serialNumber));
  assertEquals(sbom(PARTS, options), sbom(PARTS, options));
});

Deno.test("notices() has every license", () => {
  const all = notices(PARTS);
  for (const { name, version, licenseText } of PARTS) {
    assert(all.includes(`\n${name} ${version} (MIT)\n`) && all.includes(licenseText), name);
  }
});

Deno.test("the shell scripts of a release are read by sh", async () => {
  for (const name of ["install.sh", "debian/postinst", "debian/prerm", "debian/postrm"]) {
    await runOrFail(`read ${name}`, "sh", ["-n", `${ROOT}scripts/release/${name}`]);
  }
});
