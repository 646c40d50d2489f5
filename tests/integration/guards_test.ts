import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import type { App } from "../support/app.ts";
import { describeFile } from "../support/content.ts";
import { EXECUTABLE, type LiveNode } from "../support/node.ts";
import { Child, eventually } from "../support/process.ts";
import {
  assertInSync,
  assertSameContent,
  primaryOf,
  replicaOf,
  startPair,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const isRoot = Deno.uid() === 0;
const NOBODY = 65534;
const asNobody = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--"];

async function run(program: string, ...args: string[]): Promise<{ code: number; text: string }> {
  await using child = new Child({ program, args });
  const { code } = await child.wait(20_000);
  return { code, text: [...child.stdout.kept, ...child.stderr.kept].join("\n") };
}

async function filled(scope: Scope, name: string, ...pragmas: string[]): Promise<[string, App]> {
  const path = await scope.path(`${name}/app.db`);
  const app = await scope.open(path);
  await app.exec(...pragmas, "PRAGMA journal_mode=wal", `CREATE TABLE ${name}(a)`);
  await app.exec(`INSERT INTO ${name} VALUES(randomblob(60000))`);
  return [path, app];
}

async function refused(node: LiveNode): Promise<string> {
  const { reason } = await node.until("refuses", ({ state }) => state === "failed");
  assertEquals((await node.health()).status, 503);
  return reason!;
}

for (const pageSize of [4096, 8192]) {
  scopedTest(
    `a refused file with ${pageSize}-byte pages is set aside once that is accepted`,
    async (scope) => {
      const [source, app] = await filled(scope, "ours");
      const [copy, other] = await filled(scope, "theirs", `PRAGMA page_size=${pageSize}`);
      await other.close();
      const { sha256 } = await describeFile(copy);
      const primary = await scope.start("primary", primaryOf(source));
      const replica = await scope.start("replica", replicaOf(copy, primary, source), false);
      assertMatch(await refused(replica), /litestream-live accept \/.*app\.db/);
      const { code, text } = await run(EXECUTABLE, "accept", copy);
      assertEquals(code, 0, text);
      await replica.healthy();
      await app.exec("INSERT INTO ours VALUES(1)");
      await assertSameContent(source, [copy]);
      assertEquals((await describeFile(`${copy}-live/aside-1/app.db`)).sha256, sha256);
    },
  );
}

scopedTest("accepting a file that no node knows says so", async (scope) => {
  const { code, text } = await run(EXECUTABLE, "accept", `${scope.folder}/app.db`);
  assertEquals(code, 1);
  assertMatch(text, /no litestream-live has worked on this database/);
});

scopedTest("a primary of a replica's file is refused and told why", async (scope) => {
  const app = await scope.open(await scope.path("primary/app.db"));
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
  const pair = await startPair(scope);
  await assertInSync(pair);
  await pair.replica.stop();
  const wrong = await scope.start("wrong", primaryOf(pair.copy), false);
  assertMatch(await refused(wrong), /is a replica's file \(write guard set\).*promote/);
});

const UNREADABLE: readonly (readonly [what: string, bytes: Uint8Array])[] = [
  ["no database", new TextEncoder().encode("This is a text and not a database. ".repeat(300))],
  ["an encrypted database", crypto.getRandomValues(new Uint8Array(8192))],
];
for (const [what, bytes] of UNREADABLE) {
  scopedTest(`a file that is ${what} is refused and not touched`, async (scope) => {
    const path = await scope.path("primary/app.db");
    await Deno.writeFile(path, bytes);
    const node = await scope.start("primary", primaryOf(path), false);
    assertMatch(await refused(node), /not a database/);
    assertEquals(await Deno.readFile(path), bytes);
  });
}

scopedTest("a database in EXCLUSIVE locking mode is waited for", async (scope) => {
  const [source, app] = await filled(scope, "ours", "PRAGMA locking_mode=exclusive");
  await app.exec("INSERT INTO ours VALUES(1)");
  const primary = await scope.start("primary", primaryOf(source), false);
  const { reason } = await primary.until(
    "waits",
    ({ state, reason }) => state === "waiting" && reason !== undefined,
  );
  assertMatch(reason!, /locked/);
  await app.exec("INSERT INTO ours VALUES(2)"); // it is not disturbed
  await app.close();
  await primary.healthy();
});

scopedTest("missing permissions are named", async (scope) => {
  const [source, app] = await filled(scope, "ours");
  await app.close();
  await Deno.chmod(scope.folder, 0o755);
  const executable = `${scope.folder}/litestream-live`;
  await Deno.copyFile(EXECUTABLE, executable);
  await Deno.chmod(executable, 0o755);
  const node = scope.node("primary", primaryOf(source));
  node.start({ wrapper: asNobody, executable });
  assertMatch(await refused(node), /No permission to write "\/.*ours\/app\.db-live"/);
}, { ignore: !isRoot });

scopedTest("a replica's files have the owner and mode of its config, always", async (scope) => {
  const [source, app] = await filled(scope, "ours");
  await Deno.chmod(scope.folder, 0o755);
  const primary = await scope.start("primary", primaryOf(source));
  const copy = await scope.path("replica/app.db");
  const owned = { owner: NOBODY, group: NOBODY, mode: "0640" };
  const upstream = { url: primary.url, path: source };
  const replica = await scope.start("replica", { dbs: [{ path: copy, ...owned, upstream }] });
  const check = async (): Promise<void> => {
    for (const suffix of ["", "-wal", "-shm"]) {
      const { uid, gid, mode } = await Deno.stat(`${copy}${suffix}`);
      assertEquals([uid, gid, mode! & 0o777], [NOBODY, NOBODY, 0o640], suffix);
    }
  };
  await check();
  await app.exec("INSERT INTO ours VALUES(1)");
  await replica.stop();
  await Deno.chmod(copy, 0o600); // a person's mistake
  replica.start();
  await replica.healthy();
  await check();
  // A reader of another user, of the group only, who may only read: live data.
  const script = "import os,sqlite3,sys\n" +
    `os.setgroups([]); os.setgid(${NOBODY}); os.setuid(${NOBODY - 1})\n` +
    "db = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True)\n" +
    "print(db.execute('SELECT count(*) FROM ours').fetchone()[0])";
  await app.exec("INSERT INTO ours VALUES(2)");
  await eventually("nobody reads three rows", async () => {
    const { text } = await run("python3", "-c", script, copy);
    if (text === "3") return true;
    throw new Error(text);
  });
  await assertSameContent(source, [copy]);
}, { ignore: !isRoot });

scopedTest("another protocol version is refused with a sentence", async (scope) => {
  const [source] = await filled(scope, "ours");
  const primary = await scope.start("primary", primaryOf(source));
  const path = encodeURIComponent(source);
  const { status, text } = await primary.getText(`/v1/stream?path=${path}&protocol=99`);
  assertEquals(status, 400);
  assertMatch(text, /You speak protocol 99, this node 1/);
  assert(!(await primary.getText(`/v1/stream?path=${path}x`)).text.includes(source));
});
