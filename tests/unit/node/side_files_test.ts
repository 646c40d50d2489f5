import { fileURLToPath } from "node:url";
import { codeOf } from "../../../src/base/errors.ts";
import { type DatabaseId, type Epoch, txid } from "../../../src/base/types.ts";
import { bootId, type SavedState, SideFiles } from "../../../src/node/side_files.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../../support/assert.ts";
import { inFolder } from "../../support/fixtures_sqlite.ts";
import { Child } from "../../support/process.ts";

const LONG: SavedState = {
  format: 1,
  role: "primary",
  id: "00000000000000d1" as DatabaseId,
  epoch: "00000000000000e1" as Epoch,
  txid: txid(4711),
  place: {
    boot: "2d5b2ab2-0c0c-4c9c-8c1e-6a1f0f0f0f0f",
    device: 1,
    inode: 2,
    born: 8,
    salt1: 3,
    salt2: 4,
    frame: 5,
    sum1: 6,
    sum2: 7,
  },
};
const SHORT: SavedState = {
  format: 1,
  role: "replica",
  id: "00000000000000d2" as DatabaseId,
  epoch: "00000000000000e2" as Epoch,
  txid: txid(1),
  contents: [{ epoch: "00000000000000e2" as Epoch, txid: txid(1), hash: "0123456789abcdef" }],
};

/** Claimed side files of a database in a new directory. */
function withFiles(work: (files: SideFiles, path: string) => void | Promise<void>): Promise<void> {
  return inFolder(async (folder) => {
    const files = new SideFiles(`${folder}/app.db`);
    files.claim();
    try {
      await work(files, `${folder}/app.db`);
    } finally {
      files.release();
    }
  });
}

Deno.test("SideFiles.load() gives back what was saved, by this run or the last", () =>
  withFiles((files, path) => {
    assertEquals(files.load(), undefined, "a first start");
    files.save(LONG);
    assertEquals(files.load(), LONG);
    files.release();
    const next = new SideFiles(path);
    next.claim();
    assertEquals(next.load(), LONG);
    next.release();
  }));

Deno.test("SideFiles.load() reads a shorter state over a longer one", () =>
  withFiles((files, path) => {
    files.save(LONG);
    files.save(SHORT);
    assertEquals(files.load(), SHORT);
    const text = Deno.readTextFileSync(`${files.folder}/state`);
    assertEquals(text.trimEnd(), JSON.stringify(SHORT), "and nothing of the longer one is left");
    files.save(LONG);
    assertEquals(files.load(), LONG);
    files.release();
    const next = new SideFiles(path); // does not know how long the line was
    next.claim();
    next.save(SHORT);
    assertEquals(next.load(), SHORT);
    next.save(LONG);
    next.save(SHORT);
    assertEquals(next.load(), SHORT);
    next.release();
  }));

Deno.test("SideFiles.load() is undefined when the state is not whole", async (t) => {
  const whole = JSON.stringify(LONG);
  const cases: [name: string, content: string][] = [
    ["empty", ""],
    ["a newline", "\n"],
    ["no JSON", "hello\n"],
    ["null", "null\n"],
    ["a number", "1\n"],
    ["another format", `${whole.replace('"format":1', '"format":2')}\n`],
    ["no id", `${whole.replace('"id":', '"other":')}\n`],
    ["zeros, as after a power cut", "\0".repeat(300)],
    ["two lines torn into one", `${whole.slice(0, 100)}${JSON.stringify(SHORT)}\n`],
  ];
  for (const [name, content] of cases) {
    await t.step(name, () =>
      withFiles((files) => {
        Deno.writeTextFileSync(`${files.folder}/state`, content);
        assertEquals(files.load(), undefined);
      }));
  }
  await t.step("cut at any byte", () =>
    withFiles((files) => {
      for (let cut = 0; cut < whole.length; cut++) {
        Deno.writeTextFileSync(`${files.folder}/state`, whole.slice(0, cut));
        assertEquals(files.load(), undefined, `cut at ${cut}`);
      }
      Deno.writeTextFileSync(`${files.folder}/state`, whole);
      assertEquals(files.load(), LONG, "the newline alone is missing");
    }));
});

Deno.test("SideFiles.forget() makes the next start compare hashes, and save() begins again", () =>
  withFiles((files) => {
    files.forget(); // there is none
    files.save(LONG);
    files.forget();
    assertEquals(files.load(), undefined);
    files.save(SHORT);
    assertEquals(files.load(), SHORT);
  }));

Deno.test("SideFiles.claim() refuses a second node in this process", () =>
  withFiles((files, path) => {
    files.claim(); // once more is nothing
    const second = new SideFiles(path);
    const error = assertThrows(() => second.claim(), /Another litestream-live works on this/);
    assertEquals(codeOf(error), "guard");
    files.release();
    second.claim();
    second.release();
  }));

const CLAIMER = `
import { SideFiles } from "${new URL("../../../src/node/side_files.ts", import.meta.url)}";
try {
  new SideFiles(Deno.args[0]!).claim();
  console.log("claimed");
  if (Deno.args[1] === "hold") await new Promise((resolve) => setTimeout(resolve, 60_000));
} catch (error) {
  console.log((error as { code?: string }).code ?? String(error));
}
`;

/** A child that claims `path`; its first line says how that went. */
async function claimer(folder: string, path: string, hold: boolean): Promise<[Child, string]> {
  const program = `${folder}/claimer.ts`;
  await Deno.writeTextFile(program, CLAIMER);
  const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));
  const args = ["run", "-A", "--no-check", "--config", config, program, path];
  const child = new Child({ program: Deno.execPath(), args: hold ? [...args, "hold"] : args });
  const line = Promise.withResolvers<string>();
  child.stdout.onLine = line.resolve;
  void child.exited.then(() => line.reject(new Error(child.stderr.kept.join("\n"))));
  return [child, await line.promise];
}

Deno.test("SideFiles.claim() refuses a second node in another process, and none after kill -9", () =>
  withFiles(async (files, path) => {
    const folder = path.slice(0, path.lastIndexOf("/"));
    const [second, refused] = await claimer(folder, path, false);
    assertEquals(refused, "guard");
    await second[Symbol.asyncDispose]();
    files.release();
    const [third, claimed] = await claimer(folder, path, true);
    assertEquals(claimed, "claimed");
    assertEquals(codeOf(assertThrows(() => files.claim())), "guard");
    await third.kill();
    files.claim();
  }));

Deno.test("SideFiles.claim() says what is in the way", () =>
  inFolder(async (folder) => {
    const absent = new SideFiles(`${folder}/nowhere/app.db`);
    assertEquals(codeOf(assertThrows(() => absent.claim(), /does not exist yet/)), "not_ready");
    await Deno.writeTextFile(`${folder}/app.db-live`, "a file");
    const taken = new SideFiles(`${folder}/app.db`);
    assertEquals(codeOf(assertThrows(() => taken.claim())), "disk");
  }));

Deno.test("SideFiles.save() says disk when the folder is gone", () =>
  withFiles((files) => {
    Deno.removeSync(files.folder, { recursive: true });
    assertEquals(codeOf(assertThrows(() => files.save(LONG), /Cannot write/)), "disk");
  }));

Deno.test("bootId() is the same each time", () => {
  assertMatch(bootId(), /^[0-9a-f-]{36}$/);
  assert(bootId() === bootId());
});

Deno.test("side files: a state that cannot be read is an error, one that is missing or torn is none", () =>
  withFiles((files) => {
    assertEquals(files.load(), undefined);
    Deno.writeTextFileSync(`${files.folder}/state`, '{"format":1,"id');
    assertEquals(files.load(), undefined);
    Deno.removeSync(`${files.folder}/state`);
    Deno.mkdirSync(`${files.folder}/state`); // reading it fails, also for root
    const error = assertThrows(() => files.load());
    assertEquals(codeOf(error), "disk");
    assertMatch(String(error), /Cannot read ".*\/state": /);
  }));
