import { assert, assertEquals } from "../support/assert.ts";
import { EXECUTABLE, type StartOptions } from "../support/node.ts";
import { Child, sleep } from "../support/process.ts";
import { assertInSync, assertUndisturbed, primaryOf, replicaOf } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const isRoot = Deno.uid() === 0;

/** Runs a program to its end; its stdout. */
async function output(program: string, ...args: string[]): Promise<string> {
  await using child = new Child({ program, args });
  const { code } = await child.wait(20_000);
  if (code !== 0) throw new Error(`${program} failed: ${child.stderr.kept.join("\n")}`);
  return child.stdout.kept.join("\n");
}

async function works(program: string, ...args: string[]): Promise<boolean> {
  return await output(program, ...args).then(() => true, () => false);
}

/** What other programs write meanwhile; the executable writes in neither. */
const OTHERS = ["*/litestream-live-*", "*/.npm/*", "*/pip-*", "*/.cache/deno/gen/*"];

/** Every file below these folders that changed after `marker`, without the tests' own. */
async function newFiles(marker: string, except: string): Promise<string[]> {
  const places = ["/tmp", "/var/tmp", "/dev/shm", Deno.env.get("HOME") ?? "/tmp"];
  const found = await output(
    "find",
    ...[...new Set(places)],
    ...["-ignore_readdir_race", "-xdev"], // other tests make and remove theirs meanwhile
    ...["(", "-path", `${except}*`, ...OTHERS.flatMap((path) => ["-o", "-path", path]), ")"],
    ...["-prune", "-o", "!", "-type", "d", "-newer", marker],
    ...["(", "-name", "*litestream*", "-o", "-name", "*deno*", "-o", "-name", "*sqlite*", ")"],
    "-print",
  ).catch((error: Error) => error.message);
  return found.split("\n").filter((line) => line !== "" && !line.startsWith("find:"));
}

async function filesBelow(folder: string): Promise<string[]> {
  const found = await output("find", folder, "-type", "f");
  return found.split("\n").map((path) => path.slice(folder.length + 1)).sort();
}

/** Replicates a little with both nodes started this way, and compares. */
async function replicate(scope: Scope, options: StartOptions, owner?: number): Promise<void> {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const writer = await scope.app();
  await writer.startWriter({ path: source, count: 100 });
  assertUndisturbed(await writer.joinWriter());
  if (owner !== undefined) {
    await Deno.chmod(scope.folder, 0o755); // others may enter, only root may write
    await output(
      "chown",
      "-R",
      String(owner),
      `${scope.folder}/primary`,
      `${scope.folder}/replica`,
    );
  }
  const primary = scope.node("primary", primaryOf(source));
  const replica = scope.node("replica", replicaOf(copy, primary, source));
  for (const node of [primary, replica]) {
    node.start(options);
    await node.healthy();
  }
  await writer.startWriter({ path: source, count: 100 });
  assertUndisturbed(await writer.joinWriter());
  await assertInSync({ source, copy, primary, replica });
  await Promise.all([primary.stop(), replica.stop()]);
}

scopedTest(
  "the executable runs without any environment and leaves no file elsewhere",
  async (scope) => {
    const marker = `${scope.folder}/marker`;
    await Deno.writeTextFile(marker, "");
    await sleep(20);
    await replicate(scope, {});
    assertEquals(await newFiles(marker, scope.folder), []);
    const known = /^(primary|replica)\/app\.db(-wal|-shm|-live\/(lock|state|position))?$/;
    const others = (await filesBelow(scope.folder)).filter((path) => !known.test(path));
    assertEquals(others, ["marker", "primary.yml", "replica.yml"]);
  },
);

scopedTest("`version` and `help` work with an empty environment", async () => {
  for (const args of [["version"], ["help"], ["replicate", "-h"]]) {
    await using child = new Child({ program: EXECUTABLE, args, clearEnv: true, cwd: "/" });
    const { code } = await child.wait(10_000);
    assertEquals(code, 0, args.join(" "));
    assert(child.stdout.kept.join("").length > 0, args.join(" "));
  }
});

const NOBODY = 65534;
const asNobody = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--"];
const canBeNobody = isRoot && await works("setpriv", ...asNobody.slice(1), "true");

scopedTest(
  "the executable runs as an ordinary user in a directory it cannot write",
  async (scope) => {
    const executable = `${scope.folder}/litestream-live`;
    await Deno.copyFile(EXECUTABLE, executable); // the checkout may be closed to others
    await Deno.chmod(executable, 0o755);
    await replicate(scope, { wrapper: asNobody, executable, cwd: scope.folder }, NOBODY);
  },
  { ignore: !canBeNobody },
);

const privateMounts = ["unshare", "--mount", "--propagation", "private", "sh", "-c"];
const canMount = isRoot && await works(
  privateMounts[0]!,
  ...privateMounts.slice(1),
  "mount -t tmpfs -o ro,noexec none /var/tmp",
);

for (const flags of ["ro", "noexec", "ro,noexec"]) {
  scopedTest(`the executable runs where the temporary directory is ${flags}`, async (scope) => {
    // TMPDIR and /var/tmp; the test's own directory in /tmp has to stay.
    const closed = `${scope.folder}/closed`;
    await Deno.mkdir(closed);
    const script = `mount -t tmpfs -o ${flags} none ${closed} && ` +
      `mount -t tmpfs -o ${flags} none /var/tmp && exec "$0" "$@"`;
    await replicate(scope, { wrapper: [...privateMounts, script], env: { TMPDIR: closed } });
  }, { ignore: !canMount });
}

scopedTest("the executable holds no text of the machine it was built on", async () => {
  const root = new URL("../../", import.meta.url).pathname;
  const bytes = new TextDecoder("latin1").decode(await Deno.readFile(EXECUTABLE));
  assertEquals(bytes.includes(`${root}src/`), false, "an absolute path of the checkout");
});
