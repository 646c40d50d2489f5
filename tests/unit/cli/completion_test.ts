import { run } from "../../../scripts/tools.ts";
import { commandWords } from "../../../src/cli/arguments.ts";
import { completionScript, type Shell, SHELLS } from "../../../src/cli/completion.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const WORDS = commandWords();

async function works(shell: Shell): Promise<boolean> {
  return await run(shell, ["-c", "exit 0"]).then(({ code }) => code === 0, () => false);
}

/** What bash offers for the last of `words`, as it would call the function. */
async function offered(words: readonly string[], cwd: string): Promise<string[]> {
  const list = words.map((word) => `'${word}'`).join(" ");
  const script = `${completionScript("bash", WORDS)}
COMP_WORDS=(litestream-live ${list}); COMP_CWORD=${words.length}
function=$(complete -p litestream-live) && function=\${function#complete -F } && \${function% *}
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { code, stdout, stderr } = await run("bash", ["-u", "-c", script], { cwd });
  assertEquals([code, stderr], [0, ""]);
  return stdout.split("\n").filter((line) => line !== "").sort();
}

const ALL = WORDS.map(({ name }) => name).sort();
const DATABASES = ["-config", "-help", "-json", "-no-expand-env"];
const FILES = ["a b.yml", "a.yml", "folder"];

Deno.test({
  name: "bash completes commands, flags, files and choices",
  ignore: !await works("bash"),
  async fn(t) {
    const cwd = await Deno.makeTempDir({ prefix: "litestream-live-" });
    try {
      for (const name of ["a b.yml", "a.yml"]) await Deno.writeTextFile(`${cwd}/${name}`, "");
      await Deno.mkdir(`${cwd}/folder`);
      const cases: [words: string[], offered: string[]][] = [
        [[""], ALL],
        [["do"], ["doctor"]],
        [["-"], ["-help"]],
        [["databases", "-"], DATABASES],
        [["databases", "--"], DATABASES.map((flag) => `-${flag}`)],
        [["databases", "-no"], ["-no-expand-env"]],
        [["databases", "-config", ""], FILES],
        [["databases", "--config", "f"], ["folder"]],
        [["databases", "-config", "=", "a"], ["a b.yml", "a.yml"]],
        [["databases", "-config", "="], FILES],
        [["status", "-token-file", "a."], ["a.yml"]],
        [["copy", "-ca", "a."], ["a.yml"]],
        [["accept", ""], FILES],
        [["replicate", "-log-level", ""], ["debug", "error", "info", "warn"]],
        [["replicate", "--log-format", "j"], ["json"]],
        [["wait", "-for", "=", "d"], ["durable"]],
        [["wait", "-txid", ""], []],
        [["databases", ""], []],
        [["completion", ""], [...SHELLS].sort()],
        [["help", "exit"], ["exit-codes"]],
        [["help", "dat"], ["databases"]],
        [["nothing", "-"], []],
      ];
      for (const [words, wanted] of cases) {
        await t.step(words.join(" "), async () => {
          assertEquals(await offered(words, cwd), wanted);
        });
      }
    } finally {
      await Deno.remove(cwd, { recursive: true });
    }
  },
});

for (const shell of ["zsh", "fish"] as const) {
  Deno.test({
    name: `${shell} can read its script`,
    ignore: !await works(shell),
    async fn() {
      const path = await Deno.makeTempFile({ prefix: "litestream-live-" });
      try {
        await Deno.writeTextFile(path, completionScript(shell, WORDS));
        const { code, stderr } = await run(shell, ["-n", path]);
        assertEquals([code, stderr], [0, ""]);
      } finally {
        await Deno.remove(path);
      }
    },
  });
}

Deno.test({
  name: "fish completes commands, flags, files and choices",
  ignore: !await works("fish"),
  async fn() {
    const cwd = await Deno.makeTempDir({ prefix: "litestream-live-" });
    try {
      await Deno.writeTextFile(`${cwd}/a.yml`, "");
      await Deno.writeTextFile(`${cwd}/script`, completionScript("fish", WORDS));
      const cases: [line: string, offered: string[]][] = [
        ["doc", ["doctor"]],
        ["databases -no", ["-no-expand-env"]],
        ["databases -config a", ["a.yml"]],
        ["databases --config a", ["a.yml"]],
        ["wait -for ", ["applied", "durable", "received"]],
        ["wait --for=d", ["--for=durable"]],
        ["help exit", ["exit-codes"]],
      ];
      for (const [line, wanted] of cases) {
        const command = `source script; complete -C 'litestream-live ${line}'`;
        const env = { HOME: cwd };
        const { stdout } = await run("fish", ["--no-config", "-c", command], { cwd, env });
        const words = stdout.split("\n").filter((one) => one !== "").map((one) =>
          one.split("\t")[0]
        );
        assertEquals(words.sort(), wanted, line);
      }
    } finally {
      await Deno.remove(cwd, { recursive: true });
    }
  },
});

Deno.test("completionScript() has every command and flag, whatever is added", () => {
  const odd = {
    name: "promote",
    help: `it's "$HOME" [x]: a\\b`,
    arguments: [],
    flags: [{ name: "to-epoch", value: "epoch", choices: [], help: "don't", required: false }],
  };
  const wanted: Readonly<Record<Shell, readonly string[]>> = {
    bash: ["promote) flags=' -to-epoch -help'", "promote:-to-epoch)"],
    zsh: [
      String.raw`'promote:it'\''s "$HOME" \[x\]\: a\\b'`,
      String.raw`"$shown"'to-epoch=[don'\''t]:epoch:( )'`,
    ],
    fish: [String.raw`-a promote -d 'it\'s "$HOME" [x]: a\\b'`, "-o to-epoch -l to-epoch -x"],
  };
  for (const shell of SHELLS) {
    const script = completionScript(shell, [...WORDS, odd]);
    for (const text of wanted[shell]) assert(script.includes(text), `${shell}: ${text}`);
    for (const { name, flags } of WORDS) {
      for (const word of [name, ...flags.map((flag) => flag.name)]) {
        assert(script.includes(word), `${shell}: ${word}`);
      }
    }
  }
});
