import { Connection } from "../../src/sqlite/connection.ts";
import { SqliteFile } from "../../src/sqlite/file.ts";
import { cString, sqlite } from "../../src/sqlite/library.ts";
import { lookForMoves, type Place } from "../../src/sqlite/places.ts";
import { assertEquals } from "../support/assert.ts";
import { type Scope, scopedTest } from "../support/scope.ts";

// The native half alone, in this process: no node runs here.
sqlite(); // loaded once, for the life of the process

interface Open {
  readonly path: string;
  readonly place: Place;
  close(): Promise<void>;
}

async function open(scope: Scope, name: string): Promise<Open> {
  const path = await scope.path(name);
  const app = await scope.open(path);
  await app.exec("PRAGMA journal_mode=wal", "CREATE TABLE t(x)");
  const connection = new Connection(path);
  connection.value("SELECT count(*) FROM t");
  const database = new SqliteFile(connection, "database");
  const wal = new SqliteFile(connection, "wal");
  const walPath = cString(`${path}-wal`);
  const place = database.place(wal, walPath, sqlite().live_inode(walPath));
  return {
    path,
    place,
    async close() {
      place.leave();
      place.leave(); // again: nothing happens
      await Promise.all([database.close(), wal.close()]);
      connection.close();
    },
  };
}

scopedTest(
  "a file that was moved or replaced is found at once, and that it is back",
  async (scope) => {
    const one = await open(scope, "folder/one.db");
    const other = await open(scope, "folder/other.db");
    const look = (): boolean[] => {
      lookForMoves();
      return [one, other].map(({ place }) => place.moved);
    };
    assertEquals([one.place.moved, ...look(), ...look()], [false, false, false, false, false]);
    for (const suffix of ["", "-wal"]) {
      const file = `${one.path}${suffix}`;
      await Deno.rename(file, `${file}.away`);
      assertEquals([look(), look()], [[true, false], [true, false]], `no ${file}`);
      await Deno.copyFile(`${file}.away`, file);
      assertEquals([look(), look()], [[true, false], [true, false]], `another ${file}`);
      await Deno.rename(`${file}.away`, file);
      assertEquals([look(), look()], [[false, false], [false, false]], `${file} is back`);
      await Deno.remove(file);
      assertEquals(look(), [true, false]);
      await one.close();
      Object.assign(one, await open(scope, `folder/another${suffix}.db`));
      assertEquals(look(), [false, false], "its number is another one's now");
    }
    await one.close();
    await other.close();
    lookForMoves(); // at nothing
  },
);

scopedTest(
  "a folder that was moved is found within five looks, and that it is back",
  async (scope) => {
    const { path, place, close } = await open(scope, "above/folder/app.db");
    const folder = path.slice(0, path.lastIndexOf("/folder/"));
    const looks = (): boolean[] =>
      Array.from({ length: 5 }, () => {
        lookForMoves();
        return place.moved;
      });
    assertEquals(looks().includes(true), false);
    await Deno.rename(folder, `${folder}.away`);
    assertEquals(looks().at(-1), true);
    assertEquals(looks(), [true, true, true, true, true]);
    await Deno.rename(`${folder}.away`, folder);
    assertEquals(looks().includes(true), false);
    await close();
  },
);

scopedTest("of many places each is looked at within five looks", async (scope) => {
  const all: Open[] = [];
  for (let nth = 0; nth < 150; nth++) all.push(await open(scope, `many/${nth}.db`));
  const moved = (): number[] => all.flatMap(({ place }, nth) => place.moved ? [nth] : []);
  const seen: number[][] = [];
  const away = [0, 70, 149];
  for (const nth of away) await Deno.rename(all[nth]!.path, `${all[nth]!.path}.away`);
  for (let look = 0; look < 8; look++) {
    lookForMoves();
    seen.push(moved());
  }
  assertEquals(seen[0]!.length < away.length, true, "not all at once");
  for (const found of seen.slice(4)) assertEquals(found, away, "and it stays known");
  for (const nth of away) await Deno.rename(`${all[nth]!.path}.away`, all[nth]!.path);
  for (let look = 0; look < 5; look++) lookForMoves();
  assertEquals(moved(), []);
  for (const one of all) await one.close();
});
