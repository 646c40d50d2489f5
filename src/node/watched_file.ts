/**
 * A file that remembers a read that failed until it succeeds, so that an error that only a replica of
 * ours would see is told here, too. May import: base/.
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { messageOf } from "../base/errors.ts";
import type { ByteFile } from "../base/io.ts";

interface Failure {
  readonly offset: number;
  readonly length: number;
  readonly reason: string;
}

export class WatchedFile implements ByteFile {
  readonly #file: ByteFile;
  #failure: Failure | undefined;

  constructor(file: ByteFile) {
    this.#file = file;
  }

  /** Why it could not be read when it was last tried; undefined while all is well. */
  get trouble(): string | undefined {
    return this.#failure?.reason;
  }

  read(into: Bytes, offset: number): boolean {
    try {
      const whole = this.#file.read(into, offset);
      if (this.#failure?.offset === offset) this.#failure = undefined;
      return whole;
    } catch (error) {
      this.#failure = { offset, length: into.length, reason: messageOf(error) };
      throw error;
    }
  }

  /** Nobody may ever ask for these bytes again. */
  retry(): void {
    if (this.#failure === undefined) return;
    const { length, offset } = this.#failure;
    try {
      this.read(new Uint8Array(length), offset);
    } catch { /* it stays */ }
  }

  write(bytes: Bytes, offset: number): void {
    this.#file.write(bytes, offset);
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  size(): number {
    return this.#file.size();
  }
}
