import { parseCommand } from "../../../src/cli/command.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";

Deno.test("parseCommand() splits as a shell does, and expands nothing", () => {
  const cases: readonly [string, readonly string[]][] = [
    ["app", ["app"]],
    ["  app   --port 80\t80 ", ["app", "--port", "80", "80"]],
    [`app "a b" 'c d' e\\ f`, ["app", "a b", "c d", "e f"]],
    [`app "it's" '"' ""`, ["app", "it's", '"', ""]],
    ["app $HOME *.db ~ #no", ["app", "$HOME", "*.db", "~", "#no"]],
    [`sh -c 'a | b > c'`, ["sh", "-c", "a | b > c"]],
    ["app ä 日本", ["app", "ä", "日本"]],
  ];
  for (const [text, words] of cases) {
    const { program, args } = parseCommand(text);
    assertEquals([program, ...args], [...words], text);
  }
});

Deno.test("parseCommand() says what it cannot do", () => {
  assertThrows(() => parseCommand("  "), /names no program/);
  assertThrows(() => parseCommand("'' a"), /names no program/);
  assertThrows(() => parseCommand("app 'a"), /a quote that does not end/);
  assertThrows(() => parseCommand("app a\\"), /does not end/);
  assertThrows(() => parseCommand("app\0"), /NUL/);
  for (const operator of ["|", "&&", ";", ">", "&"]) {
    assertThrows(() => parseCommand(`app ${operator} b`), /run without a shell/);
  }
});
