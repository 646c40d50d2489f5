/**
 * zstd on the wire, record by record: what one side has written the other can read, however little it
 * is. The one module that imports node:zlib. May import: base/.
 *
 * A stream keeps its window from record to record, so the tenth small commit costs less than the
 * first. Compressed on another thread; the event loop only waits.
 * @module
 */
import { Readable } from "node:stream";
import { constants, createZstdCompress, createZstdDecompress, type ZstdCompress } from "node:zlib";
import type { Bytes } from "../base/bytes.ts";

/** Of an answer whose body is compressed. */
export const COMPRESSION_HEADER = "litestream-live-compression";

/** Fast, and some 300 KiB of memory a stream. */
const PARAMS = {
  [constants.ZSTD_c_compressionLevel]: 1,
  [constants.ZSTD_c_windowLog]: 18,
};
/** The most that a window may take that somebody else has chosen. */
const WINDOW_LOG_MAX = 20;

/** One direction of one stream. */
export class Compressor implements Disposable {
  readonly #zstd: ZstdCompress = createZstdCompress({ params: PARAMS });
  #pieces: Bytes[] = [];

  constructor() {
    this.#zstd.on("data", (piece: Bytes) => this.#pieces.push(piece));
    this.#zstd.on("error", () => {}); // told to the callback that waits
  }

  /** All of `bytes`, so that the other side can read them now. One call at a time. */
  encode(bytes: Bytes): Promise<Bytes> {
    return new Promise((resolve, reject) => {
      this.#zstd.write(bytes, (error) => {
        if (error) reject(error);
      });
      this.#zstd.flush(constants.ZSTD_e_flush, () => {
        resolve(joined(this.#pieces));
        this.#pieces = [];
      });
    });
  }

  [Symbol.dispose](): void {
    this.#zstd.destroy();
  }
}

/**
 * What a Compressor has made of the bytes of `chunks`, piece by piece: a small chunk that grows to
 * gigabytes is read no faster than it is taken. @throws {Error} for what is not zstd, and what `chunks`
 * throws.
 */
export async function* decompressed(chunks: AsyncIterable<Bytes>): AsyncGenerator<Bytes> {
  const zstd = createZstdDecompress({
    params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
  });
  const source = Readable.from(chunks, { objectMode: false });
  source.on("error", (error) => zstd.destroy(error));
  source.pipe(zstd);
  try {
    for await (const piece of zstd) yield piece;
  } finally {
    source.destroy();
    zstd.destroy();
  }
}

function joined(pieces: readonly Bytes[]): Bytes {
  if (pieces.length === 1) return pieces[0]!;
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
