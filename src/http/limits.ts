/**
 * What strangers may hold of this node: streams, requests at work, bytes that wait for a slow reader.
 * No I/O. May import: base/, node/options.
 *
 * Invariants: a stream beyond the limit is refused, and those that are there stay; where too many bytes
 * wait, the stream whose reader has taken nothing for the longest time is ended, never a fast one;
 * a reader that takes nothing at all for `stallMs` is given up. Whoever is ended asks again from where
 * it is. What a connection costs before there is a request is Deno's: docs/OPERATING.md "Limits".
 * @module
 */
import type { Clock } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import type { Limits } from "../node/options.ts";

/** Between two looks for readers that have stalled, while there are any. */
const LOOK_MS = { least: 50, most: 5000 } as const;

/** A body of records that is being sent. */
export class Reader {
  /** Since when we wait for it to take what it was given (monotonic); Infinity while it waits for us. */
  waitingSince = Infinity;
  /** A record, or the pieces of an answer, that is kept for it; another reader may share it. */
  held: object | undefined;

  /** @param giveUp ends it. */
  constructor(readonly giveUp: () => void) {}
}

export class Guests {
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #readers = new Set<Reader>();
  readonly #held = new Map<object, { readonly bytes: number; readers: number }>();
  #heldBytes = 0;
  #streams = 0;
  #requests = 0;
  #cancelLook: (() => void) | undefined;

  constructor(limits: Limits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Streams and requests at work, and bytes that are kept for readers. */
  get now(): { readonly streams: number; readonly requests: number; readonly queuedBytes: number } {
    return { streams: this.#streams, requests: this.#requests, queuedBytes: this.#heldBytes };
  }

  /** Call the result when the answer has left. @throws {LiveError} "busy". */
  request(): () => void {
    const { requests } = this.#limits;
    if (this.#requests >= requests) {
      throw new LiveError("busy", `${requests} requests are at work: try again (limits.requests)`);
    }
    this.#requests++;
    return once(() => this.#requests--);
  }

  /** Call the result when the stream has ended. @throws {LiveError} "busy". */
  stream(): () => void {
    const { streams } = this.#limits;
    if (this.#streams >= streams) {
      throw new LiveError(
        "busy",
        `${streams} replicas are connected: no more here (limits.streams)`,
      );
    }
    this.#streams++;
    return once(() => this.#streams--);
  }

  /** Watches a reader until leave(). */
  enter(giveUp: () => void): Reader {
    const reader = new Reader(giveUp);
    this.#readers.add(reader);
    this.#cancelLook ??= this.#lookLater();
    return reader;
  }

  leave(reader: Reader): void {
    this.#readers.delete(reader);
    this.#release(reader);
    if (this.#readers.size > 0) return;
    this.#cancelLook?.();
    this.#cancelLook = undefined;
  }

  /** `reader` was given all it asked for: now it is its turn. */
  sent(reader: Reader, bytes: Uint8Array): void {
    reader.waitingSince = this.#clock.monotonic();
    if (reader.held === undefined) this.holds(reader, bytes, bytes.length);
  }

  /** `reader` has taken it and asks for more. */
  asked(reader: Reader): void {
    reader.waitingSince = Infinity;
    if (reader.held instanceof Uint8Array) this.#release(reader);
  }

  /** These `bytes` stay in memory until `reader` has taken them all; undefined: it has. */
  holds(reader: Reader, pieces: object | undefined, bytes: number): void {
    this.#release(reader);
    if (pieces === undefined || !this.#readers.has(reader)) return;
    reader.held = pieces;
    const known = this.#held.get(pieces);
    if (known !== undefined) known.readers++;
    else {
      this.#held.set(pieces, { bytes, readers: 1 });
      this.#heldBytes += bytes;
    }
    while (this.#heldBytes > this.#limits.queuedBytes && this.#endSlowest()) { /* one by one */ }
  }

  #release(reader: Reader): void {
    const { held } = reader;
    reader.held = undefined;
    const known = held && this.#held.get(held);
    if (held === undefined || known === undefined || --known.readers > 0) return;
    this.#held.delete(held);
    this.#heldBytes -= known.bytes;
  }

  /** Of those that keep bytes in memory. False if nobody keeps us waiting. */
  #endSlowest(): boolean {
    let slowest: Reader | undefined;
    for (const reader of this.#readers) {
      if (reader.held === undefined || reader.waitingSince === Infinity) continue;
      if (reader.waitingSince < (slowest?.waitingSince ?? Infinity)) slowest = reader;
    }
    if (slowest === undefined) return false;
    this.#end(slowest);
    return true;
  }

  #end(reader: Reader): void {
    reader.giveUp();
    this.leave(reader);
  }

  #lookLater(): () => void {
    const ms = Math.min(LOOK_MS.most, Math.max(LOOK_MS.least, this.#limits.stallMs / 4));
    return this.#clock.after(ms, () => {
      const oldest = this.#clock.monotonic() - this.#limits.stallMs;
      for (const reader of [...this.#readers]) {
        if (reader.waitingSince < oldest) this.#end(reader);
      }
      this.#cancelLook = this.#readers.size === 0 ? undefined : this.#lookLater();
    });
  }
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    work();
  };
}
