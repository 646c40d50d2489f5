/**
 * A file in memory. May import: src/base.
 *
 * Faults it may inject: `failAfter` bytes written, every further write is "disk" full (what fits is
 * written, as a disk would).
 * @module
 */
import { LiveError } from "../../src/base/errors.ts";
import type { ByteFile } from "../../src/base/io.ts";
import type { Bytes } from "../../src/base/bytes.ts";

export class FakeFile implements ByteFile {
  #bytes: Bytes;
  #size: number;
  /** Bytes that may still be written. */
  failAfter = Infinity;
  /** What was done, in order: "write 0 32", "sync". */
  readonly calls: string[] = [];
  /** What was read, in order: "0 32". */
  readonly reads: string[] = [];

  constructor(content: Uint8Array = new Uint8Array(0)) {
    this.#bytes = Uint8Array.from(content);
    this.#size = content.length;
  }

  /** A copy of all of it. */
  get content(): Bytes {
    return this.#bytes.slice(0, this.#size);
  }

  read(into: Uint8Array, offset: number): boolean {
    this.reads.push(`${offset} ${into.length}`);
    const end = Math.min(offset + into.length, this.#size);
    into.fill(0);
    if (offset < end) into.set(this.#bytes.subarray(offset, end));
    return end === offset + into.length;
  }

  write(bytes: Uint8Array, offset: number): void {
    this.calls.push(`write ${offset} ${bytes.length}`);
    const fits = Math.min(bytes.length, this.failAfter);
    this.failAfter -= fits;
    this.#reserve(offset + fits);
    this.#bytes.set(bytes.subarray(0, fits), offset);
    if (fits < bytes.length) throw new LiveError("disk", "The fake disk is full");
  }

  sync(): Promise<void> {
    this.calls.push("sync");
    return Promise.resolve();
  }

  size(): number {
    return this.#size;
  }

  truncate(size: number): void {
    this.#bytes.fill(0, size);
    this.#size = Math.min(this.#size, size);
  }

  /** Turns bit `bit` of byte `offset`. */
  flip(offset: number, bit = 0): void {
    this.#bytes[offset]! ^= 1 << bit;
  }

  #reserve(size: number): void {
    if (size > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(size, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#size = Math.max(this.#size, size);
  }
}
