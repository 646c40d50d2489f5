import { type Finding, RULES, type SourceFile } from "../../../scripts/tidy.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const HEADER = "/**\n * A module.\n * @module\n */\n";

/** Runs the one rule whose name contains `rule` over these files. */
function findings(rule: string, files: Readonly<Record<string, string>>): readonly Finding[] {
  const rules = RULES.filter(({ name }) => name.includes(rule));
  assertEquals(rules.length, 1, `rules called "${rule}"`);
  const sources = Object.entries(files).map(([path, text]): SourceFile => ({ path, text }));
  return rules[0]!.check(sources);
}

function problems(rule: string, path: string, text: string): string[] {
  return findings(rule, { [path]: text }).map(({ line, problem }) => `${line}: ${problem}`);
}

Deno.test("tidy finds an import that goes up, sideways or out of src", async (t) => {
  const cases: [name: string, path: string, code: string, ok: boolean][] = [
    ["down", "src/pages/a.ts", `import { b } from "../wal/b.ts";`, true],
    ["same room", "src/wal/a.ts", `import { b } from "./b.ts";`, true],
    ["up", "src/wal/a.ts", `import { b } from "../pages/b.ts";`, false],
    ["sideways", "src/wal/a.ts", `import { b } from "../sqlite/b.ts";`, false],
    ["types, too", "src/base/a.ts", `import type { B } from "../node/b.ts";`, false],
    ["over lines", "src/base/a.ts", `import {\n  b,\n  c,\n} from "../node/b.ts";`, false],
    ["export from", "src/base/a.ts", `export * from "../wal/b.ts";`, false],
    ["for its effect", "src/base/a.ts", `import "../wal/b.ts";`, false],
    ["at run time", "src/base/a.ts", `const b = await import("../wal/b.ts");`, false],
    ["a script", "src/cli/a.ts", `import { b } from "../../scripts/b.ts";`, false],
    ["deno.json", "src/cli/a.ts", `import c from "../../deno.json" with { type: "json" };`, true],
    ["main.ts from cli", "src/cli/a.ts", `import { b } from "../../main.ts";`, false],
    ["cli from main.ts", "main.ts", `import { b } from "./src/cli/b.ts";`, true],
    ["in a comment", "src/base/a.ts", ` * import { b } from "../node/b.ts";`, true],
    ["no room", "src/attic/a.ts", `export const a = 1;`, false],
  ];
  for (const [name, path, code, ok] of cases) {
    await t.step(
      name,
      () => assertEquals(problems("imports go down", path, code).length === 0, ok),
    );
  }
});

Deno.test("tidy warns above 300 lines and fails above 500", () => {
  const long = (lines: number): readonly Finding[] =>
    findings("longer than", { "src/base/a.ts": "x\n".repeat(lines) });
  assertEquals(long(300), []);
  assertEquals(long(301).map(({ warning }) => warning), [true]);
  assertEquals(long(501).map(({ warning }) => warning), [undefined]);
});

Deno.test("tidy finds a module without a header", () => {
  assertEquals(problems("says what it is", "src/base/a.ts", `${HEADER}export {};`), []);
  assertEquals(problems("says what it is", "src/base/a.ts", "export {};").length, 1);
  assertEquals(
    problems("says what it is", "src/base/a.ts", "/** No tag. */\nexport {};").length,
    1,
  );
});

Deno.test("tidy finds a package that two modules import", () => {
  const rule = "behind one module";
  const one = { "src/cli/a.ts": `import { parse } from "yaml";\nimport { x } from "node:fs";` };
  assertEquals(findings(rule, one), []);
  const two = { ...one, "src/http/b.ts": `import { parse } from "npm:yaml@2/x";` };
  assertEquals(findings(rule, two).map(({ path }) => path), ["src/http/b.ts"]);
});

Deno.test("tidy finds what only certain modules may call", async (t) => {
  const cases: [rule: string, code: string, allowed: string | undefined][] = [
    ["files are opened", "const f = Deno.openSync(path);", "src/node/side_files.ts"],
    ["files are opened", "const f = await Deno.open(path);", "src/node/copier.ts"],
    ["files are opened", "const b = Deno.readFileSync(path);", "src/sqlite/assets.ts"],
    ["files are opened", "const b = await Deno.readFile(path);", "src/sqlite/assets.ts"],
    ["files are opened", "const b = await Deno.readTextFile(path);", "src/cli/config.ts"],
    ["files are opened", "await Deno.copyFile(a, b);", "src/node/copier.ts"],
    ["time and chance", "const t = Date.now();", "src/base/env.ts"],
    ["time and chance", "const t = performance.now();", "src/base/env.ts"],
    ["time and chance", "const r = Math.random();", "src/base/env.ts"],
    ["raced", "await Promise.race([a, b]);", undefined],
    ["loads libraries", "Deno.dlopen(path, {});", "src/sqlite/library.ts"],
  ];
  for (const [rule, code, allowed] of cases) {
    await t.step(code, () => {
      assertEquals(problems(rule, "src/changes/a.ts", `\n${code}`).length, 1);
      assert(problems(rule, "src/changes/a.ts", `\n${code}`)[0]!.startsWith("2: "));
      assertEquals(problems(rule, "src/changes/a.ts", `// ${code}`), [], "in a comment");
      assertEquals(problems(rule, "tests/unit/a_test.ts", code), [], "outside src");
      if (allowed !== undefined) assertEquals(problems(rule, allowed, code), [], allowed);
    });
  }
});

Deno.test("tidy finds a path of one machine in any file", () => {
  const rule = "developer's machine";
  for (const folder of ["home", "root", "work", "Users"]) {
    assertEquals(problems(rule, "docs/A.md", `see\n/${folder}/me/x`).length, 1, folder);
  }
  assertEquals(problems(rule, "docs/A.md", "tests/work/x, ../root/x and /var/lib/x"), []);
});

Deno.test("tidy finds a registry's address in deno.lock", () => {
  const lock = `{ "tarball": "https:` + `//registry.example/x.tgz" }`;
  assertEquals(problems("names no server", "deno.lock", lock).length, 1);
  assertEquals(problems("names no server", "deno.lock", "{}"), []);
});
