import { replaceFile, unsafeFilesystem, unsafeName } from "../../../src/sqlite/filesystem.ts";
import { sqlite } from "../../../src/sqlite/library.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";

sqlite(); // loaded once, for the life of the process

Deno.test("unsafeName() knows the file systems that share no locks, and no local one", () => {
  const cases: [type: number, name: string | undefined][] = [
    [0x6969, "NFS"],
    [0xff534d42, "CIFS"],
    [0x01021997, "9P"],
    [0x65735546, "FUSE or virtiofs"],
    [0xef53, undefined], // ext4
    [0x58465342, undefined], // XFS
    [0x9123683e, undefined], // btrfs
    [0x01021994, undefined], // tmpfs
    [-1, undefined],
  ];
  for (const [type, name] of cases) assertEquals(unsafeName(type), name, type.toString(16));
});

Deno.test("unsafeFilesystem() lets a temporary directory pass, and what cannot be asked", async () => {
  const folder = await Deno.makeTempDir({ prefix: "litestream-live-unit-" });
  try {
    assertEquals(unsafeFilesystem(folder), undefined);
    assertEquals(unsafeFilesystem(`${folder}/absent`), undefined);
  } finally {
    await Deno.remove(folder);
  }
});

Deno.test("replaceFile() leaves one name with the new content, and what is open as it was", async () => {
  const folder = await Deno.makeTempDir({ prefix: "litestream-live-unit-" });
  const path = `${folder}/file`;
  try {
    for (const text of ["first", "second", "third"]) { // the first has nothing to replace
      using before = text === "first" ? undefined : await Deno.open(path);
      await Deno.writeTextFile(`${path}.new`, text);
      replaceFile(`${path}.new`, path);
      const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
      assertEquals([await Deno.readTextFile(path), names], [text, ["file"]]);
      const old = before && await new Response(before.readable).text();
      assertEquals(old, { second: "first", third: "second" }[text]);
    }
    assertThrows(() => replaceFile(`${path}.new`, path), /No such file/);
    assertEquals(await Deno.readTextFile(path), "third");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
