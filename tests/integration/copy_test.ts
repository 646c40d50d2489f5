import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { compareFiles, describeFile } from "../support/content.ts";
import { EXECUTABLE } from "../support/node.ts";
import { Child, eventually } from "../support/process.ts";
import { assertUndisturbed, primaryOf, replicaOf } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

function copy(url: string, file: string, ...flags: readonly string[]): Child {
  const args = ["copy", url, file, ...flags];
  return new Child({ program: EXECUTABLE, args, clearEnv: true, env: {} });
}

async function copied(
  url: string,
  file: string,
  ...flags: readonly string[]
): Promise<{ code: number; out: string; error: string }> {
  await using child = copy(url, file, ...flags);
  const { code } = await child.wait(60_000);
  return { code, out: child.stdout.kept.join("\n"), error: child.stderr.kept.join("\n") };
}

async function filled(scope: Scope, path: string, megabytes: number): Promise<void> {
  await using app = await scope.open(path);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
  for (let part = 0; part < megabytes / 10; part++) {
    await app.exec("INSERT INTO t VALUES (randomblob(10000000))");
  }
}

scopedTest(
  "copy: a whole state of a database that is written, as an ordinary file",
  async (scope) => {
    const source = await scope.path("p/app.db");
    const writer = await scope.app();
    await writer.startWriter({ path: source, pace_ms: 1 });
    const primary = await scope.start("primary", primaryOf(source));
    const replica = await scope.start(
      "replica",
      replicaOf(await scope.path("r/app.db"), primary, source),
    );
    for (
      const [nth, url] of [primary.url + source, `${replica.url}${scope.folder}/r/app.db`].entries()
    ) {
      const out = await scope.path(`out/${nth}.db`);
      const { code, out: said, error } = await copied(url, out);
      assertEquals(code, 0, error);
      assertMatch(said, /\/out\/\d\.db: .* at [0-9a-f]{16}\/[0-9a-f]{16}, /);
      const app = await scope.open(out);
      assertEquals(await app.value("PRAGMA integrity_check"), "ok");
      const reader = await scope.app();
      await reader.startReader({ path: out });
      const { violations } = await reader.stopReader();
      assertEquals(violations, []);
      await app.exec("CREATE TABLE mine(a)"); // no write guard
    }
    assertUndisturbed(await writer.stopWriter());
    const { replicas } = await primary.database();
    assertEquals(replicas.length, 1, "who copies is no replica");
  },
);

scopedTest("copy: goes on where it was killed, and asks for the rest alone", async (scope) => {
  const source = await scope.path("p/app.db");
  await filled(scope, source, 200);
  // Two and a half seconds from half of it to the end, in which it is killed.
  const primary = await scope.start("primary", {
    ...primaryOf(source),
    "copy-rate-limit": "40MB/s",
  });
  const out = await scope.path("out/app.db");
  const first = copy(primary.url + source, out);
  await eventually(
    "half of it is there",
    async () => (await Deno.stat(`${out}.part`)).size > 100_000_000 || undefined,
  );
  await first.kill();
  assert(await Deno.stat(out).then(() => false, () => true), "no file of that name yet");
  const before = (await primary.database()).counters.sentBytes;
  assertEquals((await copied(primary.url + source, out)).code, 0);
  const sent = (await primary.database()).counters.sentBytes - before;
  assert(sent < 120_000_000, `${sent} bytes were sent again`);
  const { equal, problems } = await compareFiles(source, out);
  assert(equal, problems.join());
  assert(await Deno.stat(`${out}.part`).then(() => false, () => true), "nothing is left");
});

scopedTest("copy: replaces nothing by itself, and nothing that is used", async (scope) => {
  const source = await scope.path("p/app.db");
  await filled(scope, source, 10);
  const primary = await scope.start("primary", primaryOf(source));
  const out = await scope.path("out/app.db");
  const app = await scope.open(out);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE precious(a)");
  const refused = await copied(primary.url + source, out);
  assertEquals([refused.code, refused.error.includes("is there already")], [1, true]);
  const used = await copied(primary.url + source, out, "-force");
  assertEquals([used.code, used.error.includes(`used by process ${app.child.pid}`)], [1, true]);
  assertEquals(await app.value("SELECT count(*) FROM precious"), 0);
  await app.close();
  const forced = await copied(primary.url + source, out, "-force", "-json");
  assertEquals([forced.code, JSON.parse(forced.out).path], [0, out]);
  assertEquals((await describeFile(out)).byte18, 2);
  const { equal, problems } = await compareFiles(source, out);
  assert(equal, problems.join());
});

scopedTest("copy: says what it cannot do", async (scope) => {
  const source = await scope.path("p/app.db");
  await filled(scope, source, 10);
  const primary = await scope.start("primary", primaryOf(source));
  const none = await copied(`${primary.url}/none`, `${scope.folder}/a.db`);
  assertEquals([none.code, none.error.includes("No database of this path")], [1, true]);
  assertEquals((await copied(primary.url, `${scope.folder}/a.db`)).code, 2);
  const nowhere = await copied(primary.url + source, `${scope.folder}/no/a.db`);
  assertEquals([nowhere.code, nowhere.error.includes("no/a.db.part")], [1, true]);
  const closed = await scope.start("closed", { ...primaryOf(source), token: "t0ken" }, false);
  await closed.logged(/listening/);
  const refused = await copied(closed.url + source, `${scope.folder}/a.db`);
  assertEquals([refused.code, refused.error.includes("use -token or -token-file")], [1, true]);
  const left = (await Array.fromAsync(Deno.readDir(scope.folder))).map(({ name }) => name).sort();
  assertEquals(left, ["closed.yml", "p", "primary.yml"]);
});
