import { GENERATED, regenerate } from "../../../scripts/docs.ts";
import { KEYS } from "../../../src/cli/keys.ts";
import { ENDPOINTS } from "../../../src/http/endpoints.ts";
import { METRICS } from "../../../src/http/metrics.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const block = (name: string): string => `<!-- generated: ${name} -->\n\nold\n\n<!-- end -->\n`;
const ALL = Object.keys(GENERATED).map(block).join("\nby hand\n\n");

Deno.test("regenerate() replaces what stands between markers and nothing else", () => {
  const text = `# Title\n\n${ALL}\nthe end\n`;
  const made = regenerate(text);
  assert(!/^old$/m.test(made));
  assert(made.startsWith("# Title\n\n<!-- generated: keys -->\n\n| Key "));
  assert(made.endsWith("|\n\n<!-- end -->\n\nthe end\n"));
  assertEquals(made.split("by hand").length, text.split("by hand").length);
  assertEquals(regenerate(made), made, "a second time changes nothing");
});

Deno.test("regenerate() refuses a part that is unknown, missing or there twice", () => {
  assertThrows(() => regenerate(ALL + block("weather")), /nothing generates "weather"/);
  assertThrows(() => regenerate(ALL.replace(block("flags"), "")), /"flags" is there 0 times/);
  assertThrows(() => regenerate(ALL + block("keys")), /"keys" is there 2 times/);
});

Deno.test("each generated part names all that the code has", () => {
  const names: readonly (readonly [part: string, names: readonly string[]])[] = [
    ["keys", KEYS.map(({ name }) => name)],
    ["flags", ["replicate", "databases", "version", "-config", "-log-format", "-json", "[path]"]],
    ["endpoints", Object.values(ENDPOINTS).map(({ method, path }) => `${method} ${path}`)],
    ["metrics", METRICS.map(({ name }) => name)],
  ];
  for (const [part, wanted] of names) {
    const text = GENERATED[part]!();
    for (const name of wanted) assert(text.includes(`\`${name}`), `${part}: ${name}`);
    const widths = new Set(text.trimEnd().split("\n").map((line) => line.length));
    assertEquals(widths.size, 1, `the columns of ${part} are aligned`);
  }
});
