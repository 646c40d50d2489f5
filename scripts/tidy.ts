/**
 * Rules about the source that no other tool checks, each counted like a test: which room imports
 * which, how long a file may be, what only certain modules may call, what may never stand in the
 * repository. May import: scripts/tools.
 * @module
 */
import { countLine, filesBelow, print, ROOT, runScript } from "./tools.ts";

export interface SourceFile {
  /** Relative to the repository. */
  readonly path: string;
  readonly text: string;
}

export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly problem: string;
  /** Worth a look, fails nothing. */
  readonly warning?: true;
}

export interface Rule {
  readonly name: string;
  /** All files of the repository; a rule picks those it is about. */
  check(files: readonly SourceFile[]): Finding[];
}

const ROOMS: Readonly<Record<string, number>> = {
  base: 0,
  sqlite: 1, // sqlite and wal do not know each other
  wal: 1,
  pages: 2,
  changes: 3,
  node: 4,
  http: 5,
  cli: 6,
};
const MAIN = { path: "main.ts", level: 7 } as const;

const LOOK_TWICE_LINES = 300;
const MOST_LINES = 500;

/** May be imported from outside src: no code. */
const DATA_FILES: readonly string[] = ["deno.json"];

interface Ban {
  readonly name: string;
  readonly pattern: RegExp;
  readonly why: string;
  /** The modules that may, each with its reason. */
  readonly allowed: Readonly<Record<string, string>>;
}

const BANS: readonly Ban[] = [
  {
    name: "files are opened only where it cannot cost us SQLite's locks",
    pattern:
      /\bDeno\.(open|create|readFile|readTextFile|copyFile|truncate|writeFile|writeTextFile)(Sync)?\b/g,
    why: "closing a database's descriptor drops this process's locks on it",
    allowed: {
      "src/cli/config.ts": "reads the config file",
      "src/cli/machine.ts": "/proc, in a process without a node",
      "src/cli/secrets.ts": "reads files of tokens, certificates and keys",
      "src/cli/stack.ts": "the source map inside the executable",
      "src/node/aside.ts": "a copy that is kept, closed before anybody opens it",
      "src/node/copier.ts": "the first copy's temporary file, closed before SQLite opens it",
      "src/node/history_file.ts": "`<db>-live/history`",
      "src/node/plain_file.ts": "a file that no SQLite of this process has open",
      "src/node/position_file.ts": "`<db>-live/position`",
      "src/node/proc_locks.ts": "/proc/locks",
      "src/node/saved_index.ts": "`<db>-live/index`",
      "src/node/side_files.ts": "lock and state in `<db>-live/`, never the database",
      "src/sqlite/assets.ts": "the library inside the executable",
      "src/sqlite/process.ts": "/proc/self",
    },
  },
  {
    name: "only base/env.ts knows the time and chance",
    pattern: /\b(Date\.now|Math\.random|performance\.now|new Date\(\))/g,
    why: "take it from Env, so that a fault replays from its seed",
    allowed: { "src/base/env.ts": "is Env", "src/http/page_app.ts": "runs in a browser" },
  },
  {
    name: "no promises are raced",
    pattern: /\bPromise\.race\b/g,
    why: "a promise that lives long keeps the result of every race",
    allowed: {},
  },
  {
    name: "only sqlite/ loads libraries",
    pattern: /\bDeno\.dlopen\b/g,
    why: "a second SQLite in this process would drop our locks",
    allowed: {
      "src/sqlite/assets.ts": "libc, for the anonymous file that SQLite is loaded from",
      "src/sqlite/library.ts": "SQLite itself",
    },
  },
];

/** Directories of developers' machines; put together here, or this file would be a finding. */
const MACHINE_PATHS = new RegExp(
  `(?<![\\w.*~-])/(${["home", "root", "work", "Users"].join("|")})/`,
  "g",
);

const isSource = (file: SourceFile): boolean => /^src\/.*\.ts$/.test(file.path);

/** The text with comments blanked out, lines kept. Good enough for source that is formatted. */
function codeOf(text: string): string {
  return text.split("\n").map((line) => {
    if (/^\s*(\/\/|\/?\*)/.test(line)) return "";
    return line.replace(/\s\/\/ .*$/, "");
  }).join("\n");
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

interface Import {
  readonly from: string;
  readonly line: number;
}

function importsOf(text: string): Import[] {
  const code = codeOf(text);
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s(?:[^;"'`]*?\sfrom\s)?\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;
  return [...code.matchAll(pattern)].map((match) => ({
    from: match[1] ?? match[2]!,
    line: lineOf(code, match.index + match[0].length),
  }));
}

/** The path that a relative import means, relative to the repository. */
function resolve(importer: string, from: string): string {
  return new URL(from, `file:///${importer}`).pathname.slice(1);
}

function levelOf(path: string): { room: string; level: number } | undefined {
  if (path === MAIN.path) return { room: MAIN.path, level: MAIN.level };
  const room = path.match(/^src\/([^/]+)\//)?.[1];
  const level = room === undefined ? undefined : ROOMS[room];
  return level === undefined ? undefined : { room: room!, level };
}

const importDirection: Rule = {
  name: "imports go down only",
  check(files) {
    const findings: Finding[] = [];
    for (const { path, text } of files) {
      if (!path.startsWith("src/") && path !== MAIN.path) continue;
      if (!path.endsWith(".ts")) continue;
      const here = levelOf(path);
      if (here === undefined) {
        findings.push({ path, line: 1, problem: "stands in no room: scripts/tidy.ts lists them" });
        continue;
      }
      for (const { from, line } of importsOf(text)) {
        if (!from.startsWith(".")) continue;
        const target = resolve(path, from);
        if (DATA_FILES.includes(target)) continue;
        const there = levelOf(target);
        if (there?.room === here.room || (there && there.level < here.level)) continue;
        findings.push({ path, line, problem: `${here.room} must not import ${target}` });
      }
    }
    return findings;
  },
};

const fileLength: Rule = {
  name: `no module is longer than ${MOST_LINES} lines`,
  check(files) {
    return files.filter(isSource).flatMap(({ path, text }): Finding[] => {
      const lines = text.trimEnd().split("\n").length;
      if (lines > MOST_LINES) {
        return [{ path, line: lines, problem: `${lines} lines; the most is ${MOST_LINES}` }];
      }
      if (lines <= LOOK_TWICE_LINES) return [];
      return [{ path, line: lines, problem: `${lines} lines; look at it twice`, warning: true }];
    });
  },
};

const header: Rule = {
  name: "each module says what it is",
  check(files) {
    return files
      .filter((file) => isSource(file) && !/^\/\*\*[^]*?@module\b[^]*?\*\//.test(file.text))
      .map(({ path }) => ({
        path,
        line: 1,
        problem: "must begin with a comment that has @module",
      }));
  },
};

/** "npm:hono@4/streaming", "hono/streaming" -> "hono". Undefined for anything but a package. */
function packageOf(from: string): string | undefined {
  if (/^(\.|\/|node:|file:|https?:)/.test(from)) return undefined;
  const name = from.replace(/^(npm|jsr):\/?/, "");
  return name.match(/^(@[^/]+\/)?[^/@]+/)?.[0];
}

const onePlace: Rule = {
  name: "each package stands behind one module",
  check(files) {
    const users = new Map<string, (Import & { path: string })[]>();
    for (const { path, text } of files.filter(isSource)) {
      for (const found of importsOf(text)) {
        const name = packageOf(found.from);
        if (name === undefined) continue;
        const others = users.get(name) ?? [];
        if (others.every((other) => other.path !== path)) others.push({ ...found, path });
        users.set(name, others);
      }
    }
    return [...users].flatMap(([name, [first, ...others]]) =>
      others.map(({ path, line }) => ({
        path,
        line,
        problem: `imports ${name}, which ${first!.path} imports already`,
      }))
    );
  },
};

function banRule(ban: Ban): Rule {
  return {
    name: ban.name,
    check(files) {
      return files.filter(isSource).flatMap(({ path, text }) => {
        if (ban.allowed[path] !== undefined) return [];
        const code = codeOf(text);
        return [...code.matchAll(ban.pattern)].map((match) => ({
          path,
          line: lineOf(code, match.index),
          problem: `${match[0]}: ${ban.why}`,
        }));
      });
    },
  };
}

const noMachinePaths: Rule = {
  name: "no path of a developer's machine stands in the repository",
  check(files) {
    return files.flatMap(({ path, text }) =>
      [...text.matchAll(MACHINE_PATHS)].map((match) => ({
        path,
        line: lineOf(text, match.index),
        problem: `"${match[0]}" belongs to one machine`,
      }))
    );
  },
};

const noRegistry: Rule = {
  name: "deno.lock names no server",
  check(files) {
    return files.filter(({ path }) => path === "deno.lock").flatMap(({ path, text }) =>
      [...text.matchAll(/https?:\/\/[^/"]+/g)].map((match) => ({
        path,
        line: lineOf(text, match.index),
        problem: `"${match[0]}" is the registry of one machine`,
      }))
    );
  },
};

export const RULES: readonly Rule[] = [
  importDirection,
  fileLength,
  header,
  onePlace,
  ...BANS.map(banRule),
  noMachinePaths,
  noRegistry,
];

/** Every text file of the repository that is not built or fetched. */
async function repositoryFiles(): Promise<SourceFile[]> {
  const paths = await filesBelow("", [".git", "dist", "node_modules"]);
  const files: SourceFile[] = [];
  for (const path of paths) {
    const text = new TextDecoder().decode(await Deno.readFile(`${ROOT}${path}`));
    if (!text.includes("\0")) files.push({ path, text });
  }
  return files;
}

if (import.meta.main) {
  await runScript(async () => {
    const files = await repositoryFiles();
    let failed = 0;
    for (const rule of RULES) {
      const findings = rule.check(files);
      if (findings.some((finding) => finding.warning !== true)) failed++;
      for (const { path, line, problem, warning } of findings) {
        print(`${warning === true ? "warning: " : ""}${path}:${line}: ${problem}`);
      }
    }
    print(countLine(RULES.length - failed, failed));
    return failed === 0 ? 0 : 1;
  });
}
