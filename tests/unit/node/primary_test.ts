import { LiveError } from "../../../src/base/errors.ts";
import { type DatabaseId, type Epoch, txid } from "../../../src/base/types.ts";
import { Counters } from "../../../src/node/counters.ts";
import type { DatabaseHandle } from "../../../src/node/handle.ts";
import { LogFollower } from "../../../src/node/log_follower.ts";
import { DATABASE_DEFAULTS, type DatabaseOptions } from "../../../src/node/options.ts";
import { Primary } from "../../../src/node/primary.ts";
import { Pulse } from "../../../src/node/pulse.ts";
import { SavedIndex } from "../../../src/node/saved_index.ts";
import { PageIndex } from "../../../src/pages/page_index.ts";
import type { WalIndexHeader } from "../../../src/wal/wal_index.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { fakeEnv } from "../../support/fake_env.ts";
import { FakeFile } from "../../support/fake_file.ts";
import { headerOf, pageOf, walBytes } from "../../support/fixtures_wal.ts";

const HEADER: WalIndexHeader = {
  change: 1,
  bigEndian: false,
  pageSize: 512,
  mxFrame: 0,
  pageCount: 1,
  sum: { s1: 0, s2: 0 },
  salt1: 7,
  salt2: 8,
};

const FILE = { device: 1, inode: 2, born: 3, changed: () => 4n };

/** A primary whose log is empty and whose wal-index says what `header` says. */
function idlePrimary(
  header: { now: WalIndexHeader | undefined },
  parts: Record<string, unknown> = {},
  limits: Partial<DatabaseOptions> = {},
) {
  const env = fakeEnv();
  const wal = new FakeFile();
  const handle = {
    path: "/data/db",
    database: new FakeFile(),
    wal,
    walIndex: { header: () => header.now, lock: () => undefined },
    backfilled: () => 0,
    isBeingWritten: () => true,
    ...parts,
  } as unknown as DatabaseHandle;
  const index = new PageIndex(512);
  const follower = new LogFollower(wal, index, txid(5));
  follower.begin(HEADER);
  const primary = new Primary(
    {
      options: { ...DATABASE_DEFAULTS, ...limits, path: "/data/db" },
      handle,
      index,
      follower,
      savedIndex: new SavedIndex("/data/db-live", { ...FILE, pageSize: 512 }, index, env),
      id: "00000000000000d1" as DatabaseId,
      epoch: "00000000000000e1" as Epoch,
      ancestors: [],
      counters: new Counters(),
      save: () => {},
      moved: () => {},
      lost: () => {},
    },
    HEADER,
    env,
  );
  return { env, primary, wal };
}

Deno.test("Primary tells replicas and people that its log is not looked at any more", async () => {
  const { env, primary } = idlePrimary({ now: HEADER });
  for (let ms = 0; ms < 10_000; ms += 250) {
    await env.clock.advance(250);
    primary.look();
  }
  assertEquals([primary.trouble(), primary.staleMs()], [undefined, 0]);
  await env.clock.advance(4000); // the slow timer stands still
  assertMatch(primary.trouble() ?? "", /the log has not been looked at for 4 s/);
  assertEquals(primary.staleMs(), 4000, "heartbeats carry it: every replica is behind by that");
  primary.look();
  assertEquals([primary.trouble(), primary.staleMs()], [undefined, 0]);
});

Deno.test("Primary where nothing happens is current all the time", async () => {
  const { env, primary } = idlePrimary({ now: HEADER });
  const told: number[] = [];
  const pulse = new Pulse(env.clock, () => false, () => void primary.look());
  pulse.start();
  for (let ms = 0; ms < 10_000; ms += 50) {
    told.push(primary.staleMs());
    await env.clock.advance(50);
  }
  pulse.stop();
  await env.clock.advance(1300); // the next look is late, on a busy machine
  told.push(primary.staleMs());
  assertEquals(told.filter((ms) => ms > 0), []);
});

Deno.test("Primary is not current while its wal-index cannot be read", async () => {
  const header: { now: WalIndexHeader | undefined } = { now: HEADER };
  const { env, primary } = idlePrimary(header);
  header.now = undefined; // a writer died in it, and another one holds the write lock
  for (let ms = 0; ms < 4000; ms += 250) {
    primary.look();
    await env.clock.advance(250);
  }
  assertMatch(primary.trouble() ?? "", /wal-index header is broken/);
  assertEquals(primary.staleMs(), 4000);
  assertEquals(primary.refresh(), false);
  header.now = HEADER;
  assertEquals(primary.refresh(), true);
  primary.look();
  assertEquals([primary.trouble(), primary.staleMs()], [undefined, 0]);
  await env.clock.advance(2000); // the recovery sees that there is nothing to do
});

Deno.test("Primary takes the write lock only for a header that is broken while nobody writes", async () => {
  const header: { now: WalIndexHeader | undefined } = { now: HEADER };
  const writer = { works: true, publishes: false };
  const calls: string[] = [];
  const lock = () => {
    calls.push("lock");
    return { [Symbol.dispose]: () => calls.push("unlock") };
  };
  const parts = {
    walIndex: { header: () => header.now, lock },
    isBeingWritten: () => {
      if (writer.publishes) header.now = HEADER; // and lets go
      return writer.works;
    },
    recover: () => {
      calls.push("recover");
      header.now = HEADER;
      return Promise.resolve(true);
    },
  };
  const { env, primary } = idlePrimary(header, parts);
  const look = async (): Promise<string[]> => {
    header.now = undefined;
    primary.look();
    await env.clock.advance(50);
    return calls.splice(0);
  };
  assertEquals(await look(), [], "a writer is at work");
  Object.assign(writer, { works: false, publishes: true });
  assertEquals(await look(), [], "it has just let go: it would find the lock taken");
  writer.publishes = false;
  assertEquals(await look(), ["lock", "unlock", "recover"], "it died");
});

Deno.test("Primary reads a large transaction ahead when it is woken, whatever the disk says", () => {
  const frames = [1, 2, 3, 4].map((pgno) => ({ pgno, page: pageOf(512, pgno, 1), commit: 0 }));
  const log = { pageSize: 512, salt1: 7, salt2: 8, bigEndian: false, frames };
  const header: { now: WalIndexHeader | undefined } = { now: HEADER };
  const { primary, wal } = idlePrimary(header);
  wal.write(walBytes(log).subarray(0, 32 + 3 * (24 + 512)), 0);
  primary.look();
  assertEquals(primary.counters.aheadFrames, 0, "the slow timer's look does not");
  primary.woken();
  assertEquals(primary.counters.aheadFrames, 3);
  const { read } = wal;
  wal.read = () => {
    throw new LiveError("disk", "EIO");
  };
  primary.woken();
  assertEquals([primary.isLost, primary.trouble()], [false, undefined]);
  wal.read = read;
  const done = { ...log, frames: [...frames.slice(0, 3), { ...frames[3]!, commit: 4 }] };
  wal.write(walBytes(done), 0);
  header.now = headerOf(done);
  primary.woken();
  assertEquals([primary.position.txid as number, primary.counters.aheadFrames], [6, 3]);
  assertEquals(primary.isSending, false, "nobody follows, and it was small");
});

/**
 * A primary of a log of 5 commits that a reader holds up, so CKPT is lent; somebody backfills all of it
 * and is about to restart it, and the log has been let go.
 */
async function lentPrimary() {
  const header: { now: WalIndexHeader | undefined } = { now: HEADER };
  const nBackfill = { now: 0 };
  const others = { restart: true };
  const pin = () => ({ [Symbol.dispose]: () => {} });
  const parts = {
    walIndex: { header: () => header.now, lock: () => undefined, pin },
    backfilled: () => nBackfill.now,
    checkpoint: () => Promise.resolve({ rc: 0 }),
    lend: () => {},
    reclaim: () => !others.restart,
    isRestarting: () => others.restart,
  };
  const limits = { minCheckpointPageCount: 1, maxCheckpointPageCount: 1 };
  const { env, primary, wal } = idlePrimary(header, parts, limits);
  /** The log of `salt1` has so many commits, the last of which is `change`; all is backfilled. */
  const becomes = (salt1: number, commits: number, change: number) => {
    const frames = Array.from({ length: commits }, (_, nth) => {
      return { pgno: 1, page: pageOf(512, 1, change + nth), commit: 1 };
    });
    const log = { pageSize: 512, salt1, salt2: 8, bigEndian: false, frames };
    wal.write(walBytes(log), 0);
    header.now = { ...headerOf(log), change };
  };
  becomes(7, 5, 6);
  primary.look();
  await env.clock.advance(1);
  nBackfill.now = 5;
  await env.clock.advance(5);
  return { env, primary, becomes, nBackfill, header, others };
}

Deno.test("Primary goes on after any number of restarts while CKPT is lent, if it saw all commits", async () => {
  const { env, primary, becomes, nBackfill } = await lentPrimary();
  assertEquals(primary.position.txid as number, 10);
  for (const [salt1, commits, change] of [[8, 2, 8], [9, 3, 11], [11, 1, 12]] as const) {
    becomes(salt1, commits, change); // the application was quicker than we: backfilled and restarted
    nBackfill.now = commits;
    primary.look();
    assertEquals([primary.isLost, primary.position.txid as number], [false, 4 + change]);
    await env.clock.advance(1);
  }
  primary.end(new LiveError("not_ready", "enough"));
  await env.clock.advance(10);
});

Deno.test("Primary whose log lost a commit unseen while CKPT was lent begins a new history", async () => {
  const { env, primary, becomes } = await lentPrimary();
  becomes(8, 2, 9);
  primary.look();
  assertEquals(primary.isLost, true);
  await env.clock.advance(10);
});

Deno.test("Primary takes CKPT back once it has read the log that is there, not before", async () => {
  const { env, primary, becomes, nBackfill, header, others } = await lentPrimary();
  becomes(8, 2, 8);
  nBackfill.now = 0;
  const written = header.now;
  header.now = undefined; // a writer is in it
  others.restart = false;
  await env.clock.advance(10);
  header.now = written;
  await env.clock.advance(10);
  primary.look();
  assertEquals([primary.isLost, primary.position.txid as number], [false, 12]);
  becomes(9, 1, 9); // by others, now that they may not: a frame that was not backfilled is gone
  primary.look();
  assertEquals(primary.isLost, true);
  await env.clock.advance(10);
});

Deno.test("Primary knows what others backfilled, also where the log could not be read at first", async () => {
  const { env, primary, becomes, nBackfill, header, others } = await lentPrimary();
  becomes(8, 2, 8);
  nBackfill.now = 2;
  const published = header.now;
  becomes(7, 5, 6);
  header.now = published; // the WAL still has the old log's header
  others.restart = false;
  await env.clock.advance(10);
  becomes(8, 2, 8);
  await env.clock.advance(10);
  becomes(9, 1, 9); // the application's own restart: all of it was backfilled
  primary.look();
  assertEquals([primary.isLost, primary.position.txid as number], [false, 13]);
  primary.end(new LiveError("not_ready", "enough"));
  await env.clock.advance(10);
});
