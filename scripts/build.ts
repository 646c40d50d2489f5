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
/** Beside it, not inside: V8 would keep the text, and read it for each error. */
export const SOURCE_MAP = `${BUNDLE}.map`;
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
  const bundle = ["bundle", "--quiet", "--sourcemap=external", "-o", BUNDLE, ENTRY];
  await runOrFail(`bundle ${ENTRY}`, Deno.execPath(), bundle);
  await Deno.writeTextFile(BUNDLE, inAscii(withoutCachePaths(await Deno.readTextFile(BUNDLE))));
  const map: { sources: string[]; sourcesContent?: unknown } = JSON.parse(
    await Deno.readTextFile(SOURCE_MAP),
  );
  const { sourcesContent: _, ...places } = map; // stack traces need no text
  const sources = map.sources.map(withoutCachePaths);
  await Deno.writeTextFile(SOURCE_MAP, `${JSON.stringify({ ...places, sources })}\n`);
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

/**
 * A path in the bundle or its source map, or all of the bundle, with packages called
 * "npm/NAME/VERSION/FILE". It has where this machine's cache is, and another would make other bytes.
 */
function withoutCachePaths(text: string): string {
  return text.replaceAll(/(?:\.\.\/)+(?:[^"'\s]*\/)?npm\/[^/"'\s]+\.[^/"'\s]+\//g, "npm/");
}

/** Other characters, which are left in comments and patterns only, as escapes: V8 copies no ASCII text. */
function inAscii(bundle: string): string {
  return bundle.replaceAll(/[\u0080-\uffff]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** Bundle and library -> an executable at `path`, the same bytes each time. */
export async function compile(path: string): Promise<void> {
  // Their times become part of the executable.
  for (const file of [LIBRARY, BUNDLE, SOURCE_MAP]) await Deno.utime(file, 0, 0);
  const inside = ["--include", LIBRARY, "--include", SOURCE_MAP];
  const args = ["--quiet", ...COMPILE_FLAGS, ...inside, "-o", path, BUNDLE];
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
