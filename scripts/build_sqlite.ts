/**
 * Builds dist/libsqlite3.so: SQLite's amalgamation out of an npm package, and src/sqlite/live.c,
 * compiled as one unit. Forty seconds once, then nothing: a stamp beside the library says what it
 * was made of. May import: scripts/tools.
 * @module
 */
import {
  exists,
  print,
  readIfThere,
  ROOT,
  run,
  runOrFail,
  runScript,
  ScriptError,
  sha256,
} from "./tools.ts";

/** The package is a carrier: no install script of it runs. 13.2.0 has SQLite 3.54.1. */
export const SQLITE_PACKAGE = "better-sqlite3@13.2.0";
const LIVE_C = `${ROOT}src/sqlite/live.c`;
/** Symbol versions that an older glibc has, too. */
const GLIBC_H = `${ROOT}scripts/glibc.h`;
/** What live.c includes of ours. */
const INCLUDED = [`${ROOT}src/sqlite/watch.c`, `${ROOT}src/sqlite/priority.c`] as const;
const CACHE = `${ROOT}dist/cache`;
export const LIBRARY = `${ROOT}dist/libsqlite3.so`;
const STAMP = `${ROOT}dist/libsqlite3.stamp`;

const FLAGS = [
  "-O2",
  "-shared",
  "-fPIC",
  "-fvisibility=hidden",
  `-DSQLITE_API=__attribute__((visibility("default")))`,
  "-DSQLITE_THREADSAFE=1",
  "-DUSE_PREAD=1",
  "-DSQLITE_DQS=0",
  "-DSQLITE_DEFAULT_MEMSTATUS=0",
  // Of two connections a database that read hardly anything: 0.2 MB for each database otherwise.
  "-DSQLITE_DEFAULT_LOOKASIDE=0,0",
  "-DSQLITE_DEFAULT_PCACHE_INITSZ=0",
  "-DSQLITE_ENABLE_DBSTAT_VTAB",
  "-DSQLITE_OMIT_LOAD_EXTENSION",
] as const;
const LIBRARIES = ["-lpthread", "-lm"] as const;

const NO_CC = "Cannot build SQLite: no C compiler (cc) on PATH; install gcc or clang";
const NO_NPM = "Cannot get SQLite's source: no npm on PATH; install Node.js with npm";
const NO_TAR = "Cannot unpack SQLite's source: no tar on PATH";

/** Makes sure that the library is there and up to date; true if it had to be built. */
export async function buildSqlite(): Promise<boolean> {
  const key = await inputs();
  const stamp = await readIfThere(STAMP);
  if (stamp !== undefined && (await exists(LIBRARY)) && stamp === await stampOf(key)) return false;

  const source = await amalgamation();
  print("building dist/libsqlite3.so (about 40 s, once)");
  const fresh = `${LIBRARY}.${Deno.pid}`;
  try {
    const args = [
      ...FLAGS,
      ...Deno.build.os === "linux" ? ["-include", GLIBC_H] : [],
      `-I${source}`,
      "-o",
      fresh,
      LIVE_C,
      ...LIBRARIES,
    ];
    await runOrFail("compile SQLite", "cc", args, { missing: NO_CC });
    await Deno.rename(fresh, LIBRARY);
  } finally {
    await Deno.remove(fresh).catch(() => {}); // there only if something failed
  }
  await Deno.writeTextFile(STAMP, await stampOf(key));
  return true;
}

/** Changes whenever the library would. */
async function inputs(): Promise<string> {
  const { code, stdout } = await run("cc", ["--version"], { missing: NO_CC });
  if (code !== 0) throw new ScriptError("Cannot build SQLite: cc --version fails");
  const paths = [LIVE_C, GLIBC_H, ...INCLUDED];
  const sources = await Promise.all(paths.map((path) => Deno.readTextFile(path)));
  return sha256(SQLITE_PACKAGE, ...FLAGS, ...LIBRARIES, stdout, ...sources);
}

/** A library that was put there by hand does not have this stamp. */
async function stampOf(key: string): Promise<string> {
  return `${key} ${sha256(await Deno.readFile(LIBRARY))}\n`;
}

/** The directory with sqlite3.c and sqlite3.h, from the cache or from npm. */
async function amalgamation(): Promise<string> {
  const folder = `${CACHE}/${SQLITE_PACKAGE}`;
  if (await exists(folder)) return folder;
  print(`getting ${SQLITE_PACKAGE} with npm (11 MB, once)`);
  await Deno.mkdir(CACHE, { recursive: true });
  const work = await Deno.makeTempDir({ dir: CACHE, prefix: "unpack-" });
  try {
    const pack = [
      "pack",
      SQLITE_PACKAGE,
      "--ignore-scripts",
      "--silent",
      "--pack-destination",
      work,
    ];
    await runOrFail(`get ${SQLITE_PACKAGE} with npm`, "npm", pack, { missing: NO_NPM, cwd: work });
    const tarball = `${SQLITE_PACKAGE.replace("@", "-")}.tgz`;
    const members = ["sqlite3.c", "sqlite3.h"].map((name) => `package/deps/sqlite3/${name}`);
    const unpack = ["-xzf", tarball, "--strip-components=3", ...members];
    await runOrFail("unpack SQLite's source", "tar", unpack, { missing: NO_TAR, cwd: work });
    await Deno.remove(`${work}/${tarball}`);
    await Deno.rename(work, folder);
  } catch (error) {
    await Deno.remove(work, { recursive: true }).catch(() => {});
    // Another build may have been faster: a directory is never renamed over a full one.
    if (!(error instanceof ScriptError) && await exists(folder)) return folder;
    throw error;
  }
  return folder;
}

/** The version of SQLite that is compiled, "3.54.1". */
export async function sqliteVersion(): Promise<string> {
  const header = await Deno.readTextFile(`${await amalgamation()}/sqlite3.h`);
  const version = header.match(/^#define SQLITE_VERSION +"([\d.]+)"/m)?.[1];
  if (version === undefined) throw new ScriptError("Cannot find SQLite's version in sqlite3.h");
  return version;
}

if (import.meta.main) {
  await runScript(async () => {
    const built = await buildSqlite();
    print(built ? "dist/libsqlite3.so built" : "dist/libsqlite3.so is up to date");
    return 0;
  });
}
