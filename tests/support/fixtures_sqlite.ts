/**
 * Stock SQLite in a child process, for one short program. May import: tests/support/process.
 * @module
 */
import { Child } from "./process.ts";

/** Begins every program: `sys`, `sqlite3`, `open(path)` in autocommit mode, `hold()`. */
const PRELUDE = `
import os, sqlite3, struct, sys
def open(path, **options):
    return sqlite3.connect(path, isolation_level=None, timeout=1, **options)
def leave():
    "Ends without closing: the -wal and the -shm stay as they are."
    sys.stdout.flush()
    os._exit(0)
`;

/** Runs `program` with `args` in sys.argv[1:]; returns the lines it printed. @throws if it fails. */
export async function python(program: string, ...args: readonly string[]): Promise<string[]> {
  const child = new Child({ program: "python3", args: ["-c", PRELUDE + program, ...args] });
  await using _ended = child;
  const { code } = await child.wait(20_000);
  if (code !== 0) throw new Error(`python3 failed:\n${child.stderr.kept.join("\n")}`);
  return child.stdout.kept;
}

/** A directory for `work`, gone afterwards. */
export async function inFolder(work: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "litestream-live-unit-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
