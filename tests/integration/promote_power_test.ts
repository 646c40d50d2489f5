import { assert, assertEquals } from "../support/assert.ts";
import { describeFile } from "../support/content.ts";
import type { LiveNode } from "../support/node.ts";
import {
  assertSameContent,
  assertSamePosition,
  assertUndisturbed,
  primaryOf,
  replicaOf,
} from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

/** What a promotion writes, each whole or not at all: a rename, one sector, one transaction. */
const PARTS = {
  history: ["app.db-live/history"],
  state: ["app.db-live/state"],
  guard: ["app.db", "app.db-wal"],
} as const;
type Part = keyof typeof PARTS;
type Files = ReadonlyMap<string, Uint8Array<ArrayBuffer> | undefined>;

async function write(scope: Scope, path: string, count: number): Promise<void> {
  await using writer = await scope.app();
  await writer.startWriter({ path, count, pace_ms: 1 });
  assertUndisturbed(await writer.joinWriter());
}

async function read(folder: string): Promise<Files> {
  const files = new Map<string, Uint8Array<ArrayBuffer> | undefined>();
  for (const name of Object.values(PARTS).flat()) {
    files.set(name, await Deno.readFile(`${folder}/${name}`).catch(() => undefined));
  }
  return files;
}

/** In place, so that inodes stay what they were. */
async function put(folder: string, files: Files, parts: readonly Part[]): Promise<void> {
  for (const name of parts.flatMap((part) => PARTS[part])) {
    const bytes = files.get(name);
    if (bytes === undefined) await Deno.remove(`${folder}/${name}`).catch(() => {});
    else await Deno.writeFile(`${folder}/${name}`, bytes);
  }
}

/** A primary that nobody has told of a promotion. */
async function afresh(primary: LiveNode, path: string): Promise<void> {
  await primary.kill();
  await Deno.remove(`${path}-live/history`).catch(() => {});
  primary.start();
  await primary.healthy();
}

scopedTest(
  "promote: whatever of it a power cut leaves, it is the replica or the primary",
  async (scope) => {
    const [source, copy] = [await scope.path("old/app.db"), await scope.path("next/app.db")];
    const folder = copy.slice(0, copy.lastIndexOf("/"));
    await write(scope, source, 100);
    const old = await scope.start("old", primaryOf(source));
    const next = await scope.start("next", replicaOf(copy, old, source));
    await assertSamePosition(old, next);
    await next.kill();
    const before = await read(folder);
    next.start();
    await assertSamePosition(old, next);
    const { status } = await next.post("/promote", { path: copy });
    assertEquals(status, 200);
    await next.kill();
    const after = await read(folder);
    const became: Record<string, string> = {};
    for (let bits = 0; bits < 8; bits++) {
      const done = (Object.keys(PARTS) as Part[]).filter((_, nth) => (bits & (1 << nth)) !== 0);
      const not = (Object.keys(PARTS) as Part[]).filter((part) => !done.includes(part));
      await put(folder, before, not);
      await put(folder, after, done);
      await Deno.remove(`${copy}-shm`).catch(() => {});
      await afresh(old, source);
      next.start();
      await next.healthy();
      const { role } = await next.database();
      became[done.join(" and ") || "nothing"] = role;
      const { byte18 } = await describeFile(copy);
      assertEquals(byte18, role === "primary" ? 2 : 127, `${done}: guard and role are one`);
      if (role === "primary") await write(scope, copy, 5);
      else {
        await write(scope, source, 5);
        await assertSamePosition(old, next);
        await assertSameContent(source, [copy]);
        assert((await next.database()).counters.firstCopies === 0, `${done}: not copied anew`);
      }
      await next.kill();
    }
    assertEquals(became["nothing"], "replica");
    assertEquals(became["history and state and guard"], "primary");
    assertEquals(became["history"], "replica", "the guard is still there: it did not happen");
  },
);
