/**
 * The one dlopen of SQLite. Two copies of the library in a process would close each other's POSIX
 * locks, so there is one, loaded at first use. May import: base/.
 * @module
 */
import { type ErrorCode, LiveError } from "../base/errors.ts";
import { libraryPath } from "./assets.ts";

const SYMBOLS = {
  // path, sqlite3**, flags, vfs
  sqlite3_open_v2: { parameters: ["buffer", "buffer", "i32", "pointer"], result: "i32" },
  sqlite3_close_v2: { parameters: ["pointer"], result: "i32" },
  sqlite3_extended_errcode: { parameters: ["pointer"], result: "i32" },
  sqlite3_errmsg: { parameters: ["pointer"], result: "pointer" },
  sqlite3_libversion: { parameters: [], result: "pointer" },
  // sqlite3*, sql, bytes, sqlite3_stmt**, tail
  sqlite3_prepare_v2: {
    parameters: ["pointer", "buffer", "i32", "buffer", "pointer"],
    result: "i32",
  },
  sqlite3_step: { parameters: ["pointer"], result: "i32" },
  sqlite3_finalize: { parameters: ["pointer"], result: "i32" },
  sqlite3_column_count: { parameters: ["pointer"], result: "i32" },
  sqlite3_column_text: { parameters: ["pointer", "i32"], result: "pointer" },
  sqlite3_busy_timeout: { parameters: ["pointer", "i32"], result: "i32" },
  // sqlite3*, schema, op, int* or any
  sqlite3_file_control: { parameters: ["pointer", "buffer", "i32", "buffer"], result: "i32" },
  // sqlite3_stmt*; for recovery, which may read a whole WAL
  step_async: {
    name: "sqlite3_step",
    parameters: ["pointer"],
    result: "i32",
    nonblocking: true,
  },

  // live.c
  live_worker: { parameters: ["pointer"], result: "i32" },
  // sqlite3*, mode, int *nLog, int *nCkpt
  live_checkpoint: {
    parameters: ["pointer", "i32", "buffer", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  live_file: { parameters: ["pointer", "i32"], result: "pointer" },
  live_read_only: { parameters: ["pointer"], result: "i32" },
  live_read: { parameters: ["pointer", "buffer", "i32", "i64"], result: "i32" },
  live_write: { parameters: ["pointer", "buffer", "i32", "i64"], result: "i32" },
  live_sync: { parameters: ["pointer"], result: "i32", nonblocking: true },
  live_size: { parameters: ["pointer", "buffer"], result: "i32" },
  // sqlite3_file*, region, extend, void**
  live_shm_map: { parameters: ["pointer", "i32", "i32", "buffer"], result: "i32" },
  // sqlite3_file*, slot, n, flags
  live_shm_owner: { parameters: ["pointer", "i32" /* slot */], result: "i32" },
  live_shm_lock: { parameters: ["pointer", "i32", "i32", "i32"], result: "i32" },
  live_shm_barrier: { parameters: ["pointer"], result: "void" },
  live_fs_type: { parameters: ["buffer" /* path */], result: "i64" },
  live_inode: { parameters: ["buffer" /* path */], result: "i64" },
  // sqlite3_file* of the database, path of the -wal and its inode
  live_moved: { parameters: ["pointer", "buffer", "i64"], result: "i32" },
  live_place_add: { parameters: ["pointer", "pointer", "buffer", "i64"], result: "i32" },
  live_place_remove: { parameters: ["i32"], result: "void" },
  live_place_look: { parameters: ["buffer", "i32"], result: "i32" },
  live_changed: { parameters: ["buffer" /* path */], result: "i64" },
  live_listener: { parameters: ["i32" /* port */], result: "i32" },
  live_listens: { parameters: ["i32", "i32"], result: "i32" }, // fd, port
  live_trim: { parameters: [], result: "void", nonblocking: true },
  live_watchdog: { parameters: ["i32" /* seconds */], result: "i32" },
  // watch.c
  live_watch_open: { parameters: [], result: "pointer" },
  // watcher, path of the -wal, sqlite3_file* of the database and of the -wal
  live_watch_add: { parameters: ["pointer", "buffer", "pointer", "pointer"], result: "i32" },
  live_watch_remove: { parameters: ["pointer", "i32"], result: "void" },
  live_watch_failed: { parameters: ["pointer"], result: "i32" },
  live_watch_stop: { parameters: ["pointer"], result: "void" },
  live_watch_free: { parameters: ["pointer"], result: "void" },
  // watcher, int *numbers, how many
  live_watch_wait: { parameters: ["pointer", "buffer", "i32"], result: "i32", nonblocking: true },
  // priority.c
  live_processor_time: { parameters: ["buffer" /* double[2] */], result: "i32" },
  live_way_open: { parameters: ["i32" /* nice */], result: "i32" },
  live_way: { parameters: ["i32" /* giving */], result: "void" },
  live_way_given: { parameters: [], result: "i32" },
  live_way_lift: { parameters: ["i32" /* lift */], result: "void" },
  // hash.c: bytes, how many, seed high and low, two words out
  live_hash: { parameters: ["buffer", "i32", "u32", "u32", "buffer"], result: "void" },
  // pages side by side, size of a page, how many, number of the first, two words of each
  live_hash_pages: { parameters: ["buffer", "i32", "i32", "u32", "buffer"], result: "void" },
  live_db_config: { parameters: ["pointer", "i32", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

export type Sqlite = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let loaded: Sqlite | undefined;

/** SQLite, with live.c's functions. Loaded once; every caller gets the same. */
export function sqlite(): Sqlite {
  return loaded ??= Deno.dlopen(libraryPath(), SYMBOLS).symbols;
}

/** "3.54.1" */
export function sqliteVersion(): string {
  return textAt(sqlite().sqlite3_libversion()) ?? "unknown";
}

export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

export function textAt(pointer: Deno.PointerValue): string | undefined {
  return pointer === null ? undefined : new Deno.UnsafePointerView(pointer).getCString();
}

/** Result codes that callers look at. Source: sqlite3.h */
export const RC = {
  ok: 0,
  busy: 5,
  locked: 6,
  readonly: 8,
  ioerr: 10,
  full: 13,
  cantopen: 14,
  protocol: 15,
  notadb: 26,
  row: 100,
  done: 101,
  shortRead: 522,
} as const;

const CODES: Readonly<Record<number, ErrorCode>> = {
  3: "forbidden",
  [RC.busy]: "busy",
  [RC.locked]: "busy",
  [RC.readonly]: "forbidden",
  [RC.ioerr]: "disk",
  11: "corrupt",
  [RC.full]: "disk",
  [RC.cantopen]: "forbidden",
  [RC.protocol]: "busy",
  23: "forbidden",
  [RC.notadb]: "corrupt",
};

/** A failed call as an error; `rc` may be an extended code. */
export function sqliteError(rc: number, what: string, detail?: string): LiveError {
  const text = detail === undefined ? `SQLite code ${rc}` : `${detail} (SQLite code ${rc})`;
  return new LiveError(CODES[rc & 0xff] ?? "sqlite", `${what}: ${text}`, { rc });
}
