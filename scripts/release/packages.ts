/**
 * What the executable is made of: the npm packages that main.ts reaches, from Deno's module graph,
 * with hashes from deno.lock; SQLite and xxHash; Deno and V8. May import: scripts/tools, scripts/build_sqlite.
 * @module
 */
import { SQLITE, sqliteVersion, XXHASH, xxhashVersion } from "../build_sqlite.ts";
import { exists, ROOT, runOrFail, ScriptError } from "../tools.ts";

export interface Component {
  readonly name: string;
  readonly version: string;
  /** Package URL, https://github.com/package-url */
  readonly purl: string;
  /** SPDX id. */
  readonly license: string;
  readonly licenseText: string;
  /** Of the package as it was downloaded, hex. */
  readonly sha512?: string;
  /** What else is known of it. */
  readonly note?: string;
}

/** What Deno was built from is listed by Deno, not here. */
export const DENO_NOTE =
  "The runtime that is part of the executable. Its own parts (Rust crates, ICU and others) are " +
  "listed in Cargo.lock of Deno's source at this version.";

/** Everything that is in the executable, npm's packages first, each sorted. */
export async function components(): Promise<Component[]> {
  const [npm, sqlite, xxhash] = await Promise.all([
    npmComponents(),
    sqliteVersion(),
    xxhashVersion(),
  ]);
  const v8 = Deno.version.v8.replace(/-rusty$/, "");
  return [
    ...npm,
    {
      name: "sqlite",
      version: sqlite,
      purl: `pkg:generic/sqlite@${sqlite}`,
      license: "blessing",
      licenseText: await licenseText("sqlite"),
      note: `Compiled from the amalgamation in npm's ${SQLITE.name}.`,
    },
    {
      name: "xxhash",
      version: xxhash,
      purl: `pkg:github/cyan4973/xxhash@v${xxhash}`,
      license: "BSD-2-Clause",
      licenseText: await licenseText("xxhash"),
      note: `Compiled from the header in npm's ${XXHASH.name}.`,
    },
    {
      name: "deno",
      version: Deno.version.deno,
      purl: `pkg:github/denoland/deno@v${Deno.version.deno}`,
      license: "MIT",
      licenseText: await licenseText("deno"),
      note: DENO_NOTE,
    },
    {
      name: "v8",
      version: v8,
      purl: `pkg:generic/v8@${v8}`,
      license: "BSD-3-Clause",
      licenseText: await licenseText("v8"),
    },
  ];
}

async function licenseText(name: string): Promise<string> {
  return await Deno.readTextFile(`${ROOT}scripts/release/licenses/${name}.txt`);
}

interface Graph {
  readonly modules: readonly { readonly kind?: string; readonly npmPackage?: string }[];
  readonly npmPackages: Readonly<
    Record<string, { name: string; version: string; dependencies: readonly string[] }>
  >;
}

async function npmComponents(): Promise<Component[]> {
  const info = ["info", "--json", "--quiet"];
  const graph: Graph = JSON.parse(
    await runOrFail("read the module graph", Deno.execPath(), [...info, "main.ts"]),
  );
  const { npmCache }: { npmCache: string } = JSON.parse(
    await runOrFail("find Deno's cache", Deno.execPath(), info),
  );
  const lock: { npm: Record<string, { integrity: string }> } = JSON.parse(
    await Deno.readTextFile(`${ROOT}deno.lock`),
  );
  const reached = new Set<string>();
  const reach = (key: string): void => {
    if (reached.has(key)) return;
    reached.add(key);
    for (const dependency of graph.npmPackages[key]?.dependencies ?? []) reach(dependency);
  };
  for (const { npmPackage } of graph.modules) if (npmPackage !== undefined) reach(npmPackage);

  return await Promise.all(
    [...reached].sort().map(async (key): Promise<Component> => {
      const known = graph.npmPackages[key];
      const integrity = lock.npm[key]?.integrity;
      if (known === undefined || integrity === undefined) {
        throw new ScriptError(`Cannot list npm's "${key}": it is not in deno.lock`);
      }
      const { name, version } = known;
      const folder = await folderOf(npmCache, name, version);
      return {
        name,
        version,
        purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
        ...await licenseOf(folder, key),
        sha512: sha512Hex(integrity, key),
      };
    }),
  );
}

/** "sha512-BASE64" -> hex. */
function sha512Hex(integrity: string, key: string): string {
  const base64 = integrity.match(/^sha512-(.+)$/)?.[1];
  if (base64 === undefined) throw new ScriptError(`deno.lock: "${key}" has no sha512`);
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return bytes.toHex();
}

/** The cache has a directory for each registry. */
async function folderOf(npmCache: string, name: string, version: string): Promise<string> {
  for await (const { name: registry } of Deno.readDir(npmCache)) {
    const folder = `${npmCache}/${registry}/${name}/${version}`;
    if (await exists(`${folder}/package.json`)) return folder;
  }
  throw new ScriptError(`Cannot find "${name}" ${version} in Deno's cache: run scripts/build.ts`);
}

async function licenseOf(
  folder: string,
  key: string,
): Promise<Pick<Component, "license" | "licenseText">> {
  const { license }: { license?: unknown } = JSON.parse(
    await Deno.readTextFile(`${folder}/package.json`),
  );
  if (typeof license !== "string") throw new ScriptError(`npm's "${key}" names no license`);
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile || !/^licen[cs]e(\.(md|txt))?$/i.test(name)) continue;
    return { license, licenseText: await Deno.readTextFile(`${folder}/${name}`) };
  }
  throw new ScriptError(`npm's "${key}" has no text of its license`);
}
