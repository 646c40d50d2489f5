/** Our WAL and wal-index against those of stock SQLite, which runs in a child process. */
import { isPageSize, parseWalHeader } from "../../../src/wal/format.ts";
import { WalReader } from "../../../src/wal/reader.ts";
import { UNUSED_MARK, WalIndex, type WalIndexHeader } from "../../../src/wal/wal_index.ts";
import { WalWriter } from "../../../src/wal/writer.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { SeededRandom } from "../../support/fake_env.ts";
import { FakeFile } from "../../support/fake_file.ts";
import { FakeShm, REGION_BYTES, SHM_BYTE } from "../../support/fake_shm.ts";
import { inFolder, python } from "../../support/fixtures_sqlite.ts";
import { walBytes } from "../../support/fixtures_wal.ts";

/** The -shm that a process left. */
async function shmOf(path: string): Promise<FakeShm> {
  const bytes = await Deno.readFile(`${path}-shm`);
  const shm = new FakeShm();
  shm.regions.length = 0;
  for (let at = 0; at < bytes.length; at += REGION_BYTES) {
    shm.regions.push(bytes.slice(at, at + REGION_BYTES).buffer);
  }
  return shm;
}

// ---- SQLite writes, we read ----

/** A log of several commits, with a spilled transaction that was rolled back, growth and a shrink. */
const WRITE_LOG = `
path, page_size, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
c = open(path)
c.execute(f"PRAGMA page_size={page_size}")
c.execute("PRAGMA auto_vacuum=incremental")
c.execute("PRAGMA journal_mode=wal")
c.execute("PRAGMA wal_autocheckpoint=0")
c.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)")
c.execute("PRAGMA cache_size=5")
for base in range(0, rows, 100):
    c.execute("BEGIN")
    for a in range(base, base + 100):
        c.execute("INSERT INTO t VALUES(?, randomblob(400))", (a,))
    c.execute("COMMIT")
c.execute("BEGIN")
c.execute("UPDATE t SET b = randomblob(399)")
c.execute("ROLLBACK")
c.execute("UPDATE t SET b = randomblob(398) WHERE a % 3 = 0")
c.execute("DELETE FROM t WHERE a >= ?", (rows // 2,))
c.execute("PRAGMA incremental_vacuum")
print(c.execute("PRAGMA page_count").fetchone()[0])
leave()
`;
/** What stock SQLite makes of the files at the paths and their logs: "ok 0" each. */
const CHECKPOINT = `
for path in sys.argv[1:]:
    c = open(path)
    print(c.execute("PRAGMA integrity_check").fetchone()[0],
          c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
    c.close()
`;

Deno.test("WalReader and WalIndex read what stock SQLite wrote", async (t) => {
  for (const [pageSize, rows] of [[512, 400], [4096, 400], [65536, 200]] as const) {
    await t.step(`${pageSize}-byte pages`, () =>
      inFolder(async (folder) => {
        const path = `${folder}/app.db`;
        const [pageCount] = await python(WRITE_LOG, path, String(pageSize), String(rows));
        const shm = await shmOf(path);
        const header = new WalIndex(shm.connection()).header();
        assert(header !== undefined && isPageSize(header.pageSize));
        assertEquals([header.pageSize, String(header.pageCount)], [pageSize, pageCount]);
        const log = new FakeFile(await Deno.readFile(`${path}-wal`));
        const walHeader = parseWalHeader(log.content.slice(0, 32));
        assertEquals([walHeader?.salt1, walHeader?.salt2], [header.salt1, header.salt2]);

        const file = new FakeFile(await Deno.readFile(path));
        const reader = new WalReader(log);
        reader.begin(header);
        let size = 0;
        let waiting: [number, Uint8Array][] = [];
        reader.read(header.mxFrame, (_frame, { pgno, commit }, buffer, at) => {
          waiting.push([pgno, buffer.slice(at, at + pageSize)]);
          if (commit === 0) return;
          for (const [page, bytes] of waiting) file.write(bytes, (page - 1) * pageSize);
          waiting = [];
          size = commit;
        });
        file.truncate(size * pageSize);
        assertEquals(reader.sum, header.sum);
        assertEquals(await python(CHECKPOINT, path), ["ok 0"]);
        assertEquals(await Deno.readFile(path), file.content);
      }));
  }
});

Deno.test("WalReader and WalIndex read a log that came from a big-endian machine", () =>
  inFolder(async (folder) => {
    const path = `${folder}/app.db`;
    await makeVersions(folder, 512, 60);
    const [before, after] = [
      await Deno.readFile(`${folder}/0`),
      await Deno.readFile(`${folder}/1`),
    ];
    const changed = differing(before, after, 512);
    const frames = changed.map((pgno, nth) => ({
      pgno,
      page: after.slice((pgno - 1) * 512, pgno * 512),
      commit: nth === changed.length - 1 ? after.length / 512 : 0,
    }));
    const log = walBytes({ pageSize: 512, salt1: 3, salt2: 4, bigEndian: true, frames });
    await Deno.writeFile(path, before);
    await Deno.writeFile(`${path}-wal`, log);
    await python(`open(sys.argv[1]).execute("SELECT count(*) FROM t").fetchone(); leave()`, path);
    const header = new WalIndex((await shmOf(path)).connection()).header();
    assertEquals([header?.bigEndian, header?.mxFrame], [true, frames.length]);
    const reader = new WalReader(new FakeFile(log));
    reader.begin(header!);
    reader.read(frames.length, () => {});
    assertEquals(reader.sum, header!.sum);
  }));

const MANY_FRAMES = `
c = open(sys.argv[1])
c.execute("PRAGMA page_size=512")
c.execute("PRAGMA journal_mode=wal")
c.execute("PRAGMA wal_autocheckpoint=0")
c.execute("PRAGMA synchronous=off")
c.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)")
c.execute("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<3000) "
          "INSERT INTO t SELECT n, randomblob(350) FROM c")
for salt in range(2):
    c.execute("UPDATE t SET b = randomblob(350)")
c.execute("UPDATE t SET b = randomblob(350) WHERE a < 300")
leave()
`;

Deno.test("WalIndex.append() makes the hash tables that stock SQLite makes", () =>
  inFolder(async (folder) => {
    const path = `${folder}/app.db`;
    await python(MANY_FRAMES, path);
    const stock = await shmOf(path);
    const header = new WalIndex(stock.connection()).header()!;
    assert(header.mxFrame > 4062 + 4096, `${header.mxFrame} frames`);
    const reader = new WalReader(new FakeFile(await Deno.readFile(`${path}-wal`)));
    reader.begin(header);
    const ours = new FakeShm();
    const walIndex = new WalIndex(ours.connection());
    reader.read(header.mxFrame, (frame, { pgno }) => walIndex.append(frame, pgno));
    walIndex.publish(header);
    assertEquals(ours.regions.length, stock.regions.length);
    for (const [region, memory] of stock.regions.entries()) {
      const from = region === 0 ? SHM_BYTE.pgnos : 0;
      assertEquals(
        new Uint8Array(ours.regions[region]!, from),
        new Uint8Array(memory, from),
        `region ${region}`,
      );
    }
    assertEquals(new Uint8Array(ours.regions[0]!, 0, 96), new Uint8Array(stock.regions[0]!, 0, 96));
  }));

// ---- We write, SQLite reads ----

/** Files 0, 1, 2 of `folder`: three states of one database, the last one smaller. */
const VERSIONS = `
import shutil
folder, page_size, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
path = folder + "/made.db"
def step(version, *statements):
    c = open(path)
    c.execute(f"PRAGMA page_size={page_size}")
    c.execute("PRAGMA journal_mode=wal")
    for statement in statements:
        c.execute(statement)
    c.close()
    shutil.copy(path, f"{folder}/{version}")
fill = ("WITH RECURSIVE c(n) AS (SELECT %d UNION ALL SELECT n+1 FROM c WHERE n<%d) "
        "INSERT INTO t SELECT n, randomblob(450) FROM c")
step(0, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)", fill % (1, rows))
step(1, "UPDATE t SET b = randomblob(440)", fill % (rows + 1, 2 * rows))
step(2, "DELETE FROM t WHERE a > 20", "VACUUM")
`;

async function makeVersions(folder: string, pageSize: number, rows: number): Promise<void> {
  await python(VERSIONS, folder, String(pageSize), String(rows));
}

function differing(before: Uint8Array, after: Uint8Array, pageSize: number): number[] {
  const pages: number[] = [];
  for (let pgno = 1; pgno <= after.length / pageSize; pgno++) {
    const [start, end] = [(pgno - 1) * pageSize, pgno * pageSize];
    const same = end <= before.length &&
      after.subarray(start, end).every((byte, at) => byte === before[start + at]);
    if (!same) pages.push(pgno);
  }
  return pages;
}

/** A database's state as bytes, and the log that leads from one to the next. */
class Replayed {
  readonly wal = new FakeFile();
  readonly shm = new FakeShm();
  readonly walIndex = new WalIndex(this.shm.connection());
  readonly random = new SeededRandom(1);
  readonly #writer: WalWriter;
  header: WalIndexHeader;

  constructor(readonly pageSize: number, public state: Uint8Array) {
    const salts = { salt1: 0, salt2: 0 };
    const sum = { s1: 0, s2: 0 };
    this.header = {
      change: 0,
      bigEndian: false,
      pageSize: 0,
      mxFrame: 0,
      pageCount: 0,
      sum,
      ...salts,
    };
    this.shm.setHeader(this.header);
    this.shm.setMarks(0, UNUSED_MARK, UNUSED_MARK, UNUSED_MARK, UNUSED_MARK);
    this.#writer = new WalWriter(this.wal, this.walIndex, pageSize, this.header);
  }

  async begin(): Promise<void> {
    await this.#writer.begin(this.header, () => this.random.u32());
  }

  add(pgno: number, page: Uint8Array<ArrayBuffer>): void {
    this.#writer.add(pgno, page);
  }

  async goTo(next: Uint8Array): Promise<void> {
    await this.begin();
    for (const pgno of differing(this.state, next, this.pageSize)) {
      this.add(
        pgno,
        Uint8Array.from(next.subarray((pgno - 1) * this.pageSize, pgno * this.pageSize)),
      );
    }
    this.#writer.finish(next.length / this.pageSize);
    this.header = this.#writer.publish(next.length / this.pageSize);
    this.state = next;
  }

  /** All of the log is in the file, and it begins anew. */
  restart(): void {
    this.shm.setWord(SHM_BYTE.backfill, this.header.mxFrame);
    this.header = this.walIndex.restart(this.header, this.random.u32());
  }

  get shmBytes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.shm.regions.length * REGION_BYTES);
    for (const [nth, memory] of this.shm.regions.entries()) {
      bytes.set(new Uint8Array(memory), nth * REGION_BYTES);
    }
    return bytes;
  }
}

interface RecoveryCase {
  readonly name: string;
  readonly file: Uint8Array;
  readonly wal: Uint8Array;
  readonly want: Uint8Array;
}

Deno.test("stock SQLite recovers a WAL that WalWriter wrote", async (t) => {
  for (const [pageSize, rows] of [[512, 3000], [4096, 200], [65536, 300]] as const) {
    await t.step(`${pageSize}-byte pages`, () =>
      inFolder(async (folder) => {
        await makeVersions(folder, pageSize, rows);
        const states = await Promise.all([0, 1, 2].map((nth) => Deno.readFile(`${folder}/${nth}`)));
        const log = new Replayed(pageSize, states[0]!);
        const cases: RecoveryCase[] = [];
        const expect = (name: string, file: number, want: number): void => {
          cases.push({ name, file: states[file]!, wal: log.wal.content, want: states[want]! });
        };
        await log.goTo(states[1]!);
        expect("grown", 0, 1);
        await log.goTo(states[2]!);
        expect("shrunk", 0, 2);
        await log.begin();
        for (let nth = 0; nth < 200; nth++) log.add(1 + nth % 5, new Uint8Array(pageSize).fill(7));
        expect("an aborted transaction behind it", 0, 2);
        log.restart();
        await log.begin();
        expect("a log that has begun anew, its header only", 2, 2);
        await log.goTo(states[1]!);
        expect("a log that began anew, over the old one", 2, 1);
        await recover(folder, cases);
      }));
  }
});

async function recover(folder: string, cases: readonly RecoveryCase[]): Promise<void> {
  const paths = cases.map((_, nth) => `${folder}/case${nth}.db`);
  for (const [nth, { file, wal }] of cases.entries()) {
    await Deno.writeFile(paths[nth]!, file);
    await Deno.writeFile(`${paths[nth]}-wal`, wal);
  }
  assertEquals(await python(CHECKPOINT, ...paths), cases.map(() => "ok 0"));
  for (const [nth, { name, want }] of cases.entries()) {
    assert(sameBytes(await Deno.readFile(paths[nth]!), want), name);
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/**
 * One connection holds the -shm open, so that nobody recovers; then the log and the wal-index come
 * from outside (by a child process: closing the -shm here would drop this process's locks), and
 * SQLite must find everything by the published header and hash tables.
 */
const USE_PUBLISHED = `
import subprocess
path, folder = sys.argv[1:]
def overwrite(name, target):
    subprocess.run(["dd", f"if={name}", f"of={target}", "conv=notrunc", "bs=64k", "status=none"],
                   check=True)
first = open(path)
first.execute("SELECT count(*) FROM t").fetchone()
for nth in (1, 2):
    overwrite(f"{folder}/{nth}.wal", path + "-wal")
    overwrite(f"{folder}/{nth}.shm", path + "-shm")
    second = open(path)
    for c in (first, second):
        print(c.execute("PRAGMA integrity_check").fetchone()[0],
              c.execute("PRAGMA page_count").fetchone()[0],
              c.execute("SELECT count(*), sum(length(b)) FROM t").fetchone())
    second.execute("PRAGMA query_only=1")
second.execute("PRAGMA query_only=0")
second.execute("PRAGMA wal_autocheckpoint=0")
second.execute("INSERT INTO t VALUES(1000000, 'stock goes on')")
print(first.execute("PRAGMA integrity_check").fetchone()[0],
      first.execute("SELECT b FROM t WHERE a = 1000000").fetchone()[0])
print(second.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0],
      first.execute("PRAGMA integrity_check").fetchone()[0])
`;

Deno.test("stock SQLite follows the wal-index that WalWriter published", async (t) => {
  for (const [pageSize, rows] of [[512, 3000], [4096, 200], [65536, 300]] as const) {
    await t.step(`${pageSize}-byte pages`, () =>
      inFolder(async (folder) => {
        await makeVersions(folder, pageSize, rows);
        const states = await Promise.all([0, 1, 2].map((nth) => Deno.readFile(`${folder}/${nth}`)));
        const log = new Replayed(pageSize, states[0]!);
        for (const nth of [1, 2]) {
          await log.begin();
          for (let left = 0; left < 30; left++) log.add(2, new Uint8Array(pageSize)); // dies
          await log.goTo(states[nth]!);
          await Deno.writeFile(`${folder}/${nth}.wal`, log.wal.content);
          await Deno.writeFile(`${folder}/${nth}.shm`, log.shmBytes);
        }
        const path = `${folder}/replica.db`;
        await Deno.writeFile(path, states[0]!);
        const lines = await python(USE_PUBLISHED, path, folder);
        const first = `ok ${states[1]!.length / pageSize} (${2 * rows}, ${
          rows * 440 + rows * 450
        })`;
        const second = `ok ${states[2]!.length / pageSize} (20, ${20 * 440})`;
        assertEquals(lines, [first, first, second, second, "ok stock goes on", "0 ok"]);
      }));
  }
});
