/**
 * Chunks of bytes in, records out. May import: base/, changes/records.
 *
 * Invariants: a length is checked against the limit before anything is allocated for it; the bytes
 * of a record are valid until the next one is asked for (one buffer, doubled when it is too small,
 * the remainder moved to its front).
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { LiveError } from "../base/errors.ts";
import { decodeRecord, type Record, RECORD_HEADER_BYTES, recordLength } from "./records.ts";

/** Quiet databases stay there, and a node may follow hundreds of them. */
const FIRST_BYTES = 4096;

/**
 * Yields the records of a stream of chunks; returns at its end.
 * @throws {LiveError} "upstream" or "checksum" at the first byte that cannot be right, and at an end
 * in the middle of a record.
 */
export async function* decode(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Record> {
  let buffer: Bytes = new Uint8Array(FIRST_BYTES);
  let start = 0;
  let end = 0;
  for await (const chunk of chunks) {
    if (end + chunk.length > buffer.length) {
      const held = end - start;
      if (held + chunk.length > buffer.length) {
        const grown = new Uint8Array(Math.max(2 * buffer.length, held + chunk.length));
        grown.set(buffer.subarray(start, end));
        buffer = grown;
      } else {
        buffer.copyWithin(0, start, end);
      }
      start = 0;
      end = held;
    }
    buffer.set(chunk, end);
    end += chunk.length;
    for (;;) {
      const bytes = wholeRecord(buffer, start, end);
      if (bytes === undefined) break;
      start += bytes.length;
      yield decodeRecord(bytes);
    }
    if (start === end) start = end = 0;
  }
  if (start !== end) throw new LiveError("upstream", "Broken stream: it ends inside a record");
}

function wholeRecord(buffer: Bytes, start: number, end: number): Bytes | undefined {
  if (end - start < RECORD_HEADER_BYTES) return undefined;
  const bytes = recordLength(buffer.subarray(start, start + RECORD_HEADER_BYTES));
  return end - start < bytes ? undefined : buffer.subarray(start, start + bytes);
}
