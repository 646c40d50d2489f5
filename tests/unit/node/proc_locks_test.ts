import { holdersIn, lockHolders } from "../../../src/node/proc_locks.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { inFolder } from "../../support/fixtures_sqlite.ts";
import { Child } from "../../support/process.ts";

const TABLE = `1: POSIX  ADVISORY  READ 1234 fd:00:5678 120 120
2: POSIX  ADVISORY  WRITE 1234 fd:00:5678 121 121
3: POSIX  ADVISORY  READ 77 fd:00:5678 128 128
4: POSIX  ADVISORY  READ 4000 fd:00:5678 128 128
4: -> POSIX  ADVISORY  WRITE 555 fd:00:5678 120 120
5: FLOCK  ADVISORY  WRITE 888 fd:00:5678 0 EOF
6: POSIX  ADVISORY  READ 999 fd:00:56789 0 EOF
7: POSIX  ADVISORY  READ 998 fd:00:567 0 EOF
8: OFDLCK ADVISORY  READ -1 fd:00:5678 0 EOF
9: LEASE  ACTIVE    READ 997 fd:00:5678 0 EOF
10: POSIX  MANDATORY WRITE 66 00:1f:5678 0 10
`;

Deno.test("holdersIn() names each other process that locks the file, but not who waits, once and in order", () => {
  assertEquals(holdersIn(TABLE, 5678, 77), [66, 1234, 4000]);
  assertEquals(holdersIn(TABLE, 567, 1), [998]);
  assertEquals(holdersIn(TABLE, 56, 1), []);
});

Deno.test("holdersIn() is empty when there is no table", () => {
  assertEquals(holdersIn("", 5678, 1), []);
  assertEquals(holdersIn("\n\nnonsense\n1:\n", 5678, 1), []);
});

Deno.test("lockHolders() finds a process that has a WAL database open, and nobody once it ends", () =>
  inFolder(async (folder) => {
    const path = `${folder}/app.db`;
    const program = `
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA journal_mode=wal")
c.execute("CREATE TABLE t(a)")
print("ready", flush=True)
sys.stdin.readline()
`;
    await using child = new Child({
      program: "python3",
      args: ["-c", program, path],
      stdin: "piped",
    });
    await new Promise<void>((resolve) => {
      child.stdout.onLine = () => resolve();
    });
    assertEquals(lockHolders(path), [child.pid]);
    assertEquals(lockHolders(`${path}-shm`), [child.pid]);
    await child.kill();
    assertEquals(lockHolders(path), []);
    assert(lockHolders(`${folder}/absent`).length === 0);
  }));
