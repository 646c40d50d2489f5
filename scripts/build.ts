/**
 * Builds dist/litestream-live, one executable with SQLite inside. Skips what is up to date.
 *
 *     src, main.ts -> deno bundle -> dist/main.js -> deno compile + dist/libsqlite3.so -> executable
 *
 * Bundled first, because compile alone embeds every package of deno.json and overflows its stack on
 * npm's. Without --no-code-cache the executable would write a file into the temporary directory.
 * May import: scripts/tools, scripts/build_sqlite.
 * @module
 */
import { buildSqlite, LIBRARY } from "./build_sqlite.ts";
import {
  exists,
  filesBelow,
  print,
  readIfThere,
  ROOT,
  runOrFail,
  runScript,
  ScriptError,
  sha256,
} from "./tools.ts";

export const EXECUTABLE = `${ROOT}dist/litestream-live`;
export const BUNDLE = `${ROOT}dist/main.js`;
const STAMP = `${ROOT}dist/litestream-live.stamp`;
const ENTRY = "main.ts";

const COMPILE_FLAGS = [
  "-A",
  "--no-check",
  "--no-config",
  "--no-code-cache",
  // What lives for one answer is collected sooner: a third less memory under load, as fast as before.
  "--v8-flags=--max-semi-space-size=1",
] as const;

/** The runtime that `deno compile` embeds, where one lies beside the checkout: saves its download. */
const LOCAL_RUNTIME = { path: `${ROOT}../shared/denort/denort`, denoVersion: "2.7.14" } as const;

/** Makes sure that library and executable are up to date; true if the executable was built. */
export async function build(): Promise<boolean> {
  await buildSqlite();
  if (!(await exists(`${ROOT}${ENTRY}`))) throw new ScriptError(`Cannot build: no ${ENTRY} here`);
  const stamp = `${await inputs()}\n`;
  if ((await exists(EXECUTABLE)) && (await readIfThere(STAMP)) === stamp) return false;

  print("building dist/litestream-live");
  const bundle = ["bundle", "--quiet", "--sourcemap=inline", "-o", BUNDLE, ENTRY];
  await runOrFail(`bundle ${ENTRY}`, Deno.execPath(), bundle);
  await Deno.writeTextFile(BUNDLE, withoutCachePaths(await Deno.readTextFile(BUNDLE)));
  // Built elsewhere and moved: nodes of running tests keep the executable they were started from.
  const work = await Deno.makeTempDir({ dir: `${ROOT}dist`, prefix: "compile-" });
  try {
    const fresh = `${work}/litestream-live`;
    await compile(fresh);
    await Deno.rename(fresh, EXECUTABLE);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  await Deno.writeTextFile(STAMP, stamp);
  return true;
}

const SOURCE_MAP = /(\n\/\/# sourceMappingURL=data:application\/json;base64,)([\w+/=]+)\s*$/;

/**
 * The bundle, with packages called "npm/NAME/VERSION/FILE" in it and in its source map. It has where
 * this machine's cache is, seen from here, and another machine would make other bytes.
 */
export function withoutCachePaths(bundle: string): string {
  const shorten = (text: string): string =>
    text.replaceAll(/(?:\.\.\/)+(?:[^"'\s]*\/)?npm\/[^/"'\s]+\.[^/"'\s]+\//g, "npm/");
  const [, start, base64] = bundle.match(SOURCE_MAP) ?? [];
  if (start === undefined || base64 === undefined) {
    throw new ScriptError("No source map in the bundle");
  }
  const map: { sources: string[]; sourcesContent?: unknown } = JSON.parse(
    new TextDecoder().decode(Uint8Array.fromBase64(base64)),
  );
  // Stack traces need no text, and the text of the bundle stays in memory.
  const { sourcesContent: _, ...places } = map;
  const short = { ...places, sources: map.sources.map(shorten) };
  const encoded = new TextEncoder().encode(JSON.stringify(short)).toBase64();
  return `${shorten(bundle.replace(SOURCE_MAP, ""))}${start}${encoded}\n`;
}

/** Bundle and library -> an executable at `path`, the same bytes each time. */
export async function compile(path: string): Promise<void> {
  // Their times become part of the executable.
  for (const file of [LIBRARY, BUNDLE]) await Deno.utime(file, 0, 0);
  const args = ["--quiet", ...COMPILE_FLAGS, "--include", LIBRARY, "-o", path, BUNDLE];
  await runOrFail("compile the executable", Deno.execPath(), ["compile", ...args], {
    env: await runtime(),
  });
}

/** Changes whenever the executable would. */
async function inputs(): Promise<string> {
  const files = [ENTRY, "deno.json", "deno.lock", "scripts/build.ts", ...await filesBelow("src")];
  const parts: (string | Uint8Array)[] = [Deno.version.deno, await Deno.readFile(LIBRARY)];
  for (const file of files) {
    parts.push(file, await readIfThere(`${ROOT}${file}`) ?? "");
  }
  return sha256(...parts);
}

async function runtime(): Promise<Record<string, string>> {
  if (Deno.env.get("DENORT_BIN") !== undefined) return {};
  const { os, arch } = Deno.build;
  const fits = Deno.version.deno === LOCAL_RUNTIME.denoVersion && os === "linux" &&
    arch === "x86_64";
  return fits && await exists(LOCAL_RUNTIME.path) ? { DENORT_BIN: LOCAL_RUNTIME.path } : {};
}

if (import.meta.main) {
  await runScript(async () => {
    const built = await build();
    const { size } = await Deno.stat(EXECUTABLE);
    const megabytes = Math.round(size / 1_000_000);
    print(`dist/litestream-live ${built ? "built" : "is up to date"} (${megabytes} MB)`);
    return 0;
  });
}
