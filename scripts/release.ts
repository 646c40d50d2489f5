/**
 * Makes what is published, in dist/release: `release.ts [--fast] [--out DIR] [--base-url URL]`.
 *
 *     litestream-live-VERSION-linux-ARCH.tar.gz   executable, man page, completions, docs, unit, SBOM
 *     litestream-live_VERSION_ARCH.deb
 *     litestream-live-VERSION-linux-ARCH.cdx.json SBOM
 *     install.sh, Dockerfile, SHA256SUMS
 *
 * For the architecture it runs on. The same commit gives the same bytes: every time is
 * $SOURCE_DATE_EPOCH, else that of the commit. --base-url is what install.sh downloads from.
 * May import: scripts/tools, scripts/build, scripts/release/*.
 * @module
 */
import config from "../deno.json" with { type: "json" };
import { createHash } from "node:crypto";
import { build, EXECUTABLE } from "./build.ts";
import { LIBRARY } from "./build_sqlite.ts";
import { type Entry, tar } from "./release/archive.ts";
import { notices, sbom } from "./release/bill.ts";
import { type Effort, gzip } from "./release/compress.ts";
import { type Architecture, debianPackage, debianVersion } from "./release/deb.ts";
import { MOST_GLIBC, tooNew } from "./release/glibc.ts";
import { completionEntries, manualPage } from "./release/manual.ts";
import { components } from "./release/packages.ts";
import { print, ROOT, run, runScript, ScriptError } from "./tools.ts";

export interface ReleaseOptions {
  readonly out: string;
  readonly effort: Effort;
  readonly seconds: number;
  /** Where install.sh downloads from; without it the user has to say so. */
  readonly baseUrl?: string;
  /** Default: that of deno.json. */
  readonly version?: string;
}

export interface ReleaseFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const CONFIG = "etc/litestream-live.yml";
const UNIT = "litestream-live.service";
const MANUAL = "litestream-live.1";

/** By name alone, whatever folders they were in. The name for bash says what it is for. */
function inFolder(folder: string, entries: readonly Entry[]): Entry[] {
  return entries.map((entry) => {
    const name = entry.path.slice(entry.path.lastIndexOf("/") + 1);
    const suffix = entry.path.startsWith("bash") ? ".bash" : "";
    return { ...entry, path: `${folder}/${name}${suffix}` };
  });
}

/** Builds everything and writes it to `out`; returns what it wrote, SHA256SUMS last. */
export async function release(options: ReleaseOptions): Promise<ReleaseFile[]> {
  const { out, effort, seconds, version = config.version } = options;
  const architecture = architectureHere();
  await build();
  for (const file of [EXECUTABLE, LIBRARY]) {
    const symbols = await tooNew(file);
    if (symbols.length > 0) {
      throw new ScriptError(`"${file}" needs a glibc after ${MOST_GLIBC}: ${symbols.join(", ")}`);
    }
  }
  const executable = await Deno.readFile(EXECUTABLE);
  const parts = await components();
  const bill = sbom(parts, { version, seconds, sha256: hashOf(executable) });
  const docs = await documents(bill, notices(parts));

  const manual = encode(manualPage(version, seconds));

  const name = `litestream-live-${version}-linux-${architecture}`;
  const unit = await source(`examples/${UNIT}`);
  const archive = tar(
    [
      { path: "litestream-live", bytes: executable, mode: 0o755 },
      { path: UNIT, bytes: unit, mode: 0o644 },
      { path: MANUAL, bytes: manual, mode: 0o644 },
      ...inFolder("completions", completionEntries()),
      ...docs,
    ].map((entry) => ({ ...entry, path: `${name}/${entry.path}` })),
    seconds,
  );

  const files: ReleaseFile[] = [
    { name: `${name}.tar.gz`, bytes: await gzip(archive, effort) },
    {
      name: `litestream-live_${debianVersion(version)}_${architecture}.deb`,
      bytes: await debianPackage({
        version,
        architecture,
        seconds,
        effort,
        files: [
          ...await installedFiles(executable, unit, docs),
          {
            path: `usr/share/man/man1/${MANUAL}.gz`,
            bytes: await gzip(manual, "best"), // as Debian wants it; no name, no time
            mode: 0o644,
          },
          ...completionEntries().map((entry) => ({ ...entry, path: `usr/share/${entry.path}` })),
        ],
        conffiles: [`/${CONFIG}`],
        scripts: await maintainerScripts(),
      }),
    },
    { name: `${name}.cdx.json`, bytes: encode(bill) },
    { name: "install.sh", bytes: await installScript(version, options.baseUrl) },
    { name: "Dockerfile", bytes: await source("scripts/release/Dockerfile") },
  ];
  const sums = files.map(({ name, bytes }) => `${hashOf(bytes)}  ${name}\n`).join("");
  files.push({ name: "SHA256SUMS", bytes: encode(sums) });

  await Deno.mkdir(out, { recursive: true });
  for (const { name, bytes } of files) await Deno.writeFile(`${out}/${name}`, bytes);
  return files;
}

function architectureHere(): Architecture {
  const { os, arch } = Deno.build;
  if (os !== "linux") {
    throw new ScriptError(`Cannot release for ${os}: litestream-live runs on Linux only so far`);
  }
  return arch === "x86_64" ? "amd64" : "arm64";
}

const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function source(path: string): Promise<Uint8Array<ArrayBuffer>> {
  return await Deno.readFile(`${ROOT}${path}`);
}

/**
 * At the same paths as in the repository, so that links hold: at the top of the archive, and in
 * /usr/share/doc/litestream-live of the .deb.
 */
async function documents(bill: string, thirdParty: string): Promise<Entry[]> {
  const copied = [
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "docs/ARCHITECTURE.md",
    "docs/OPERATING.md",
    "docs/PROTOCOL.md",
    "docs/alerts.yml",
    "docs/grafana.json",
    "examples/primary.yml",
    "examples/replica.yml",
  ];
  const read = copied.map(async (path): Promise<Entry> => {
    return { path, bytes: await source(path), mode: 0o644 };
  });
  return [
    ...await Promise.all(read),
    { path: "THIRD-PARTY-NOTICES", bytes: encode(thirdParty), mode: 0o644 },
    { path: "sbom.cdx.json", bytes: encode(bill), mode: 0o644 },
  ];
}

async function installedFiles(
  executable: Uint8Array,
  unit: Uint8Array,
  docs: readonly Entry[],
): Promise<Entry[]> {
  const text = new TextDecoder().decode(unit);
  return [
    { path: "usr/bin/litestream-live", bytes: executable, mode: 0o755 },
    {
      path: CONFIG,
      bytes: await source("scripts/release/debian/litestream-live.yml"),
      mode: 0o644,
    },
    {
      path: `usr/lib/systemd/system/${UNIT}`,
      bytes: encode(text.replaceAll("/usr/local/bin/", "/usr/bin/")),
      mode: 0o644,
    },
    ...docs.map(({ path, ...rest }) => ({
      path: `usr/share/doc/litestream-live/${path === "LICENSE" ? "copyright" : path}`,
      ...rest,
    })),
  ];
}

async function maintainerScripts(): Promise<Map<string, string>> {
  const scripts = new Map<string, string>();
  for (const name of ["postinst", "postrm", "prerm"]) {
    scripts.set(name, new TextDecoder().decode(await source(`scripts/release/debian/${name}`)));
  }
  return scripts;
}

async function installScript(version: string, baseUrl = ""): Promise<Uint8Array> {
  if (!/^[\w.:/%+~-]*$/.test(baseUrl)) throw new ScriptError(`Cannot use --base-url "${baseUrl}"`);
  const text = new TextDecoder().decode(await source("scripts/release/install.sh"));
  return encode(text.replace("@VERSION@", version).replace("@BASE_URL@", baseUrl));
}

/** $SOURCE_DATE_EPOCH, else the time of the commit. @throws {ScriptError} */
async function releaseSeconds(): Promise<number> {
  const told = Deno.env.get("SOURCE_DATE_EPOCH");
  const text = told ?? (await run("git", ["log", "-1", "--format=%ct"])).stdout.trim();
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new ScriptError(
    told === undefined
      ? "Cannot tell the time of the commit: set SOURCE_DATE_EPOCH to seconds since 1970"
      : `SOURCE_DATE_EPOCH is "${told}"; it must be seconds since 1970`,
  );
}

/** @throws {ScriptError} for what it does not know. */
export function parseArguments(
  args: readonly string[],
): { out: string; effort: Effort; baseUrl?: string } {
  let out = `${ROOT}dist/release`;
  let effort: Effort = "best";
  let baseUrl: string | undefined;
  for (let at = 0; at < args.length; at++) {
    const value = args[at + 1];
    if (args[at] === "--fast") effort = "fast";
    else if (args[at] === "--out" && value !== undefined) out = args[++at]!;
    else if (args[at] === "--base-url" && value !== undefined) baseUrl = args[++at]!;
    else {
      throw new ScriptError(
        `Cannot use "${args[at]}": say --fast, --out DIR or --base-url URL`,
      );
    }
  }
  return { out, effort, ...baseUrl === undefined ? {} : { baseUrl } };
}

if (import.meta.main) {
  await runScript(async () => {
    const options = parseArguments(Deno.args);
    const files = await release({ ...options, seconds: await releaseSeconds() });
    for (const { name, bytes } of files) {
      const folder = options.out.startsWith(ROOT) ? options.out.slice(ROOT.length) : options.out;
      print(`${(bytes.length / 1e6).toFixed(2).padStart(6)} MB  ${folder}/${name}`);
    }
    return 0;
  });
}
