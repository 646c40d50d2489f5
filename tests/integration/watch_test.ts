import { Connection } from "../../src/sqlite/connection.ts";
import { sqlite } from "../../src/sqlite/library.ts";
import { SqliteShm } from "../../src/sqlite/shm.ts";
import { SqliteWatch } from "../../src/sqlite/watch.ts";
import { WalIndex } from "../../src/wal/wal_index.ts";
import type { App } from "../support/app.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { sleep, within } from "../support/process.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

// The native half alone, in this process: no node runs here. Writers are other processes.
sqlite(); // loaded once, for the life of the process

async function database(scope: Scope, name: string): Promise<{ app: App; connection: Connection }> {
  const path = await scope.path(name);
  const app = await scope.open(path);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)");
  const connection = new Connection(path);
  connection.value("SELECT count(*) FROM t");
  return { app, connection };
}

/** Counts what is told of each database until stop() was called. */
class Told {
  readonly counts = new Map<number, number>();
  readonly ended: Promise<void>;
  #news = Promise.withResolvers<void>();

  constructor(readonly watch: SqliteWatch) {
    this.ended = this.#run();
  }

  async #run(): Promise<void> {
    for (let ids; (ids = await this.watch.wait()) !== undefined;) {
      for (const id of ids) this.counts.set(id, this.of(id) + 1);
      this.#news.resolve();
      this.#news = Promise.withResolvers();
    }
  }

  of(id: number): number {
    return this.counts.get(id) ?? 0;
  }

  async more(id: number, than: number): Promise<void> {
    while (this.of(id) <= than) {
      await within(
        10_000,
        this.#news.promise,
        () => `database ${id}, told ${this.of(id)} times, is not told again`,
      );
    }
  }

  async end(): Promise<void> {
    this.watch.stop();
    await this.ended;
  }
}

scopedTest("each commit of another process is told, and of no other database", async (scope) => {
  const one = await database(scope, "one.db");
  const other = await database(scope, "other.db");
  const told = new Told(new SqliteWatch());
  const ids = [one, other].map(({ connection }) => told.watch.add(connection));
  assertEquals(new Set(ids).size, 2);
  for (const id of ids) await told.more(id, 0); // what was there before
  for (let commit = 0; commit < 60; commit++) { // more than a burst begins with
    const before = told.of(ids[0]!);
    await one.app.exec("INSERT INTO t VALUES(1)");
    await told.more(ids[0]!, before);
  }
  assertEquals(told.of(ids[1]!), 1);
  await told.end();
  for (const { connection } of [one, other]) connection.close();
});

/** Rows of a page each. */
const pages = (count: number): string =>
  "INSERT INTO t SELECT randomblob(4000) FROM (WITH RECURSIVE n(i) AS " +
  `(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count}) SELECT i FROM n)`;

scopedTest("a commit is told though no event of the system tells of it", async (scope) => {
  const { app, connection } = await database(scope, "app.db");
  const told = new Told(new SqliteWatch());
  const id = told.watch.add(connection);
  await told.more(id, 0);
  const shm = new SqliteShm(connection);
  const index = new WalIndex(shm);
  const header = index.header()!;
  for (let commit = 1; commit <= 3; commit++) { // the log is not written
    const before = told.of(id);
    index.publish({ ...header, change: header.change + commit });
    await told.more(id, before);
    assertEquals(index.header()!.change, header.change + commit);
  }
  const before = told.of(id);
  await app.exec("INSERT INTO t VALUES(1)");
  await told.more(id, before);
  await told.end();
  shm.close();
  connection.close();
});

scopedTest("a transaction that spills is told when it is committed", async (scope) => {
  const { app, connection } = await database(scope, "app.db");
  const told = new Told(new SqliteWatch());
  const id = told.watch.add(connection);
  await told.more(id, 0);
  const wal = `${connection.path}-wal`;
  const before = (await Deno.stat(wal)).size;
  await app.exec("PRAGMA cache_size=10", "BEGIN", pages(200));
  assert((await Deno.stat(wal)).size > before + 500_000, "it has spilled");
  await sleep(300);
  assertEquals(told.of(id), 1);
  await app.exec("COMMIT");
  await told.more(id, 1);
  await told.end();
  connection.close();
});

scopedTest("a large one is told by the megabyte before, and not once it rests", async (scope) => {
  const { app, connection } = await database(scope, "app.db");
  const told = new Told(new SqliteWatch());
  const id = told.watch.add(connection);
  await told.more(id, 0);
  await app.exec("PRAGMA cache_size=10", "BEGIN");
  let megabytes = 0;
  while (told.of(id) < 3 && megabytes < 400) { // on a busy machine it may be written between looks
    await app.exec(pages(2500));
    megabytes += 10.3;
  }
  assert(told.of(id) >= 3, `${megabytes} MB were written, and nobody was told`);
  await sleep(300);
  const times = told.of(id);
  assert(times <= 1 + megabytes, `${times} times for ${megabytes} MB`);
  await sleep(300);
  assertEquals(told.of(id), times, "nothing is written any more");
  await app.exec("ROLLBACK", "INSERT INTO t VALUES('a commit')");
  await told.more(id, times);
  await told.end();
  connection.close();
});

scopedTest("a database is unmapped while others are waited for, again and again", async (scope) => {
  const { app, connection } = await database(scope, "app.db");
  const other = await database(scope, "other.db");
  const told = new Told(new SqliteWatch());
  const id = told.watch.add(connection);
  await app.startWriter({ path: connection.path });
  await other.app.startWriter({ path: other.connection.path });
  other.connection.close();
  for (let times = 0; times < 300; times++) {
    const again = new Connection(other.connection.path);
    again.value("SELECT 1 FROM sqlite_schema");
    const number = told.watch.add(again);
    if (times % 3 === 0) await told.more(id, told.of(id));
    told.watch.remove(number);
    again.close(); // the last of this process: the memory is unmapped
  }
  await told.more(id, told.of(id));
  await app.stopWriter();
  await other.app.stopWriter();
  await told.end();
  connection.close();
});

scopedTest("watching opens no descriptor of the database's files", async (scope) => {
  const { app, connection } = await database(scope, "app.db");
  const open = (): string[] =>
    [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
      try {
        return Deno.readLinkSync(`/proc/self/fd/${name}`);
      } catch {
        return []; // the directory's own
      }
    }).filter((target) => target.startsWith(scope.folder)).sort();
  const before = open();
  const told = new Told(new SqliteWatch());
  const id = told.watch.add(connection);
  await app.exec("INSERT INTO t VALUES(1)");
  await told.more(id, 0);
  assertEquals(open(), before);
  assert(before.length >= 2, "the database and its -shm");
  await told.end();
  connection.close();
});
