import { expandText, expandTree } from "../../../src/cli/expand.ts";
import { parseYaml } from "../../../src/cli/yaml.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { complaint, MACHINE, parse } from "./parse.ts";

const ENV: Readonly<Record<string, string>> = { A: "one", B_2: "two", E: "", D: "$A" };
const env = (name: string): string | undefined => ENV[name];

Deno.test("expandText() replaces variables", async (t) => {
  const cases: [text: string, want: string][] = [
    ["none", "none"],
    ["$A", "one"],
    ["${A}", "one"],
    ["http://$A:9090/$B_2", "http://one:9090/two"],
    ["${A}x${B_2}", "onextwo"],
    ["$A.$B_2-", "one.two-"],
    ["$$", "$"],
    ["$$A", "$A"],
    ["$$$A", "$one"],
    ["a$$b$$", "a$b$"],
    ["[$E]", "[]"],
    ["$D", "$A"],
  ];
  for (const [text, want] of cases) {
    await t.step(text, () => assertEquals(expandText(text, env), want));
  }
});

Deno.test("expandText() refuses a $ that it does not understand", async (t) => {
  const cases: [text: string, sentence: RegExp][] = [
    ["$NOPE", /^the variable NOPE is not set; set it, or write \$\$/],
    ["${NOPE}", /^the variable NOPE is not set/],
    ["$", /begins no variable/],
    ["pa$ss word$", /begins no variable|not set/],
    ["$1", /begins no variable/],
    ["${A:-x}", /without a default/],
    ["${}", /in braces/],
    ["${A", /in braces/],
  ];
  for (const [text, sentence] of cases) {
    await t.step(text, () => assertMatch(complaint(() => expandText(text, env)), sentence));
  }
});

Deno.test("expandTree() leaves comments, keys and structure alone", () => {
  const tree = parseYaml("# $NOPE\n$A: $A # ${NOPE}\nb: ['$B_2', \"$E\"]\n", "f.yml");
  const expanded = expandTree(tree, env);
  assertEquals(
    JSON.parse(JSON.stringify(expanded, (key, value) => key === "place" ? undefined : value)),
    {
      kind: "map",
      entries: [
        { key: "$A", value: { kind: "scalar", text: "one", plain: false } },
        {
          key: "b",
          value: {
            kind: "list",
            items: [
              { kind: "scalar", text: "two", plain: false },
              { kind: "scalar", text: "", plain: false },
            ],
          },
        },
      ],
    },
  );
});

Deno.test("parseConfig() expands variables when that is not switched off", async (t) => {
  const one = (lines: string): string => `addr: ":1"\ndbs:\n  - path: ${lines}\n`;
  await t.step("a number", () => {
    const { options } = parse(one("/a\n    min-checkpoint-page-count: $COUNT"));
    assertEquals(options.databases[0]!.minCheckpointPageCount, 2000);
  });
  await t.step("a value cannot become YAML", () => {
    assertEquals(parse(one("/$TRICK")).options.databases[0]!.path, "/x\n# y: 'z'");
    assertEquals(parse(one("$NULL")).options.databases[0]!.path, "/srv/app/null");
  });
  await t.step("not set: variable, file, line, column and key", () => {
    const text = "dbs:\n  - path: /a\n    upstream:\n      url: http://$NOPE:9090\n";
    assertEquals(
      complaint(() => parse(text)),
      "live.yml:4:12: dbs[].upstream.url: the variable NOPE is not set; set it, or write $$ for a $",
    );
  });
  await t.step("empty", () => {
    assertMatch(complaint(() => parse(one("$EMPTY"))), /^live\.yml:3:11: dbs\[\]\.path: is empty/);
  });
  await t.step("in a comment", () => {
    assertEquals(parse(one("/a # $NOPE")).options.databases[0]!.path, "/a");
  });
  await t.step("switched off", () => {
    const off = { ...MACHINE, expandEnv: false };
    assertEquals(parse(one("/$NOPE/$$x"), off).options.databases[0]!.path, "/$NOPE/$$x");
  });
});
