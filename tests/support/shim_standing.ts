/**
 * Power cuts while a replica becomes a primary, and while a primary becomes a replica: every place of the
 * record between the two is cut, and nodes go on with what is left. May import: tests/support.
 * @module
 */
import { formatPosition } from "../../src/base/types.ts";
import { assert, assertEquals, assertMatch } from "./assert.ts";
import type { LiveNode } from "./node.ts";
import { eventually } from "./process.ts";
import type { Scope } from "./scope.ts";
import { type DiskReport, type KeptImage, powerCuts, scratch, Shim } from "./shim.ts";
import { ShimApp } from "./shim_app.ts";
import { type Copy, sameAsPrimary, sameInode, say, startNode } from "./shim_power.ts";

export interface StandingOptions {
  readonly seed: number;
  /** Images of each cut. */
  readonly draws: number;
  /** The node is killed before the fsync of the frame that decides, and started again. */
  readonly killed: boolean;
}

const SYNC_US = 1500;
/** Before; the replica has all of it. */
const COMMITS = 45;
/** An id of a boot; the images are started in another one. */
const [BEFORE, AFTER] = ["before", "after"] as const;

type Env = Readonly<Record<string, string>>;

/** What is recorded: a node and its database, in a folder that loses what was not fsynced. */
interface Recorded {
  readonly shim: Shim;
  /** For processes that are recorded. */
  readonly env: Env;
  readonly path: string;
}

async function recorded(scope: Scope, tops: readonly string[], path: string): Promise<Recorded> {
  const shim = await Shim.make(scope, tops, { syncUs: SYNC_US });
  const env = { ...shim.env(), ...await shim.boot(BEFORE) };
  return { shim, env, path: `${shim.root}/${path}` };
}

/**
 * Asks `node` to change, between the marks; if it is killed in it, it is started again, and `settle` says
 * when that is what it was asked to be.
 */
async function change(
  { shim, env, path }: Recorded,
  node: LiveNode,
  killed: boolean,
  ask: () => Promise<{ readonly status: number }>,
  settle: () => Promise<void>,
): Promise<void> {
  shim.mark("begin");
  if (!killed) {
    assertEquals((await ask()).status, 200);
  } else {
    const rule = shim.rules.add({ path: `${path}-wal`, on: "sync", failure: "kill", from: 1 });
    assertEquals(await ask().catch(() => undefined), undefined, "nobody is told");
    await node.child.wait(5000);
    rule.end();
    node.start({ env });
    await settle();
  }
  shim.mark("said changed");
}

async function imagesOf(
  scope: Scope,
  { shim, path }: Recorded,
  lossy: string,
  { seed, draws }: StandingOptions,
  floor?: "full",
): Promise<DiskReport> {
  const report = await powerCuts({
    record: shim.record,
    root: shim.root,
    lossy: [lossy],
    database: path.slice(shim.root.length + 1),
    seed,
    draws,
    most: 0,
    work: `${await scratch(scope)}/image`,
    kept: `${scope.folder}/kept`,
    ...(floor === undefined ? {} : { floor }),
  });
  assertEquals(report.differences, [], "the record explains the files");
  assertEquals(report.failures, [], `${report.bad} images of ${report.images} are wrong`);
  assert(report.kept.length > 20, `only ${report.kept.length} images that differ`);
  return report;
}

/** The image as if it were where its files were: what names a place or a path names the new one. */
async function moved({ folder }: KeptImage, shim: Shim, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await sameInode(path);
    const history = `${path}-live/history`;
    const text = await Deno.readTextFile(history).catch(() => undefined);
    if (text === undefined) continue;
    await Deno.writeTextFile(history, text.replaceAll(`${shim.root}/`, `${folder}/`));
  }
}

/** Waits until all are open; which are primaries. */
async function roles(node: LiveNode, images: readonly Placed[]): Promise<Map<string, boolean>> {
  const found = new Map<string, boolean>();
  await eventually("all are open", async () => {
    for (const { role, path, readable, reason } of (await node.status()).databases) {
      const which = images.find((one) => one.path === path)?.which;
      if (!readable) throw new Error(`${reason}: ${which}`);
      found.set(path, role === "primary");
    }
    return true;
  }, 30_000);
  return found;
}

interface Placed {
  readonly image: KeptImage;
  readonly path: string;
  /** Said when something is wrong with it. */
  readonly which: string;
}

function placed(image: KeptImage, name: string): Placed {
  return { image, path: `${image.folder}/${name}`, which: `image ${JSON.stringify(image)}` };
}

function isChanged({ said }: KeptImage): boolean {
  return said.includes("changed");
}

/**
 * The replica that is promoted loses power; its upstream is not there, as when one is promoted in need.
 * On every image it is the replica that it was or the promoted primary, and either goes on.
 */
export async function promotionPowerLoss(scope: Scope, options: StandingOptions): Promise<void> {
  const at = await recorded(scope, ["replica"], "replica/app.db");
  const { shim, env, path } = at;
  const source = await scope.path("old/app.db");
  const app = scope.own(new ShimApp());
  await app.open(source);
  await app.commits([source], COMMITS - 5);
  const old = startNode(scope, "old", { dbs: [{ path: source }] });
  await old.healthy();
  const upstream = { url: old.url, path: source };
  const node = startNode(scope, "promoted", { dbs: [{ path, upstream }] }, env);
  await node.healthy();
  await app.commits([source], 5); // so its log has frames
  await sameAsPrimary(app, [{ primary: old, source, replica: node, copy: path }]);
  const { id, epoch, txid } = await old.until("all is durable on the replica", (database) => {
    return database.replicas[0]?.durable === database.txid;
  });
  const parent = formatPosition({ epoch: epoch!, txid: txid! });
  shim.mark(`whole ${COMMITS}`);
  await old.stop(); // it is never told: images of replicas follow it again
  const promote = (): ReturnType<LiveNode["post"]> => node.post("/promote", { path });
  await change(at, node, options.killed, promote, async () => {
    await node.until("is a primary again", ({ readable, role }) => readable && role === "primary");
    assertEquals((await promote()).result, "already");
  });
  const synchronous = options.killed ? "normal" : "full"; // its fsync would be the frame's, too
  const writer = scope.own(new ShimApp(shim.env()));
  await writer.open(path, synchronous);
  await writer.commits([path], 2);
  shim.mark("end");
  await writer.child.kill();
  await node.stop();
  const floor = options.killed ? undefined : "full";
  const report = await imagesOf(scope, at, "replica", options, floor);

  const images = report.kept.map((image) => placed(image, "replica/app.db"));
  for (const { image, path } of images) await moved(image, shim, [path]);
  const boot = { ...shim.env({ recorded: false }), ...await shim.boot(AFTER) };
  const config = { dbs: images.map(({ path }) => ({ path, upstream })) };
  const again = startNode(scope, "again", config, boot);
  const isPrimary = await roles(again, images);
  const [primaries, replicas] = [true, false].map((one) =>
    images.filter(({ path }) => isPrimary.get(path) === one)
  ) as [Placed[], Placed[]];
  say(`promotion, killed: ${options.killed}`, {
    images: report.images,
    replicas: replicas.length,
    primaries: primaries.length,
  });
  for (const { image, which } of replicas) {
    assert(!isChanged(image), `it said that it is a primary, and is a replica: ${which}`);
  }
  assert(replicas.length > 3 && primaries.length > 3, "both were seen");
  for (const { path, which } of primaries) {
    const { result, parent: from } = await again.post("/promote", { path });
    assertEquals([which, result, from], [which, "already", parent]);
    assertEquals([which, (await again.database(path)).id], [which, id], "the same database");
  }
  await followed(scope, again, primaries);
  await refused(scope, replicas);
  await again.stop();
  old.start();
  await old.healthy();
  const resumed = replicas.map(({ path }) => ({ path, upstream }));
  const replica = startNode(scope, "replicas", { dbs: resumed }, boot);
  await replica.healthy();
  await app.commits([source], 3);
  await sameAsPrimary(
    app,
    replicas.map(({ path, which }) => ({ primary: old, source, replica, copy: path, which })),
  );
  await positionsTold(replica, replicas);
  await replica.stop();
}

/** Stock SQLite writes to each of them, and a replica of each follows. */
async function followed(scope: Scope, node: LiveNode, primaries: readonly Placed[]): Promise<void> {
  const app = scope.own(new ShimApp());
  for (const { image, path, which } of primaries) {
    const { n } = await app.open(path);
    assert(n >= image.floor && n === image.n, `${n} is there, not ${image.n}: ${which}`);
  }
  const paths = primaries.map(({ path }) => path);
  await app.commits(paths, 2);
  const copies: Copy[] = [];
  for (const [nth, { path, which }] of primaries.entries()) {
    const copy = await scope.path(`followers/${nth}/app.db`);
    copies.push({ primary: node, source: path, replica: node, copy, which });
  }
  const followers = startNode(scope, "followers", {
    dbs: copies.map(({ source, copy }) => ({
      path: copy,
      upstream: { url: node.url, path: source },
    })),
  });
  await followers.healthy();
  await app.commits(paths, 1);
  await sameAsPrimary(app, copies.map((copy) => ({ ...copy, replica: followers })));
  await followers.stop();
  await app.child.kill();
}

/** The guard is on the file of a replica. */
async function refused(scope: Scope, replicas: readonly Placed[]): Promise<void> {
  const app = scope.own(new ShimApp());
  for (const { path, which } of replicas) {
    await app.open(path);
    const write = app.commits([path], 1);
    const error = await write.then(() => "", (error: Error) => error.message);
    assertMatch(error, /readonly database/, which);
  }
  await app.child.kill();
}

/** `position`, which is never fsynced, says where each is, whatever was left of it. */
async function positionsTold(node: LiveNode, replicas: readonly Placed[]): Promise<void> {
  for (const { path, which } of replicas) {
    const { epoch, txid } = await node.database(path);
    const line = `${formatPosition({ epoch: epoch!, txid: txid! })}\n`;
    await eventually(`the position is in its file: ${which}`, async () => {
      return await Deno.readTextFile(`${path}-live/position`) === line || undefined;
    });
  }
}

/**
 * The primary that is demoted loses power, the replica does not. On every image one of the two is a
 * primary and the other follows it, or both are replicas and a person says who it is; never two primaries.
 */
export async function demotionPowerLoss(scope: Scope, options: StandingOptions): Promise<void> {
  const at = await recorded(scope, ["primary", "replica"], "primary/app.db");
  const { shim, env, path } = at;
  const other = `${shim.root}/replica/app.db`;
  const app = scope.own(new ShimApp(shim.env()));
  await app.open(path, "full");
  await app.commits([path], COMMITS - 5);
  const first = startNode(scope, "first", { dbs: [{ path }] }, env);
  await first.healthy();
  const upstream = { url: first.url, path };
  const second = startNode(scope, "second", { dbs: [{ path: other, upstream }] }, env);
  await second.healthy();
  await app.commits([path], 5);
  await sameAsPrimary(app, [{ primary: first, source: path, replica: second, copy: other }]);
  shim.mark(`whole ${COMMITS}`);
  await app.close([path]); // or a frame that is not published does not exist for it
  const to = `${second.url}${other}`;
  await change(at, first, options.killed, () => first.post("/demote", { path, to }), async () => {
    await first.until("is a replica", ({ readable, role }) => readable && role === "replica");
    assertEquals((await second.post("/promote", { path: other })).result, "promoted");
  });
  await app.open(other);
  await app.commits([other], 2);
  await sameAsPrimary(app, [{ primary: second, source: other, replica: first, copy: path }]);
  shim.mark("end");
  await app.child.kill();
  await first.stop();
  await second.stop();
  const report = await imagesOf(scope, at, "primary", options);

  const sides = ["primary/app.db", "replica/app.db"].map((name) =>
    report.kept.map((image) => placed(image, name))
  ) as [Placed[], Placed[]];
  const [here, there] = sides;
  for (const [nth, { path, image }] of here.entries()) {
    await moved(image, shim, [path, there[nth]!.path]);
  }
  const boot = { ...shim.env({ recorded: false }), ...await shim.boot(AFTER) };
  const dbs = here.map(({ path }) => ({ path }));
  const follow = (nth: number) => ({ url: first.url, path: here[nth]!.path });
  const others = there.map(({ path }, nth) => ({ path, upstream: follow(nth) }));
  // At the addresses of before, which both remember.
  const [one, two] = [
    startNode(scope, "first again", { addr: first.address!, dbs }, boot),
    startNode(scope, "second again", { addr: second.address!, dbs: others }, boot),
  ];
  const [ones, twos] = [await roles(one, here), await roles(two, there)];
  const seen = { primary: 0, replica: 0, neither: 0 };
  const copies: Copy[] = [];
  for (const [nth, { image, path, which }] of here.entries()) {
    const other = there[nth]!.path;
    const [isPrimary, isOther] = [ones.get(path)!, twos.get(other)!];
    assert(!(isPrimary && isOther), `two primaries: ${which}`);
    assert(!isChanged(image) || isOther, `the other was said to be the primary: ${which}`);
    seen[isPrimary ? "primary" : isOther ? "replica" : "neither"]++;
    if (!isPrimary && !isOther) assertEquals((await one.post("/promote", { path })).status, 200);
    copies.push(
      isOther
        ? { primary: two, source: other, replica: one, copy: path, which }
        : { primary: one, source: path, replica: two, copy: other, which },
    );
  }
  say(`demotion, killed: ${options.killed}`, { images: report.images, ...seen });
  assert(seen.primary > 3 && seen.replica > 3, "both were seen");
  for (const node of [one, two]) await node.healthy();
  const writer = scope.own(new ShimApp());
  for (const { source, which } of copies) {
    const { n } = await writer.open(source);
    assert(n >= COMMITS, `${n} is there: ${which}`);
  }
  await writer.commits(copies.map(({ source }) => source), 2);
  await sameAsPrimary(writer, copies);
  for (const node of [one, two]) await node.stop();
}
