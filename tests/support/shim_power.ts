/**
 * Power cuts of a replica and of a primary: real processes are recorded by tests/fault/shim.c, disks as
 * a cut may leave them are made by tests/fault/shim_disk.py, read by stock SQLite and given to nodes.
 * May import: tests/support.
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "./assert.ts";
import type { LiveNode, NodeConfig } from "./node.ts";
import { eventually, sleep } from "./process.ts";
import type { Scope } from "./scope.ts";
import {
  type DiskReport,
  executable,
  type KeptImage,
  powerCuts,
  scratch,
  Shim,
  type TxidBase,
} from "./shim.ts";
import { ShimApp } from "./shim_app.ts";

/** So small that logs begin anew all the time. */
const SMALL_LOG = { "min-checkpoint-page-count": 60, "max-checkpoint-page-count": 240 };
const SYNC_US = 1500;
export interface PowerOptions {
  readonly seed: number;
  readonly writeMs: number;
  /** Images that stock SQLite reads, at most. */
  readonly images: number;
  /** Images that nodes are started on. */
  readonly nodes: number;
  readonly pageSize?: number;
}

/** With SHIM_VERBOSE, what a run did. */
export function say(what: string, facts: unknown): void {
  // deno-lint-ignore no-console
  if (Deno.env.has("SHIM_VERBOSE")) console.error(what, JSON.stringify(facts));
}

export function startNode(
  scope: Scope,
  name: string,
  config: NodeConfig,
  env: Readonly<Record<string, string>> = {},
): LiveNode {
  const node = scope.node(name, config);
  node.start({ executable: executable(), env });
  return node;
}

function saySummary(what: string, report: DiskReport): void {
  const { failures: _, kept: __, commits: ___, ...facts } = report;
  say(what, facts);
}

function assertSound(report: DiskReport): void {
  assertEquals(report.differences, [], "the record explains the files");
  assertEquals(report.failures, [], `${report.bad} images of ${report.images} are wrong`);
  // A slow machine writes less in the time that there is; usually it is several times as much.
  assert(report.images > 20 && report.states > 5, `too few images: ${JSON.stringify(report)}`);
  assert(report.logs > 3, `the log began anew only ${report.logs} times`);
}

/** Tells the record what the primary is told to be durable on its replica. */
class DurableMarks implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #work: Promise<void>;
  count = 0;

  constructor(primary: LiveNode, shim: Shim) {
    this.#work = this.#poll(primary, shim);
  }

  async #poll(primary: LiveNode, shim: Shim): Promise<void> {
    for (let last = 0; !this.#stop.signal.aborted;) {
      const status = await primary.database().catch(() => undefined);
      const durable = status?.replicas.reduce((most, one) => Math.max(most, one.durable ?? 0), 0) ??
        0;
      if (durable > last) {
        shim.mark(`durable ${durable}`);
        this.count++;
        last = durable;
      }
      await sleep(20);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }
}

export async function replicaPowerLoss(scope: Scope, options: PowerOptions): Promise<void> {
  const { seed, images, nodes, writeMs, pageSize } = options;
  const shim = await Shim.make(scope, ["replica"], { syncUs: SYNC_US });
  const source = await scope.path("primary/app.db");
  const copy = `${shim.root}/replica/app.db`;
  const app = scope.own(new ShimApp({ SHIM_RECORD: shim.record }));
  const { commits } = await app.open(source, "normal", pageSize);
  await app.commits([source], 25);
  const primary = startNode(scope, "primary", { dbs: [{ path: source, ...SMALL_LOG }] });
  await primary.healthy();
  const { txid = 0 } = await primary.database();
  const replica = startNode(scope, "replica", {
    dbs: [{ path: copy, upstream: { url: primary.url, path: source }, ...SMALL_LOG }],
  }, shim.env());
  await using marks = new DurableMarks(primary, shim);
  await app.startWriting([source]);
  await replica.healthy();
  await sleep(writeMs / 2);
  await replica.kill();
  shim.mark("writeback");
  replica.start({ executable: executable(), env: shim.env() });
  await replica.healthy();
  await sleep(writeMs / 2);
  assertEquals((await app.stopWriting()).errors, []);
  await sameAsPrimary(app, [{ primary, source, replica, copy }]);
  await replica.stop();
  const txids = { txid, commits: commits + 25 };
  const report = await powerCuts({
    record: shim.record,
    root: shim.root,
    lossy: ["replica"],
    database: "replica/app.db",
    seed,
    most: images,
    work: `${await scratch(scope)}/image`,
    keep: nodes,
    kept: `${scope.folder}/kept`,
    txids,
  });
  saySummary(`replica, seed ${seed}`, report);
  assertSound(report);
  assert(marks.count > 1, "something was reported as durable");
  await followedAgain(scope, primary, source, report, txids, app);
}

/** A node on all kept images at once, each a replica of the primary that is still there. */
async function followedAgain(
  scope: Scope,
  primary: LiveNode,
  source: string,
  { kept, commits }: DiskReport,
  base: TxidBase,
  app: ShimApp,
): Promise<void> {
  const upstream = { url: primary.url, path: source };
  const dbs = kept.map(({ folder }) => ({ path: `${folder}/replica/app.db`, upstream }));
  const stateless = await withoutState(dbs.map(({ path }) => path));
  const again = startNode(scope, "again", { dbs });
  await app.startWriting([source], 5);
  await sleep(500);
  await app.stopWriting();
  const copies = dbs.map(({ path }, nth): Copy => {
    const which = `image ${JSON.stringify(kept[nth])}`;
    return { primary, source, replica: again, copy: path, which };
  });
  await sameAsPrimary(app, copies);
  for (const [nth, { path }] of dbs.entries()) {
    const txid = openedAt(again, path);
    if (txid === undefined) continue;
    const n = commits[txid - base.txid + base.commits];
    assertEquals(n, kept[nth]!.n ?? n, `it knew where it was: ${copies[nth]!.which}`);
  }
  say("nodes on images", { images: dbs.length, stateless: stateless.size });
  await again.healthy();
  await again.stop();
}

/** Where a replica said it was when it opened its file; undefined if it did not know. */
function openedAt(node: LiveNode, path: string): number | undefined {
  for (const line of node.log.filter((line) => line.includes('"replica open"'))) {
    const { db, position } = JSON.parse(line) as Record<string, string>;
    if (db !== path) continue;
    return position === "unknown" ? undefined : parseInt(position!.split("/")[1]!, 16);
  }
  return undefined;
}

/**
 * Application and primary lose power, the replica does not: whole images of it are beside those of the
 * primary, and in the end the primary's own disk loses what was not fsynced while the replica runs on.
 */
export async function primaryPowerLoss(
  scope: Scope,
  options: PowerOptions & { readonly synchronous: "normal" | "full" },
): Promise<void> {
  const { seed, images, nodes, writeMs, synchronous, pageSize } = options;
  const shim = await Shim.make(scope, ["primary", "replica"], { syncUs: SYNC_US / 3 });
  const source = `${shim.root}/primary/app.db`;
  const copy = `${shim.root}/replica/app.db`;
  const before = { ...shim.env(), ...await shim.boot("before") };
  const app = scope.own(new ShimApp(shim.env()));
  await app.open(source, synchronous, pageSize);
  const config = { dbs: [{ path: source, ...SMALL_LOG }] };
  const primary = startNode(scope, "primary", config, before);
  const replica = startNode(scope, "replica", {
    dbs: [{ path: copy, upstream: { url: primary.url, path: source }, ...SMALL_LOG }],
  }, before);
  await app.startWriting([source]);
  await replica.healthy();
  await sleep(writeMs / 4);
  shim.mark("writeback");
  await sleep(writeMs * 3 / 4);
  assertEquals((await app.stopWriting()).errors, []);
  await sameAsPrimary(app, [{ primary, source, replica, copy }]);
  await loseTail(shim, app, primary, source);
  await sameAsPrimary(app, [{ primary, source, replica, copy }]);
  const { epoch } = await primary.database();
  await app.child.kill();
  await primary.kill();
  await sleep(100);
  replica.pause(); // or it writes while the record is compared with its files
  const report = await powerCuts({
    record: shim.record,
    root: shim.root,
    lossy: ["primary"],
    database: "primary/app.db",
    seed,
    most: images,
    work: `${await scratch(scope)}/image`,
    keep: nodes,
    kept: `${scope.folder}/kept`,
    ...(synchronous === "full" ? { floor: synchronous } : {}),
    last: `${scope.folder}/last`,
  });
  saySummary(`primary, ${synchronous}, seed ${seed}`, report);
  assertSound(report);
  const after = { ...shim.env({ recorded: false }), ...await shim.boot("after") };
  await replicatedAgain(scope, report.kept, epoch, after);

  replica.resume();
  await restore(`${scope.folder}/last/primary`, `${shim.root}/primary`);
  const survivor = scope.own(new ShimApp());
  await survivor.watch([copy]);
  await survivor.open(source, synchronous);
  await survivor.commits([source], 5); // txids that the replica has with another content
  primary.start({ executable: executable(), env: after });
  await primary.healthy(); // before the log can begin anew, which ends the history in any case
  await survivor.startWriting([source]);
  await replica.healthy();
  assertEquals((await survivor.stopWriting()).errors, []);
  const which = "the replica that ran on";
  await sameAsPrimary(survivor, [{ primary, source, replica, copy, which }]);
  assertNotEquals((await primary.database()).epoch, epoch, "a new history");
  const seen = await survivor.unwatch();
  assertEquals(seen.problems, []);
  say("the replica that ran on", { reads: seen.reads, back: seen.back });
}

/**
 * The worst place for the end: the state that is on the disk is about a frame that is on the disk, too,
 * and what follows it in the same log is lost, but not on the replica.
 */
async function loseTail(
  shim: Shim,
  app: ShimApp,
  primary: LiveNode,
  source: string,
): Promise<void> {
  await eventually("the log goes on behind a frame that the state on the disk knows", async () => {
    await app.commits([source], 1);
    await sleep(300); // it is written down
    const state = JSON.parse(await Deno.readTextFile(`${source}-live/state`));
    const { walFrames, walBackfilled } = await primary.database();
    if (state.place.frame !== walFrames || walBackfilled === walFrames) return undefined;
    const salts = await saltsOf(source);
    shim.mark("writeback");
    await app.commits([source], 4);
    return await saltsOf(source) === salts || undefined;
  });
}

/** Another one once the log has begun anew. The -wal has no locks that reading it could cost. */
async function saltsOf(path: string): Promise<string> {
  return (await Deno.readFile(`${path}-wal`)).slice(16, 24).toHex();
}

/** All images at once: an application, a primary and the replica of before on each. */
async function replicatedAgain(
  scope: Scope,
  kept: readonly KeptImage[],
  epoch: string | undefined,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const pairs = kept.filter(({ n }) => n !== null).map((image) => ({
    image,
    source: `${image.folder}/primary/app.db`,
    copy: `${image.folder}/replica/app.db`,
  }));
  const sources = pairs.map(({ source }) => source);
  const stateless = await withoutState(sources);
  for (const source of sources) await sameInode(source);
  const app = scope.own(new ShimApp());
  const ahead: string[] = [];
  for (const [nth, source] of sources.entries()) {
    await app.open(source);
    if (nth % 2 === 0) ahead.push(source);
  }
  await app.commits(ahead, 5); // before a node is there; on the others after
  const primary = startNode(scope, "primaries", { dbs: sources.map((path) => ({ path })) }, env);
  await primary.healthy();
  await app.watch(pairs.map(({ copy }) => copy));
  const replica = startNode(scope, "replicas", {
    dbs: pairs.map(({ source, copy }) => ({
      path: copy,
      upstream: { url: primary.url, path: source },
    })),
  }, env);
  for (let round = 0; round < 2; round++) {
    const copies = pairs.map(({ image, source, copy }): Copy => {
      return { primary, source, replica, copy, which: `image ${JSON.stringify(image)}` };
    });
    for (const { source, which } of copies) {
      assertNotEquals((await primary.database(source)).epoch, epoch, `a new history: ${which}`);
    }
    await sameAsPrimary(app, copies);
    say("pairs on images", { pairs: pairs.length, stateless: stateless.size });
    await app.commits(sources, 3);
  }
  assertEquals((await app.unwatch()).problems, []);
  await replica.stop();
  await primary.stop();
}

/** The file would be the same after a real power cut; here it is a copy with an inode of its own. */
export async function sameInode(path: string): Promise<void> {
  const file = `${path}-live/state`;
  if (!await hasState(path)) return;
  const state = JSON.parse(await Deno.readTextFile(file));
  if (state.place === undefined) return;
  const { dev, ino, birthtime } = await Deno.stat(path);
  const place = { ...state.place, device: dev, inode: ino, born: birthtime?.getTime() ?? 0 };
  await Deno.writeTextFile(file, `${JSON.stringify({ ...state, place })}\n`);
}

/** Makes the files in `folder` those of `image`, in place: their inodes stay. */
async function restore(image: string, folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const wanted = new Set<string>();
  for await (const { name, isDirectory } of Deno.readDir(image)) {
    wanted.add(name);
    if (isDirectory) await restore(`${image}/${name}`, `${folder}/${name}`);
    else await Deno.writeFile(`${folder}/${name}`, await Deno.readFile(`${image}/${name}`));
  }
  for await (const { name } of Deno.readDir(folder)) {
    if (!wanted.has(name)) await Deno.remove(`${folder}/${name}`, { recursive: true });
  }
}

/** Those of `paths` that lost their `<db>-live/state`. */
async function withoutState(paths: readonly string[]): Promise<Set<string>> {
  const without = new Set<string>();
  for (const path of paths) if (!await hasState(path)) without.add(path);
  return without;
}

async function hasState(path: string): Promise<boolean> {
  try {
    return typeof JSON.parse(await Deno.readTextFile(`${path}-live/state`)).id === "string";
  } catch {
    return false;
  }
}

export interface Copy {
  readonly primary: LiveNode;
  readonly source: string;
  readonly replica: LiveNode;
  readonly copy: string;
  /** Said when it differs. */
  readonly which?: string;
}

/** Waits until all are where their primary is, and compares all pages. Nobody may write. */
export async function sameAsPrimary(app: ShimApp, copies: readonly Copy[]): Promise<void> {
  await Promise.all(copies.map(async ({ primary, source, replica, copy, which = "" }) => {
    await eventually(`${copy} is as its primary ${which}`, async () => {
      // A look at the log, now: a status may be older than the last commit by some milliseconds.
      await primary.getText(`/position?${new URLSearchParams({ path: source })}`);
      const [ours, theirs] = [await primary.database(source), await replica.database(copy)];
      if (ours.txid !== theirs.txid || ours.hash !== theirs.hash || ours.epoch !== theirs.epoch) {
        throw new Error(theirs.reason ?? `${theirs.state} at ${theirs.txid} of ${ours.txid}`);
      }
      return true;
    }, 20_000);
  }));
  const comparisons = await app.compare(copies.map(({ source, copy }) => [source, copy]));
  for (const [nth, { equal, problems }] of comparisons.entries()) {
    assert(equal, `${copies[nth]!.copy} ${copies[nth]!.which ?? ""}: ${problems.join("; ")}`);
  }
}
