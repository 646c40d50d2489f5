/**
 * Builds dist/libsqlite3.so: SQLite's amalgamation and xxHash's header out of npm packages, and
 * src/sqlite/live.c, compiled as one unit. Forty seconds once, then nothing: a stamp beside the library
 * says what it was made of. May import: scripts/tools.
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

/** A package that carries C files: no install script of it runs. */
export interface Carrier {
  readonly name: string;
  /** Of what is taken. */
  readonly folder: string;
  readonly files: readonly string[];
}

/** 13.2.0 has SQLite 3.54.1. */
export const SQLITE: Carrier = {
  name: "better-sqlite3@13.2.0",
  folder: "package/deps/sqlite3",
  files: ["sqlite3.c", "sqlite3.h"],
};
/** 2.1.0 has xxHash 0.8.3. */
export const XXHASH: Carrier = {
  name: "xxhash-addon@2.1.0",
  folder: "package/xxHash",
  files: ["xxhash.h"],
};
const LIVE_C = `${ROOT}src/sqlite/live.c`;
/** Symbol versions that an older glibc has, too. */
const GLIBC_H = `${ROOT}scripts/glibc.h`;
/** What live.c includes of ours. */
const INCLUDED = ["watch.c", "priority.c", "hash.c"].map((name) => `${ROOT}src/sqlite/${name}`);
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
const NO_NPM = "Cannot get the source of SQLite: no npm on PATH; install Node.js with npm";
const NO_TAR = "Cannot unpack the source of SQLite: no tar on PATH";

/** Makes sure that the library is there and up to date; true if it had to be built. */
export async function buildSqlite(): Promise<boolean> {
  const key = await inputs();
  const stamp = await readIfThere(STAMP);
  if (stamp !== undefined && (await exists(LIBRARY)) && stamp === await stampOf(key)) return false;

  const folders = [await sourceOf(SQLITE), await sourceOf(XXHASH)];
  print("building dist/libsqlite3.so (about 40 s, once)");
  const fresh = `${LIBRARY}.${Deno.pid}`;
  try {
    const args = [
      ...FLAGS,
      ...Deno.build.os === "linux" ? ["-include", GLIBC_H] : [],
      ...folders.map((folder) => `-I${folder}`),
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
  return sha256(SQLITE.name, XXHASH.name, ...FLAGS, ...LIBRARIES, stdout, ...sources);
}

/** A library that was put there by hand does not have this stamp. */
async function stampOf(key: string): Promise<string> {
  return `${key} ${sha256(await Deno.readFile(LIBRARY))}\n`;
}

/** The directory with the carrier's files, from the cache or from npm. */
async function sourceOf({ name, folder, files }: Carrier): Promise<string> {
  const cached = `${CACHE}/${name}`;
  if (await exists(cached)) return cached;
  print(`getting ${name} with npm (once)`);
  await Deno.mkdir(CACHE, { recursive: true });
  const work = await Deno.makeTempDir({ dir: CACHE, prefix: "unpack-" });
  try {
    const pack = ["pack", name, "--ignore-scripts", "--silent", "--pack-destination", work];
    await runOrFail(`get ${name} with npm`, "npm", pack, { missing: NO_NPM, cwd: work });
    const tarball = `${name.replace("@", "-")}.tgz`;
    const members = files.map((file) => `${folder}/${file}`);
    const strip = `--strip-components=${folder.split("/").length}`;
    const unpack = ["-xzf", tarball, strip, ...members];
    await runOrFail(`unpack ${name}`, "tar", unpack, { missing: NO_TAR, cwd: work });
    await Deno.remove(`${work}/${tarball}`);
    await Deno.rename(work, cached);
  } catch (error) {
    await Deno.remove(work, { recursive: true }).catch(() => {});
    // Another build may have been faster: a directory is never renamed over a full one.
    if (!(error instanceof ScriptError) && await exists(cached)) return cached;
    throw error;
  }
  return cached;
}

/** The version of SQLite that is compiled, "3.54.1". */
export async function sqliteVersion(): Promise<string> {
  const header = await Deno.readTextFile(`${await sourceOf(SQLITE)}/sqlite3.h`);
  const version = header.match(/^#define SQLITE_VERSION +"([\d.]+)"/m)?.[1];
  if (version === undefined) throw new ScriptError("Cannot find SQLite's version in sqlite3.h");
  return version;
}

/** The version of xxHash that is compiled, "0.8.3". */
export async function xxhashVersion(): Promise<string> {
  const header = await Deno.readTextFile(`${await sourceOf(XXHASH)}/xxhash.h`);
  const parts = ["MAJOR", "MINOR", "RELEASE"].map((part) =>
    header.match(new RegExp(`^#define XXH_VERSION_${part} +(\\d+)`, "m"))?.[1]
  );
  if (parts.includes(undefined)) throw new ScriptError("Cannot find xxHash's version in xxhash.h");
  return parts.join(".");
}

if (import.meta.main) {
  await runScript(async () => {
    const built = await buildSqlite();
    print(built ? "dist/libsqlite3.so built" : "dist/libsqlite3.so is up to date");
    return 0;
  });
}
