/**
 * The body of a request, within limits of bytes and time. May import: base/.
 *
 * Nothing is kept here: each chunk is handed on as it comes, so a body costs what its taker makes of it.
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

/**
 * Hands each chunk to `take`.
 * @throws {LiveError} "bad_request" as soon as more has come or it takes longer than `limits` say, or
 * when it breaks off; and what `take` throws.
 */
export async function readBody(
  body: ReadableStream<Uint8Array> | null,
  limits: BodyLimits,
  clock: Clock,
  take: (chunk: Uint8Array) => void,
): Promise<void> {
  if (body === null) return;
  const reader = body.getReader();
  let late = false;
  const cancel = clock.after(limits.ms, () => {
    late = true;
    void reader.cancel().catch(() => {}); // it has broken off already
  });
  try {
    for (let length = 0;;) {
      const { done, value } = await reader.read().catch(brokenOff);
      if (late) throw new LiveError("bad_request", `The body did not come within ${limits.ms} ms`);
      if (done) return;
      length += value.length;
      if (length > limits.bytes) {
        throw new LiveError("bad_request", `A body of more than ${limits.bytes} bytes`);
      }
      take(value);
    }
  } finally {
    cancel();
    await reader.cancel().catch(() => {}); // it has broken off already
  }
}

/** A small body as a whole. */
export async function wholeBody(
  body: ReadableStream<Uint8Array> | null,
  limits: BodyLimits,
  clock: Clock,
): Promise<Bytes> {
  const bytes = new Uint8Array(limits.bytes);
  let length = 0;
  await readBody(body, limits, clock, (chunk) => {
    bytes.set(chunk, length);
    length += chunk.length;
  });
  return bytes.subarray(0, length);
}

function brokenOff(): never {
  throw new LiveError("bad_request", "The body broke off");
}
