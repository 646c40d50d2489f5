/**
 * One connection to an upstream: its records go into a target, until it ends. May import: base/,
 * wal/format, changes/, node/target.
 *
 * An upstream that sends no byte for 3 s is given up: heartbeats come each second, or what they tell
 * comes beside the stream.
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { eachSecond, type Env, Stop } from "../base/env.ts";
import { type ErrorCode, LiveError } from "../base/errors.ts";
import { type Epoch, type Txid, ZERO_TXID } from "../base/types.ts";
import { decode } from "../changes/decoder.ts";
import type { Beat, Begin, Commit, ErrorRecord, Hello, Record } from "../changes/records.ts";
import type { ChangeSource, ChangesRequest } from "../changes/source.ts";
import { isPageSize } from "../wal/format.ts";
import type { Target } from "./target.ts";

export const SILENCE_MS = 3000;
/** Between two looks at how long nothing has come. */
const LOOK_MS = 1000;
/** A page may come again while it changes: so often, on average; and small databases may grow. */
const COPIES_A_PAGE = 32;
const COPIES_FREE = 262_144;

/**
 * What the upstream says beside the stream, in answer to a report that was sent at `askedAt` (monotonic):
 * a heartbeat that needs no bytes of the stream.
 */
export type Beside = (beat: Beat, askedAt: number) => void;

/** What the follower of a stream learns on the way; each is called before the next record is read. */
export interface FollowEvents {
  /** `beside` takes what is said beside this stream, until the connection ends. */
  hello(hello: Hello, beside: Beside): void;
  begin(begin: Begin): void;
  /** Bytes of the stream, as they come. */
  bytes(count: number): void;
  /** All of an answer is here, and will be applied next. */
  received(commit: Commit): void;
  /** True ends the connection: the target is done. */
  applied(commit: Commit): boolean;
  /** Between two answers. `asOf`: it was so then, or later (monotonic); absent: now. */
  heartbeat(beat: Beat, asOf?: number): void;
}

/**
 * Follows `source` from `request` until `signal` aborts, the stream ends, or applied() says so.
 * @throws {LiveError} "upstream" or "checksum" when the connection is lost or broken,
 * "position_gone" when histories differ, and what the target throws.
 */
export async function followOnce(
  source: ChangeSource,
  request: ChangesRequest,
  target: Target,
  events: FollowEvents,
  env: Env,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  using connection = new Stop(signal);
  /** Why this side ended the connection; undefined while it did not. */
  let gaveUp: unknown;
  const giveUp = (reason: unknown): void => {
    gaveUp ??= reason;
    connection.abort();
  };
  const silence = new SilenceGuard(env, () => giveUp(silent()));
  const grammar = new Grammar(request.since?.txid ?? ZERO_TXID);
  /** An answer comes, or is applied: it tells more than what is said beside it. */
  let busy = request.wanted !== undefined;
  const beside: Beside = (beat, askedAt) => {
    if (busy || connection.aborted || beat.epoch !== grammar.epoch) return;
    try {
      events.heartbeat(beat, askedAt);
      // Of something newer the stream itself must tell.
      if (beat.txid <= grammar.at) silence.heard();
    } catch (error) {
      giveUp(error);
    }
  };
  try {
    const chunks = silence.watch(source.changes(request, connection.signal), events);
    for await (const record of decode(chunks)) {
      grammar.accept(record);
      switch (record.type) {
        case "hello":
          events.hello(record, beside);
          break;
        case "begin":
          busy = true;
          events.begin(record);
          await target.begin(record);
          break;
        case "pages":
          target.pages(record);
          break;
        case "commit":
          events.received(record);
          await target.commit(record);
          if (events.applied(record)) return;
          busy = false;
          break;
        case "heartbeat":
          events.heartbeat(record);
          break;
        case "error":
          throw fromRecord(record);
        case "hashes":
          throw new LiveError("upstream", "Broken stream: hashes among changes");
      }
    }
    if (!connection.signal.aborted) {
      throw new LiveError("upstream", "The upstream closed the connection");
    }
  } catch (error) {
    target.abort();
    throw gaveUp ?? error;
  } finally {
    silence.stop();
    connection.abort();
  }
  if (gaveUp !== undefined) throw gaveUp;
}

/** What may follow what, so that a target is never given what it cannot make sense of. */
class Grammar {
  #hello: Hello | undefined;
  #inAnswer = false;
  /** Copies of pages in this answer, and how many may come. */
  #copies = 0;
  #most = 0;
  #empty = 0;
  /** Where the target is: an answer to another question would lead it back. */
  #at: Txid;

  constructor(at: Txid) {
    this.#at = at;
  }

  get at(): Txid {
    return this.#at;
  }
  get epoch(): Epoch | undefined {
    return this.#hello?.epoch;
  }

  /** @throws {LiveError} "upstream". */
  accept(record: Record): void {
    const { type } = record;
    if (type === "error") return;
    if (type === "hello") {
      this.#must(this.#hello === undefined, "a second hello");
      this.#must(isPageSize(record.pageSize), `a page size of ${record.pageSize}`);
      this.#hello = record;
      return;
    }
    this.#must(this.#hello !== undefined, `${type} before hello`);
    if (type === "begin") {
      this.#must(!this.#inAnswer, "an answer inside an answer");
      this.#must(record.from === this.#at, `an answer from ${record.from}, asked was ${this.#at}`);
      this.#copies = 0;
      this.#most = COPIES_FREE + COPIES_A_PAGE * Math.max(record.pageCount, record.pages);
    }
    if (type === "pages" || type === "commit") this.#must(this.#inAnswer, `${type} before begin`);
    if (type === "pages") {
      this.#must(record.pageSize === this.#hello!.pageSize, `pages of ${record.pageSize} bytes`);
      this.#must(record.count > 0, "a record of no pages");
      this.#copies += record.count;
      this.#must(this.#copies <= this.#most, `an answer that does not end, ${this.#copies} pages`);
    }
    if (type === "heartbeat") {
      this.#must(!this.#inAnswer, "a heartbeat inside an answer");
      this.#must(record.sent === this.#at, `the answer to ${record.sent} is lost`);
    }
    if (type === "commit") {
      this.#must(record.pageCount > 0, "a database of no pages");
      this.#must(record.epoch === this.#hello!.epoch, "a commit of another epoch than hello's");
      this.#must(record.txid >= this.#at, `a commit that leads back to ${record.txid}`);
      this.#empty = record.txid === this.#at && this.#copies === 0 ? this.#empty + 1 : 0;
      this.#must(this.#empty <= 1, "answers that lead nowhere"); // one may end a repair
      this.#at = record.txid;
    }
    this.#inAnswer = type === "begin" || (this.#inAnswer && type !== "commit");
  }

  #must(condition: boolean, what: string): void {
    if (!condition) throw new LiveError("upstream", `Broken stream: ${what}`);
  }
}

function silent(): LiveError {
  return new LiveError("upstream", `The upstream sent nothing for ${SILENCE_MS / 1000} s`);
}

/** An error record's code if it is one that is acted on; else "upstream". */
function fromRecord(record: ErrorRecord): LiveError {
  const known: readonly string[] = ["position_gone", "not_ready"] satisfies ErrorCode[];
  const code = known.includes(record.code) ? record.code as ErrorCode : "upstream";
  return new LiveError(code, record.message);
}

/** Calls `onSilence` once when no chunk has come for a while. */
class SilenceGuard {
  readonly #env: Env;
  readonly #onSilence: () => void;
  readonly #looks: Disposable;
  /** Infinity: our own work is not their silence. */
  #last: number;
  #cancel: (() => void) | undefined;

  constructor(env: Env, onSilence: () => void) {
    this.#env = env;
    this.#onSilence = onSilence;
    this.#last = env.clock.monotonic();
    this.#looks = eachSecond(env.clock, (at) => this.#look(at));
  }

  /** As if a byte had come. */
  heard(): void {
    this.#last = Math.max(this.#last, this.#env.clock.monotonic()); // Infinity stays
  }

  async *watch(
    chunks: AsyncIterable<Bytes>,
    events: Pick<FollowEvents, "bytes">,
  ): AsyncGenerator<Bytes> {
    for await (const chunk of chunks) {
      this.#last = this.#env.clock.monotonic();
      events.bytes(chunk.length);
      this.#last = Infinity;
      yield chunk;
      this.#last = this.#env.clock.monotonic();
    }
  }

  stop(): void {
    this.#looks[Symbol.dispose]();
    this.#cancel?.();
  }

  /** A timer only where the end may come before the next look. */
  #look(at: number): void {
    if (at - this.#last < SILENCE_MS - LOOK_MS || this.#cancel !== undefined) return;
    const left = Math.max(0, this.#last + SILENCE_MS - at);
    this.#cancel = this.#env.clock.after(left + 1, () => {
      this.#cancel = undefined;
      if (this.#env.clock.monotonic() - this.#last > SILENCE_MS) this.#onSilence();
    });
  }
}
