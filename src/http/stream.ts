/**
 * What a request for a stream asks for, and records as the body of its response: the next bytes are
 * asked for when the last have been taken, so a slow replica costs one record of memory. May import:
 * base/, changes/.
 *
 * After the first byte an error can only be an error record; before it, it is thrown, and becomes a
 * status. An enqueued chunk is kept by reference and never written again: it may be shared. It may be given
 * back (base/bytes) when more is asked for: Deno's server has its own reference to the bytes by then.
 * @module
 */
import { type Bytes, parseWords } from "../base/bytes.ts";
import { codeOf, LiveError, messageOf } from "../base/errors.ts";
import { parsePosition } from "../base/types.ts";
import { encodeError } from "../changes/records.ts";
import type { ChangesRequest } from "../changes/source.ts";

export interface StreamEvents {
  /** Bytes have been handed to the connection: from now on its reader keeps us waiting. */
  sent(bytes: Bytes): void;
  /** The reader has taken them. */
  asked(): void;
  /** Called once, whoever ended it. */
  ended(): void;
  /** What a record is on the wire; without it, itself. One at a time. */
  encode?(record: Bytes): Promise<Bytes>;
  /** Waits; how many of so many bytes may leave now, at least one. Without it all, at once. */
  turn?(bytes: number): Promise<number>;
}

/**
 * Waits for the first record. Whoever aborts `stop` cuts the connection, also if its reader takes
 * nothing. @throws what the source throws before the first record.
 */
export async function streamOf(
  records: AsyncIterable<Bytes>,
  stop: AbortController,
  events: StreamEvents,
): Promise<ReadableStream<Bytes>> {
  const iterator = records[Symbol.asyncIterator]();
  let first: IteratorResult<Bytes> | undefined;
  let over = false;
  const end = (): void => {
    if (over) return;
    over = true;
    stop.abort();
    events.ended();
  };
  try {
    first = await iterator.next();
  } catch (error) {
    end();
    throw error;
  }
  const start = (controller: ReadableStreamDefaultController<Bytes>): void => {
    const cut = (): void => {
      if (over) return;
      end();
      controller.error(new Error("given up"));
      void iterator.return?.();
    };
    if (stop.signal.aborted) cut();
    else stop.signal.addEventListener("abort", cut, { once: true });
  };
  /** What is left of a record that leaves in pieces. */
  let rest: Bytes | undefined;
  const nextBytes = async (): Promise<Bytes | undefined> => {
    const { done, value } = first ?? await iterator.next();
    first = undefined;
    if (over || done === true) return undefined; // cut meanwhile, or its end
    return events.encode === undefined ? value : await events.encode(value);
  };
  const pull = async (controller: ReadableStreamDefaultController<Bytes>): Promise<void> => {
    events.asked();
    try {
      const bytes = rest ?? await nextBytes();
      if (over) return;
      if (bytes === undefined) {
        end();
        return controller.close();
      }
      const count = await events.turn?.(bytes.length) ?? bytes.length;
      if (over) return;
      rest = count < bytes.length ? bytes.subarray(count) : undefined;
      const piece = rest === undefined ? bytes : bytes.subarray(0, count);
      controller.enqueue(piece);
      events.sent(piece);
    } catch (error) {
      const record = encodeError(codeOf(error) ?? "sqlite", messageOf(error));
      const bytes = await events.encode?.(record) ?? record;
      if (over) return;
      controller.enqueue(bytes);
      controller.close();
      end();
    }
  };
  const cancel = (): void => {
    end();
    void iterator.return?.();
  };
  return new ReadableStream<Bytes>({ start, pull, cancel }, { highWaterMark: 0 });
}

/** @throws {LiveError} "bad_request". */
export function changesRequest(
  query: (name: string) => string | undefined,
  wanted: number[] | undefined,
): ChangesRequest {
  const since = query("since");
  const hashText = query("hash");
  const hash = hashText === undefined ? undefined : parseWords(hashText);
  if (hashText !== undefined && hash === undefined) {
    throw new LiveError(
      "bad_request",
      `Cannot read "${hashText}" as a hash: must be 16 hex digits`,
    );
  }
  return {
    ...(since === undefined ? {} : { since: parsePosition(since) }),
    ...(hash === undefined ? {} : { hash }),
    ...(wanted === undefined ? {} : { wanted }),
  };
}
