/**
 * What most integration tests do: a primary, replicas of it, and the proof at the end that all hold
 * the same content. May import: tests/support.
 * @module
 */
import type { DatabaseStatus } from "../../src/node/status.ts";
import type { ReaderReport, WriterReport } from "./app.ts";
import { assert, assertEquals } from "./assert.ts";
import { describeFile, eventuallyEqual } from "./content.ts";
import type { DatabaseConfig, LiveNode, NodeConfig } from "./node.ts";
import { eventually } from "./process.ts";
import type { Scope } from "./scope.ts";

export function primaryOf(path: string, rest: Partial<DatabaseConfig> = {}): NodeConfig {
  return { dbs: [{ ...rest, path }] };
}

/** A replica at `path` of the database `upstreamPath` of a node. */
export function replicaOf(path: string, upstream: LiveNode, upstreamPath: string): NodeConfig {
  return { dbs: [{ path, upstream: { url: upstream.url, path: upstreamPath } }] };
}

export interface Pair {
  /** The primary's database, and the replica's. */
  readonly source: string;
  readonly copy: string;
  readonly primary: LiveNode;
  readonly replica: LiveNode;
}

/** A primary and a replica, both started; the database may be there already. */
export async function startPair(scope: Scope, rest: Partial<DatabaseConfig> = {}): Promise<Pair> {
  const source = await scope.path("primary/app.db");
  const copy = await scope.path("replica/app.db");
  const primary = await scope.start("primary", primaryOf(source, rest));
  const replica = await scope.start("replica", replicaOf(copy, primary, source));
  return { source, copy, primary, replica };
}

export interface SameOptions {
  readonly limitMs?: number;
}

/**
 * Waits until both hold the same pages, and says what differs if that does not come true. Nobody may
 * write to `source` any more.
 */
export async function assertSameContent(
  source: string,
  copies: readonly string[],
  options: SameOptions = {},
): Promise<void> {
  for (const copy of copies) {
    await eventuallyEqual(source, copy, options.limitMs);
    const { byte18, byte19 } = await describeFile(copy);
    assertEquals([byte18, byte19], [127, 2], "the replica's write guard");
  }
}

/** The end of most tests: same content, same position and hash. */
export async function assertInSync(pair: Pair, options: SameOptions = {}): Promise<void> {
  await assertSameContent(pair.source, [pair.copy], options);
  await assertSamePosition(pair.primary, pair.replica, pair);
}

/** "epoch/txid" of what is committed now: who is asked for it looks, for a status it does not. */
export async function positionOf(node: LiveNode, path?: string): Promise<string> {
  const database = await node.database(path);
  const query = new URLSearchParams({ path: database.path });
  const { status, text } = await node.getText(`/position?${query}`);
  assertEquals(status, 200, text);
  return JSON.parse(text).position;
}

export async function assertSamePosition(
  primary: LiveNode,
  replica: LiveNode,
  paths: { readonly source?: string; readonly copy?: string } = {},
): Promise<void> {
  const place = ({ epoch, txid, hash }: DatabaseStatus) => ({ epoch, txid, hash });
  await eventually(`${replica.name} is where ${primary.name} is`, async () => {
    await positionOf(primary, paths.source); // it may notice a commit only now
    assertEquals(
      place(await replica.database(paths.copy)),
      place(await primary.database(paths.source)),
    );
    return true;
  });
}

/** What a replica's log says of an upstream that stands. */
export const SILENCE = /The upstream sent nothing for 3 s/;

/**
 * A replica whose upstream was never lost in this run, but for silences that its log tells of: where a
 * whole machine stands for three seconds, streams are cut that nothing is wrong with.
 */
export async function assertNeverCut(node: LiveNode, path?: string): Promise<void> {
  const database = await node.database(path);
  await eventually(`${node.name} has not lost its upstream`, async () => {
    const { counters } = await node.database(path);
    const run = node.log.slice(node.log.findLastIndex((line) => /^exited with/.test(line)) + 1);
    const silences = run.filter((line) =>
      SILENCE.test(line) && line.includes(`"db":${JSON.stringify(database.path)}`)
    );
    assertEquals(counters.upstreamLost, silences.length);
    return true;
  }, 5000); // a line of the log may come after the status
}

/** No replica had to compare hashes: every resume was exact. */
export async function assertNoRepairs(...nodes: readonly LiveNode[]): Promise<void> {
  for (const node of nodes) {
    for (const { path, counters } of (await node.status()).databases) {
      assertEquals(counters.repairs, 0, `repairs of ${path} at node ${node.name}`);
    }
  }
}

/** A writer that was never refused. */
export function assertUndisturbed(writer: WriterReport): void {
  assertEquals(writer.errors, {}, writer.messages.join("; "));
  assert(writer.count > 0, "the writer wrote nothing");
}

/** A reader that saw only whole states, in order. */
export function assertConsistent(reader: ReaderReport): void {
  assertEquals(reader.violations, []);
  assertEquals(reader.errors, {}, reader.messages.join("; "));
  assert(reader.count > 0, "the reader read nothing");
  assert(reader.checks > 0, "the reader never checked integrity");
}
