/** An upstream that means harm: the replica stays whole and small, says why, and asks less often. */
import { parseWords } from "../../src/base/bytes.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { describeFile } from "../support/content.ts";
import {
  HostileUpstream,
  type Ill,
  ILLS,
  ILLS_OF_A_FIRST_COPY,
  type Victim,
} from "../support/hostile_upstream.ts";
import type { LiveNode } from "../support/node.ts";
import { eventually, sleep } from "../support/process.ts";
import { addressOf, residentBytes } from "../support/raw_http.ts";
import { assertInSync, assertSameContent, primaryOf, replicaOf } from "../support/replication.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

const MIB = 1024 * 1024;
/** Without the checks it is gigabytes, or the end of the process. */
const MOST_RESIDENT_BYTES = 400 * MIB;
/** While it is watched. The first pauses are short, then they are half a second and more. */
const WATCHED_MS = 1500;
const MOST_ASKED = 40;

async function victimOf(node: LiveNode): Promise<Victim> {
  const { id, epoch, txid, hash, pageSize, pageCount } = await node.database();
  return {
    id: id!,
    epoch: epoch!,
    txid: txid!,
    hash: parseWords(hash!)!,
    pageSize: pageSize!,
    pageCount: pageCount!,
  };
}

async function primaryWithPages(scope: Scope): Promise<{ source: string; primary: LiveNode }> {
  const source = await scope.path("primary/app.db");
  const app = await scope.open(source);
  await app.exec("PRAGMA page_size=512", "PRAGMA journal_mode=wal", "CREATE TABLE t(a)");
  await app.exec("INSERT INTO t VALUES(randomblob(300000))");
  return { source, primary: await scope.start("primary", primaryOf(source)) };
}

/** The replica meets `ill` and says so; nothing else happens to it. */
async function suffer(replica: LiveNode, upstream: HostileUpstream, ill: Ill): Promise<void> {
  upstream.ill = ill;
  await replica.until(`says why: ${ill.name}`, (database) => {
    return ill.reason.test(`${database.reason} ${database.upstream?.error}`);
  });
  const asked = upstream.asked;
  await sleep(WATCHED_MS);
  assert(upstream.asked - asked <= MOST_ASKED, `asked ${upstream.asked - asked} times`);
  const resident = residentBytes(replica.child.pid);
  assert(resident < MOST_RESIDENT_BYTES, `${Math.round(resident / MIB)} MiB resident`);
  // A hello that claims nothing newer makes it current for a moment, each time it is believed.
  await eventually(
    "it is not healthy",
    async () => (await replica.health()).status === 503 || undefined,
  );
  assertEquals(replica.child.exit, undefined);
}

scopedTest("an upstream that means harm does none to a copy that is there", async (scope, t) => {
  const { source, primary } = await primaryWithPages(scope);
  const copy = await scope.path("replica/app.db");
  const replica = await scope.start("replica", replicaOf(copy, primary, source));
  await assertSameContent(source, [copy]);
  const before = await describeFile(copy);
  const victim = await victimOf(replica);
  await primary.stop();
  {
    await using upstream = new HostileUpstream(addressOf(primary.address!), victim);
    for (const ill of ILLS) {
      await t.step(ill.name, async () => {
        await suffer(replica, upstream, ill);
        const { sha256, pages } = await describeFile(copy);
        assertEquals([sha256, pages], [before.sha256, before.pages], "not a byte has changed");
      });
    }
    await replica.kill(); // or its connections keep the server of the test
  }
  replica.start();
  primary.start();
  await replica.healthy();
  await assertInSync({ source, copy, primary, replica });
});

scopedTest("an upstream that means harm makes no file of a first copy", async (scope, t) => {
  const { source, primary } = await primaryWithPages(scope);
  const copy = await scope.path("replica/app.db");
  const victim = await victimOf(primary);
  await primary.stop();
  const replica = await scope.start("replica", replicaOf(copy, primary, source), false);
  {
    await using upstream = new HostileUpstream(addressOf(primary.address!), victim);
    for (const ill of ILLS_OF_A_FIRST_COPY) {
      await t.step(ill.name, async () => {
        await suffer(replica, upstream, ill);
        const { size, blocks } = await Deno.stat(`${copy}-live/copy`).catch(() => ({
          size: 0,
          blocks: 0,
        }));
        assert(size < 100 * MIB && (blocks ?? 0) * 512 < 100 * MIB, `a copy of ${size} bytes`);
        assertEquals(await Deno.stat(copy).then(() => true, () => false), false, "no file yet");
        await Deno.remove(`${copy}-live/copy`).catch(() => {}); // each begins from nothing
      });
    }
    await replica.kill();
  }
  replica.start();
  primary.start();
  await replica.healthy();
  await assertInSync({ source, copy, primary, replica });
});
