/**
 * The bytes of a body as they come; of a request, within limits of bytes and time. May import: base/.
 *
 * They are read into one buffer: the usual reader makes, zeroes and throws away 64 KiB for each read,
 * and the collector counts them. So what is handed on is good until the next bytes are asked for.
 * @module
 */
import type { Clock } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import type { Bytes } from "../base/bytes.ts";

export interface BodyLimits {
  readonly bytes: number;
  /** From now until the last byte. */
  readonly ms: number;
}

/** Of the buffer: what is usual has room in the first, and long bodies get more. */
const READ_BYTES = { first: 4096, most: 65536 } as const;
/** A long buffer is given up when so many reads in a row filled little of it. */
const SMALL_READS = 4;

/** Reads a stream of bytes; the stream is locked until cancel(). */
export class BodyReader {
  readonly #reader: ReadableStreamBYOBReader;
  #buffer = new ArrayBuffer(READ_BYTES.first);
  #small = 0;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader({ mode: "byob" });
  }

  /** The next bytes, good until the next call; undefined at the end. Throws what the stream does. */
  async read(): Promise<Bytes | undefined> {
    const { done, value } = await this.#reader.read(new Uint8Array(this.#buffer));
    if (done) return undefined;
    this.#small = value.length * 16 < value.buffer.byteLength ? this.#small + 1 : 0;
    this.#buffer = bufferAfter(value, this.#small);
    return value;
  }

  /** Never throws: it may have failed already. */
  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}

/**
 * The buffer of `value`, or another one if it is too small for what comes, or was much too large for
 * the last `small` reads: each record of a copy has a short end, after which long ones come again.
 */
function bufferAfter({ length, buffer }: Bytes, small: number): ArrayBuffer {
  const { byteLength } = buffer;
  if (length === byteLength && length < READ_BYTES.most) return new ArrayBuffer(4 * length);
  const wasted = byteLength > READ_BYTES.first && small >= SMALL_READS;
  return wasted ? new ArrayBuffer(READ_BYTES.first) : buffer;
}

/**
 * Hands each chunk to `take`.
 * @throws {LiveError} "bad_request" as soon as more has come or it takes longer than `limits` say, or
 * when it breaks off; and what `take` throws.
 */
export async function readBody(
  body: ReadableStream<Uint8Array> | null,
  limits: BodyLimits,
  clock: Clock,
  take: (chunk: Bytes) => void,
): Promise<void> {
  if (body === null) return;
  const reader = new BodyReader(body);
  let late = false;
  const cancel = clock.after(limits.ms, () => {
    late = true;
    void reader.cancel();
  });
  try {
    for (let length = 0;;) {
      const chunk = await reader.read().catch(brokenOff);
      if (late) throw new LiveError("bad_request", `The body did not come within ${limits.ms} ms`);
      if (chunk === undefined) return;
      length += chunk.length;
      if (length > limits.bytes) {
        throw new LiveError("bad_request", `A body of more than ${limits.bytes} bytes`);
      }
      take(chunk);
    }
  } finally {
    cancel();
    await reader.cancel();
  }
}

/** A small body as a whole. @throws as readBody() does. */
export async function textOf(
  body: ReadableStream<Uint8Array> | null,
  limits: BodyLimits,
  clock: Clock,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  await readBody(body, limits, clock, (chunk) => text += decoder.decode(chunk, { stream: true }));
  return text + decoder.decode();
}

function brokenOff(): never {
  throw new LiveError("bad_request", "The body broke off");
}
