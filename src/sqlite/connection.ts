/**
 * One SQLite connection. A node has two a database: *control* (locks, shared memory, reads; no SQL
 * while raw read locks are held) and *worker* (checkpoints and recovery, on another thread).
 * May import: base/.
 *
 * Invariant: while `checkpoint()` or `queryAsync()` runs, no other call uses this connection: SQLite's
 * mutex would stop the event loop for as long as an fsync takes.
 * @module
 */
import { assert } from "../base/assert.ts";
import { LiveError } from "../base/errors.ts";
import { cString, RC, type Sqlite, sqlite, sqliteError, textAt } from "./library.ts";

const OPEN = { readwrite: 0x2, create: 0x4 };
const FCNTL = { persistWal: 10 };
const DBCONFIG_NO_CKPT_ON_CLOSE = 1006;
const MAIN = cString("main");

export interface CheckpointResult {
  readonly rc: number;
  /** Frames in the log, and how many of them are in the database; -1 if unknown. */
  readonly log: number;
  readonly done: number;
}

export class Connection {
  readonly #sqlite: Sqlite = sqlite();
  #handle: Deno.PointerObject | null;
  #running = false;

  /**
   * Opens an existing database read-write; nothing is created.
   * @throws {LiveError} "forbidden" without the permissions, "corrupt" if it is no database.
   */
  constructor(readonly path: string, options: { readonly create?: boolean } = {}) {
    const out = new BigUint64Array(1);
    const flags = OPEN.readwrite | (options.create === true ? OPEN.create : 0);
    const rc = this.#sqlite.sqlite3_open_v2(
      cString(path),
      new Uint8Array(out.buffer),
      flags,
      null,
    );
    this.#handle = Deno.UnsafePointer.create(out[0]!);
    if (rc !== RC.ok) {
      const error = this.#error(rc, `Cannot open "${path}"`);
      this.close(); // SQLite hands out a handle even when open fails.
      throw error;
    }
    this.#sqlite.sqlite3_busy_timeout(this.handle, 0);
    // Whoever closes last must not delete the -wal: readers without write permission need it.
    this.#sqlite.sqlite3_file_control(this.handle, MAIN, FCNTL.persistWal, new Int32Array([1]));
    this.#sqlite.live_db_config(this.handle, DBCONFIG_NO_CKPT_ON_CLOSE, 1);
  }

  get handle(): Deno.PointerObject {
    assert(this.#handle !== null, "connection is closed");
    return this.#handle;
  }

  /** Runs one statement and returns its rows as text. @throws {LiveError} by SQLite's code. */
  query(sql: string): (string | null)[][] {
    const rows: (string | null)[][] = [];
    this.#idle();
    const statement = this.#prepare(sql);
    let rc: number;
    while ((rc = this.#sqlite.sqlite3_step(statement)) === RC.row) rows.push(this.#row(statement));
    this.#finish(statement, rc, sql);
    return rows;
  }

  /** First column of the first row. */
  value(sql: string): string | null {
    return this.query(sql)[0]?.[0] ?? null;
  }

  /** Like query(), on another thread, without rows: a SELECT that may have to recover the WAL. */
  async touch(sql: string): Promise<void> {
    this.#idle();
    const statement = this.#prepare(sql);
    this.#running = true;
    let rc: number;
    try {
      while ((rc = await this.#sqlite.step_async(statement)) === RC.row);
    } finally {
      this.#running = false;
    }
    this.#finish(statement, rc, sql);
  }

  /** PASSIVE or TRUNCATE, on another thread. Never throws for busy: look at `rc`. */
  async checkpoint(mode: "passive" | "truncate"): Promise<CheckpointResult> {
    this.#idle();
    const log = new Int32Array([-1]);
    const done = new Int32Array([-1]);
    this.#running = true;
    try {
      const modeNumber = mode === "passive" ? 0 : 3;
      const rc = await this.#sqlite.live_checkpoint(this.handle, modeNumber, log, done);
      return { rc, log: log[0]!, done: done[0]! }; // also keeps the buffers referenced
    } finally {
      this.#running = false;
    }
  }

  /** After a read. @throws {LiveError} "forbidden" if SQLite could open one of the files for reading only. */
  refuseReadOnly(): void {
    if (this.#sqlite.live_read_only(this.handle) === 0) return;
    throw new LiveError(
      "forbidden",
      `Cannot open "${this.path}", its -wal or its -shm for writing: a permission is missing, or ` +
        "the disk failed",
    );
  }

  /** Makes this the worker: see live.c. The control connection must hold CKPT shared. */
  becomeWorker(): void {
    const rc = this.#sqlite.live_worker(this.handle);
    if (rc !== RC.ok) throw sqliteError(rc, `Cannot set up the worker of "${this.path}"`);
  }

  /** Only when the file is given up (moved, replaced): a node that ends just exits. */
  close(): void {
    if (this.#handle !== null) this.#sqlite.sqlite3_close_v2(this.#handle);
    this.#handle = null;
  }

  #idle(): void {
    assert(!this.#running, "connection is used while another thread works on it");
  }

  #prepare(sql: string): Deno.PointerObject {
    const out = new BigUint64Array(1);
    const bytes = cString(sql);
    const buffer = new Uint8Array(out.buffer);
    const rc = this.#sqlite.sqlite3_prepare_v2(this.handle, bytes, bytes.length, buffer, null);
    const statement = Deno.UnsafePointer.create(out[0]!);
    if (rc !== RC.ok || statement === null) throw this.#error(rc, `Cannot run "${sql}"`);
    return statement;
  }

  #row(statement: Deno.PointerObject): (string | null)[] {
    const columns = this.#sqlite.sqlite3_column_count(statement);
    return Array.from(
      { length: columns },
      (_, column) => textAt(this.#sqlite.sqlite3_column_text(statement, column)) ?? null,
    );
  }

  #finish(statement: Deno.PointerObject, rc: number, sql: string): void {
    const error = rc === RC.done ? undefined : this.#error(rc, `Cannot run "${sql}"`);
    this.#sqlite.sqlite3_finalize(statement);
    if (error !== undefined) throw error;
  }

  #error(rc: number, what: string): LiveError {
    const detail = this.#handle === null
      ? undefined
      : textAt(this.#sqlite.sqlite3_errmsg(this.#handle));
    return sqliteError(rc, what, detail);
  }
}
