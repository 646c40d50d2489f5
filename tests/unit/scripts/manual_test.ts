import { completionEntries, manualPage, roff } from "../../../scripts/release/manual.ts";
import { run } from "../../../scripts/tools.ts";
import { commandWords } from "../../../src/cli/arguments.ts";
import { KEYS } from "../../../src/cli/keys.ts";
import { METRICS } from "../../../src/http/metrics.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const PAGE = manualPage("1.2.3", 86_400);

/** Of the page, as a reader sees it; with what the formatter complains of. */
async function shown(): Promise<{ text: string; complaints: string }> {
  const path = await Deno.makeTempFile({ prefix: "litestream-live-", suffix: ".1" });
  try {
    await Deno.writeTextFile(path, PAGE);
    const args = ["-man", "-Tutf8", "-ww", "-P-cbou", "-rLL=200n", path];
    const { code, stdout, stderr } = await run("groff", args);
    assertEquals(code, 0, stderr);
    return { text: stdout, complaints: stderr };
  } finally {
    await Deno.remove(path);
  }
}

const hasGroff = await run("groff", ["--version"]).then(({ code }) => code === 0, () => false);
const hasMandoc = await run("mandoc", ["-T", "lint", "/dev/null"]).then(() => true, () => false);

Deno.test("roff() leaves no text that roff would take as its own", () => {
  assertEquals(roff(".a\\b -c `d`"), "\\&.a\\(rsb \\-c \\fBd\\fR");
  assertEquals(roff("'a"), "\\(aqa");
});

Deno.test("manualPage() is the same each time, and dated by the release", () => {
  assertEquals(manualPage("1.2.3", 86_400), PAGE);
  assert(PAGE.includes('.TH LITESTREAM-LIVE 1 "1970-01-02" "litestream-live 1.2.3"'), "title");
});

Deno.test({
  name: "the man page shows every command, flag, key and metric, and groff has no complaint",
  ignore: !hasGroff,
  async fn() {
    const { text, complaints } = await shown();
    assertEquals(complaints, "");
    const flags = commandWords().flatMap((one) => one.flags.map(({ name }) => `-${name}`));
    const names = [...commandWords(), ...KEYS, ...METRICS].map(({ name }) => name);
    for (const name of [...names, ...flags, "EXIT STATUS", "GET /v1/stream"]) {
      assert(text.includes(name), name);
    }
    assert(text.includes("./litestream-live.yml, ./litestream.yml"), "files");
  },
});

Deno.test({
  name: "mandoc has no complaint of the man page",
  ignore: !hasMandoc,
  async fn() {
    const path = await Deno.makeTempFile({ prefix: "litestream-live-", suffix: ".1" });
    try {
      await Deno.writeTextFile(path, PAGE);
      const { stdout } = await run("mandoc", ["-T", "lint", "-W", "warning", path]);
      assertEquals(stdout, "");
    } finally {
      await Deno.remove(path);
    }
  },
});

Deno.test("completionEntries() has a file for each shell, where Debian looks for it", () => {
  assertEquals(completionEntries().map(({ path }) => path), [
    "bash-completion/completions/litestream-live",
    "zsh/vendor-completions/_litestream-live",
    "fish/vendor_completions.d/litestream-live.fish",
  ]);
});
