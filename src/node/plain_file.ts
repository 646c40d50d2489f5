/**
 * A file by a descriptor of its own: only for files that no SQLite of this process has open, since
 * closing it would drop SQLite's locks. May import: base/, wal/format,
 * pages/page_reader.
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import type { ByteFile } from "../base/io.ts";
import { GUARD_VERSION, WRITE_VERSION_BYTE } from "../pages/page_reader.ts";
import { decodePageSize, isPageSize } from "../wal/format.ts";

export class PlainFile implements ByteFile, Disposable {
  constructor(private readonly file: Deno.FsFile, readonly path: string) {}

  /** For reading. @throws {LiveError} "not_ready" if it is not there, "forbidden", "disk". */
  static open(path: string): PlainFile {
    try {
      return new PlainFile(Deno.openSync(path, { read: true }), path);
    } catch (error) {
      throw failed(path, error);
    }
  }

  /** @throws {LiveError} "disk". */
  read(into: Bytes, offset: number): boolean {
    try {
      this.file.seekSync(offset, Deno.SeekMode.Start);
      for (let done = 0; done < into.length;) {
        const read = this.file.readSync(into.subarray(done));
        if (read === null) {
          into.fill(0, done);
          return false;
        }
        done += read;
      }
      return true;
    } catch (error) {
      throw failed(this.path, error);
    }
  }

  write(): void {
    throw new LiveError("disk", `"${this.path}" is only read`);
  }

  sync(): Promise<void> {
    return this.file.sync();
  }

  /** @throws {LiveError} "disk". */
  size(): number {
    try {
      return this.file.statSync().size;
    } catch (error) {
      throw failed(this.path, error);
    }
  }

  [Symbol.dispose](): void {
    this.file.close();
  }
}

/** What a disk does is no bug: it is told, and tried again. */
function failed(path: string, error: unknown): LiveError {
  const code = error instanceof Deno.errors.NotFound
    ? "not_ready"
    : error instanceof Deno.errors.PermissionDenied
    ? "forbidden"
    : "disk";
  return new LiveError(code, `Cannot read "${path}": ${messageOf(error)}`);
}

const MAGIC = "SQLite format 3\0";
const ROLLBACK = 1;

/** Of page 1, after its 100 bytes of header: the b-tree of the schema. */
const SCHEMA_CELLS = 103;

export interface DatabaseHeader {
  readonly pageSize: number;
  readonly rollback: boolean;
  /** One page and no table: nothing can be lost. */
  readonly empty: boolean;
  /** It carries the write guard: it is a replica's, and nobody wrote to it. */
  readonly guarded: boolean;
}

/** What page 1 says; undefined if it is no database (or encrypted). */
export function databaseHeader(file: ByteFile): DatabaseHeader | undefined {
  const bytes = new Uint8Array(108);
  if (!file.read(bytes, 0) || new TextDecoder().decode(bytes.subarray(0, 16)) !== MAGIC) {
    return undefined;
  }
  const pageSize = decodePageSize((bytes[16]! << 8) | bytes[17]!);
  if (!isPageSize(pageSize)) return undefined;
  const cells = (bytes[SCHEMA_CELLS]! << 8) | bytes[SCHEMA_CELLS + 1]!;
  const empty = cells === 0 && file.size() === pageSize;
  const guarded = bytes[WRITE_VERSION_BYTE] === GUARD_VERSION;
  return { pageSize, rollback: bytes[18] === ROLLBACK, empty, guarded };
}
