import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { Child } from "../support/process.ts";
import { type Scope, scopedTest } from "../support/scope.ts";
import { type DiskReport, powerCuts, Shim } from "../support/shim.ts";
import { demotionPowerLoss, promotionPowerLoss } from "../support/shim_standing.ts";

for (const killed of [false, true]) {
  const which = killed ? ", after a kill in it" : "";

  scopedTest(`a promotion survives a power cut at any place${which}`, async (scope) => {
    await promotionPowerLoss(scope, { seed: 11, draws: 3, killed });
  });

  scopedTest(`a demotion survives a power cut at any place${which}`, async (scope) => {
    await demotionPowerLoss(scope, { seed: 12, draws: 3, killed });
  });
}

/** What a program does in a folder, as the disk may be after a power cut in it. */
async function cutsIn(scope: Scope, before: string, program: string): Promise<DiskReport> {
  const shim = await Shim.make(scope, ["replica"]);
  const python = async (code: string): Promise<void> => {
    await using child = new Child({
      program: "python3",
      args: ["-c", `import os\nos.chdir("${shim.root}/replica")\n${code}`],
      env: shim.env(),
    });
    assertEquals((await child.wait(20_000)).code, 0, child.stderr.kept.join("\n"));
  };
  await python(before);
  shim.mark("begin");
  await python(program);
  shim.mark("end");
  return await powerCuts({
    record: shim.record,
    root: shim.root,
    lossy: ["replica"],
    database: "replica/app.db",
    seed: 1,
    draws: 40,
    most: 0,
    work: `${scope.folder}/image`,
    kept: `${scope.folder}/kept`,
  });
}

scopedTest(
  "the model of a disk: a rename has happened or not, whatever its bytes",
  async (scope) => {
    const report = await cutsIn(
      scope,
      `
os.mkdir("app.db-live")
with open("app.db-live/history", "w") as file:
    file.write("old"); file.flush(); os.fsync(file.fileno())
for folder in ("app.db-live", "."): os.fsync(os.open(folder, os.O_RDONLY))`,
      `
with open("app.db-live/history.new", "w") as file: file.write("new")
os.rename("app.db-live/history.new", "app.db-live/history")
os.fsync(os.open("app.db-live", os.O_RDONLY))`,
    );
    assertEquals([report.differences, report.failures], [[], []]);
    const seen = new Set<string>();
    for (const { folder } of report.kept) {
      const live = `${folder}/replica/app.db-live`;
      const names = await Array.fromAsync(Deno.readDir(live), ({ name }) => name);
      const history = await Deno.readTextFile(`${live}/history`); // it is always there
      if (names.includes("history.new")) assertEquals(history, "old");
      seen.add(history);
    }
    assertEquals([...seen].sort(), ["", "new", "old"], "its bytes were not fsynced");
  },
);

scopedTest("the model of a disk: nothing is renamed over a database", async (scope) => {
  for (const name of ["app.db", "app.db-wal"]) {
    const program = `open("x", "w").close()\nos.rename("x", "${name}")`;
    const error = await assertRejects(
      () => cutsIn(scope, "", program),
      /the model knows no rename/,
    );
    assert(error.message.includes(`replica/${name}`), error.message);
    await Deno.remove(`${scope.folder}/disk`, { recursive: true });
  }
});
