/**
 * A database file or its WAL, through SQLite's own handle: opening and closing the database file a
 * second time in this process would drop all our locks on it. May import: base/.
 * @module
 */
import { assert } from "../base/assert.ts";
import { LiveError } from "../base/errors.ts";
import type { ByteFile } from "../base/io.ts";
import type { Connection } from "./connection.ts";
import { RC, type Sqlite, sqlite, sqliteError } from "./library.ts";
import { Place } from "./places.ts";

/** SQLite's unix VFS cuts writes of 128 KiB and more by a mask; its own are at most 64 KiB. */
const MAX_WRITE = 65536;

export class SqliteFile implements ByteFile {
  readonly #sqlite: Sqlite = sqlite();
  #open: Deno.PointerObject | undefined;
  #syncing: Promise<unknown> | undefined;
  readonly #name: string;

  /** @throws {LiveError} "not_ready" if there is no WAL (yet). */
  constructor(connection: Connection, readonly part: "database" | "wal") {
    const file = this.#sqlite.live_file(connection.handle, part === "wal" ? 1 : 0);
    this.#name = part === "wal" ? `${connection.path}-wal` : connection.path;
    if (file === null) throw new LiveError("not_ready", `"${this.#name}" is not open`);
    this.#open = file;
  }

  /** Before its connection is closed: waits for an fsync under way; later calls throw "not_ready". */
  async close(): Promise<void> {
    this.#open = undefined;
    await this.#syncing;
  }

  get #file(): Deno.PointerObject {
    if (this.#open !== undefined) return this.#open;
    throw new LiveError("not_ready", `"${this.#name}" is being opened again`);
  }

  read(into: Uint8Array<ArrayBuffer>, offset: number): boolean {
    assert(offset >= 0, "nothing is read before the start of a file");
    const rc = this.#sqlite.live_read(this.#file, into, into.length, BigInt(offset));
    if (rc === RC.ok) return true;
    if (rc === RC.shortRead) return false;
    throw sqliteError(rc, `Cannot read "${this.#name}"`);
  }

  write(bytes: Uint8Array<ArrayBuffer>, offset: number): void {
    for (let done = 0; done < bytes.length; done += MAX_WRITE) {
      const piece = bytes.subarray(done, Math.min(done + MAX_WRITE, bytes.length));
      const rc = this.#sqlite.live_write(this.#file, piece, piece.length, BigInt(offset + done));
      if (rc !== RC.ok) throw sqliteError(rc, `Cannot write "${this.#name}"`);
    }
  }

  /** True if its path or that of its WAL, `wal`, names another file now than this, or than `inode`. */
  moved(wal: Uint8Array<ArrayBuffer>, inode: bigint): boolean {
    return this.#sqlite.live_moved(this.#file, wal, inode) !== 0;
  }

  /** Has it and its open `log` looked at by lookForMoves(), until the place is left: before close(). */
  place(log: SqliteFile, wal: Uint8Array<ArrayBuffer>, inode: bigint): Place {
    return new Place(this.#file, log.#file, wal, inode);
  }

  async sync(): Promise<void> {
    const work = this.#sqlite.live_sync(this.#file);
    this.#syncing = work;
    const rc = await work;
    if (rc !== RC.ok) throw sqliteError(rc, `Cannot fsync "${this.#name}"`);
  }

  size(): number {
    const out = new BigInt64Array(1);
    const rc = this.#sqlite.live_size(this.#file, out);
    if (rc !== RC.ok) throw sqliteError(rc, `Cannot read the size of "${this.#name}"`);
    return Number(out[0]!);
  }
}
