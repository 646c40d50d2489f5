import { commandWords, parseArguments } from "../../../src/cli/arguments.ts";
import { TOPICS } from "../../../src/cli/topics.ts";
import { errorText } from "../../../src/cli/usage.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

function help(...args: string[]): string {
  const invocation = parseArguments(args);
  assert(invocation.command === "help", "help was asked for");
  return invocation.text;
}

Deno.test("help names every command and topic, has 80 columns, and flags with one dash", () => {
  const commands = commandWords();
  const all = help();
  for (const name of [...commands.map((one) => one.name), ...Object.keys(TOPICS)]) {
    assert(all.includes(`\n  ${name} `), name);
  }
  assert(all.includes("\nExit codes:\n  0  done"), "exit codes");
  assertEquals(help("help"), all);
  assertEquals(help("-h"), all);
  const wide = parseArguments(["help", "status"], 1000);
  assert(
    wide.command === "help" && wide.text.split("\n").every((line) => line.length <= 100),
    "wide",
  );
  assert(wide.text.split("\n").some((line) => line.length > 80), "wider than 80");
  for (const { name, flags } of commands) {
    const text = help("help", name);
    assertEquals(help(name, "-h"), text, name);
    for (const flag of flags) assert(text.includes(`\n  -${flag.name} `), `${name} ${flag.name}`);
    const bad = text.split("\n").filter((line) => line.length > 80 || /--[a-z]/.test(line));
    assertEquals(bad, [], name);
  }
});

Deno.test("parseArguments() takes one dash or two, topics, shells and -version", () => {
  const wait = parseArguments(["wait", "-for=durable", "--timeout", "3s", "http://x/db"]);
  assert(wait.command === "wait", "wait");
  assertEquals(wait.query, { timeout: "3s", for: "durable" });
  assertEquals(parseArguments(["help", "states"]), { command: "topic", topic: "states" });
  assertEquals(parseArguments(["completion", "zsh"]), { command: "completion", shell: "zsh" });
  for (const text of ["version", "-version", "--version"]) {
    assertEquals(parseArguments([text]), { command: "version" });
  }
});

Deno.test("parseArguments() says in one sentence what is wrong and which help to read", () => {
  const cases: [line: string, sentence: string][] = [
    ["stauts", 'unknown command "stauts"; did you mean status? See "litestream-live help"'],
    ["frob", 'unknown command "frob"; see "litestream-live help"'],
    [
      "replicate -confg x",
      'unknown flag "-confg"; did you mean -config? See "litestream-live help replicate"',
    ],
    ["status -for x", 'unknown flag "-for"; see "litestream-live help status"'],
    [
      "replicate -config",
      '-config <file>: its value is missing; see "litestream-live help replicate"',
    ],
    ["-config x", 'unknown flag "-config" before the command; see "litestream-live help"'],
    ["copy", '<url> is missing; see "litestream-live help copy"'],
    ["version x y", '2 arguments, at most 0; see "litestream-live help version"'],
    [
      "completion tcsh",
      '<shell> is "tcsh", not one of bash, zsh, fish; see "litestream-live help completion"',
    ],
    ["help confg", 'help: there is no command or topic "confg"; did you mean config?'],
  ];
  for (const [line, sentence] of cases) {
    const error = assertThrows(() => parseArguments(line.split(" ")));
    assertEquals((error as Error).message, sentence);
  }
  assertThrows(() => parseArguments(["help", "zzzzzz"]), /write one of replicate, /);
});

Deno.test("errorText() is one line in a file, and broken at spaces on a terminal", () => {
  const message = "one ".repeat(40).trim();
  assertEquals(errorText(message, undefined), `litestream-live: ${message}\n`);
  for (const [columns, most] of [[20, 40], [80, 80], [1000, 100]] as const) {
    const text = errorText(message, columns);
    assert(text.trimEnd().split("\n").every((line) => line.length <= most), `${columns}`);
    assertEquals(text.replace(/\n {2}/g, " "), `litestream-live: ${message}\n`);
  }
});
