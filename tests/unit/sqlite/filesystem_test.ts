import { unsafeFilesystem, unsafeName } from "../../../src/sqlite/filesystem.ts";
import { sqlite } from "../../../src/sqlite/library.ts";
import { assertEquals } from "../../support/assert.ts";

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
