/**
 * Whatever comes over HTTP: no request makes a node fail, grow, or touch a file that is not a
 * database of its config.
 */
import fc from "fast-check";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { corpus, drawnRequests } from "../support/hostile_requests.ts";
import type { LiveNode } from "../support/node.ts";
import { Child, eventually } from "../support/process.ts";
import { addressOf, residentBytes, talk } from "../support/raw_http.ts";
import { assertInSync, assertNeverCut, startPair } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const ANSWER_MS = 400;
const AT_ONCE = 16;
const SECRET = "not-served-4711.db";
/** Of a node with a small database; measured 110 to 150 MB after all of this. */
const MOST_RESIDENT_BYTES = 260 * 1024 * 1024;

async function send(
  node: LiveNode,
  requests: readonly (Uint8Array | string)[],
  waitMs = ANSWER_MS,
): Promise<string[]> {
  const address = addressOf(node.address!);
  const answers: string[] = [];
  const left = requests.map((bytes, nth) => ({ bytes, nth }));
  const worker = async (): Promise<void> => {
    for (let next; (next = left.pop()) !== undefined;) {
      answers[next.nth] = await talk(address, next.bytes, waitMs);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return answers;
}

/** Names and sizes of what lies in the folder of a primary, but for its own growing files. */
async function snapshot(folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isFile } of Deno.readDir(folder)) {
    const fixed = isFile && !name.startsWith("app.db");
    names.push(fixed ? `${name} ${(await Deno.stat(`${folder}/${name}`)).size}` : name);
  }
  return names.sort();
}

/** Every system call of a node that names a file; undefined where no process can be traced. */
async function traceFiles(scope: Scope, node: LiveNode): Promise<string | undefined> {
  const path = `${scope.folder}/trace`;
  let tracer: Child;
  try {
    const args = ["-f", "-p", String(node.child.pid), "-e", "trace=%file", "-s", "300", "-o", path];
    tracer = scope.own(new Child({ program: "strace", args }));
  } catch { // it is not installed
    return undefined;
  }
  return await eventually("strace is attached", () => {
    if (tracer.exit !== undefined) return "";
    return tracer.stderr.kept.some((line) => line.includes("attached")) ? path : undefined;
  }) || undefined;
}

function assertNoBugs(node: LiveNode): void {
  assertEquals(node.child.exit, undefined, "it runs");
  const bugs = node.log.filter((line) => /a request failed|a bug|"level":"error"/.test(line));
  assertEquals(bugs, []);
}

scopedTest(
  "no request of a stranger makes a node fail, grow or touch another file",
  async (scope) => {
    const source = await scope.path("primary/app.db");
    const secret = await scope.path(`primary/${SECRET}`);
    await Deno.writeTextFile(secret, "nobody may know that this is here");
    const app = await scope.open(source);
    await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
    const pair = await startPair(scope);
    await assertInSync(pair);
    const folder = `${scope.folder}/primary`;
    const before = await snapshot(folder);
    const trace = await traceFiles(scope, pair.primary);

    const requests = corpus(source, secret);
    const answers = await send(pair.primary, requests);
    const most = requests.length * 0.1;
    const unanswered = () => [...answers.keys()].filter((nth) => answers[nth] === "");
    if (unanswered().length >= most) { // the machine may be busy
      const late = unanswered();
      const again = await send(pair.primary, late.map((nth) => requests[nth]!), 10 * ANSWER_MS);
      for (const [at, nth] of late.entries()) answers[nth] = again[at]!;
    }
    for (const [nth, answer] of answers.entries()) {
      const request = JSON.stringify(requests[nth]!.slice(0, 200));
      assert(!answer.includes("nobody may know"), request);
      assert(!/^HTTP\/1\.\d 500/.test(answer), `${request}: ${answer.slice(0, 300)}`);
    }
    assert(unanswered().length < most, "most are answered");
    assertNoBugs(pair.primary);

    await fc.assert(
      fc.asyncProperty(fc.array(drawnRequests(source), { maxLength: 40 }), async (drawn) => {
        for (const answer of await send(pair.primary, drawn)) {
          assert(!/^HTTP\/1\.\d 500/.test(answer), answer.slice(0, 300));
        }
      }),
      { numRuns: 25, endOnFailure: true },
    );
    assertNoBugs(pair.primary);
    assert(residentBytes(pair.primary.child.pid) < MOST_RESIDENT_BYTES, "it has not grown");
    assertEquals(await snapshot(folder), before, "no new file");
    if (trace !== undefined) {
      const calls = await Deno.readTextFile(trace);
      const touched = calls.split("\n").filter((line) =>
        /not-served|passwd|file:|aaaaaa/.test(line)
      );
      assertEquals(touched, [], "nothing was even asked of the file system");
    }

    await app.exec("INSERT INTO t VALUES(2)");
    await pair.replica.healthy();
    await assertInSync(pair);
    await assertNeverCut(pair.replica);
    await pair.primary.healthy();
  },
);

scopedTest("an answer does not tell whether a file that is not served exists", async (scope) => {
  const source = await scope.path("primary/app.db");
  const secret = await scope.path(`primary/${SECRET}`);
  await Deno.writeTextFile(secret, "x");
  const app = await scope.open(source);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
  const primary = await scope.start("primary", { dbs: [{ path: source }] });
  for (const endpoint of ["/v1/stream", "/v1/hashes"]) {
    const ask = async (path: string): Promise<unknown> => {
      const query = `path=${encodeURIComponent(path)}&replica=0123456789abcdef`;
      const { status, text } = await primary.getText(`${endpoint}?${query}`);
      return { status, text };
    };
    const there = await ask(secret);
    assertEquals(there, await ask(`${scope.folder}/primary/no-such-file.db`));
    assertEquals(there, await ask(`${source}-wal`));
    assertEquals(
      there,
      await ask(`${scope.folder}/primary/./app.db`),
      "paths are compared as written",
    );
    assertMatch(JSON.stringify(there), /404/);
  }
});
