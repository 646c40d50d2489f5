/**
 * What strangers may hold of this node: streams, requests at work, bytes that wait for a slow reader,
 * and the line, while they copy. No I/O. May import: base/, node/options.
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
  /** Since when it waits for its turn as a copy. */
  turnSince = Infinity;
  /** A record, or the pieces of an answer, that is kept for it; another reader may share it. */
  held: object | undefined;

  /** @param giveUp ends it. */
  constructor(readonly giveUp: () => void) {}
}

/** A first copy or a repair that is being sent. */
export interface Copying {
  /** Waits for its turn; how many of `bytes` may leave now. Once done: all, at once. */
  readonly turn: (bytes: number) => Promise<number>;
  readonly done: () => void;
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
  readonly #pace: CopyPace | undefined;

  constructor(limits: Limits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    if (limits.copyBytes !== undefined) this.#pace = new CopyPace(limits.copyBytes, clock);
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

  /** A stream that begins with a copy, until done(); undefined: nothing limits how fast it leaves. */
  copy(reader: Reader, signal: AbortSignal): Copying | undefined {
    const pace = this.#pace;
    if (pace === undefined) return undefined;
    let over = false;
    const left = pace.enter();
    return {
      turn: async (bytes) => {
        if (over) return bytes;
        reader.turnSince = this.#clock.monotonic();
        const piece = await pace.turn(bytes, signal);
        reader.turnSince = Infinity;
        return piece;
      },
      done: () => {
        over = true;
        left();
      },
    };
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

  /** Of those that keep bytes in memory, also while it waits for its turn. False: nobody waits. */
  #endSlowest(): boolean {
    let slowest: Reader | undefined;
    let oldest = Infinity;
    for (const reader of this.#readers) {
      const since = Math.min(reader.waitingSince, reader.turnSince);
      if (reader.held === undefined || since >= oldest) continue;
      [slowest, oldest] = [reader, since];
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

/** So much of what a timer came too late for is made up for, ms. */
const CREDIT_MS = 50;
/** Between two pieces that one copy gets, ms: its replica gives up after 3 s. */
const TURN_MS = 500;

/**
 * The rate at which all first copies and repairs of a node leave together. Each waits for its turn
 * and gets a piece; an answer has no heartbeats, so the pieces are so small that every copy hears
 * something within TURN_MS, however many there are.
 */
export class CopyPace {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  #copies = 0;
  /** When all that was let go has left (monotonic). */
  #free = -Infinity;
  /** The turn before the next one. */
  #before: Promise<void> = Promise.resolve();

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#clock = clock;
  }

  /** One more copies; call the result when it does so no more. */
  enter(): () => void {
    this.#copies++;
    return once(() => this.#copies--);
  }

  /** Waits for its turn; how many of `bytes` may leave now: one at least, 0 once aborted. */
  async turn(bytes: number, signal: AbortSignal): Promise<number> {
    const before = this.#before;
    const mine = Promise.withResolvers<void>();
    this.#before = mine.promise;
    await before;
    const wait = this.#free - this.#clock.monotonic();
    if (wait > 0) await this.#clock.sleep(wait, signal);
    // Only now: of those that ask at the same moment, the first must not take it for all its own.
    const share = Math.floor(TURN_MS * this.#bytesPerMs / Math.max(1, this.#copies));
    const piece = signal.aborted ? 0 : Math.min(bytes, Math.max(1, share));
    const begin = Math.max(this.#free, this.#clock.monotonic() - CREDIT_MS);
    this.#free = begin + piece / this.#bytesPerMs;
    mine.resolve();
    return piece;
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
