/**
 * A follower of a source, joined without HTTP: followOnce() into a FakeCopy. May import: src/,
 * tests/support.
 * @module
 */
import type { Bytes } from "../../src/base/bytes.ts";
import type { LiveError } from "../../src/base/errors.ts";
import type { ChangeSource, ChangesRequest } from "../../src/changes/source.ts";
import { type Beside, type FollowEvents, followOnce } from "../../src/node/follow.ts";
import type { FakeCopy } from "./fake_database.ts";
import type { FakeEnv } from "./fake_env.ts";

export class FakeFollower {
  /** What happened, in order: "hello 5", "begin 5", "received 6", "applied 6", "heartbeat 6". */
  readonly events: string[] = [];
  bytes = 0;
  /** What applied() says. */
  done = false;
  /** Tells it something beside the stream. */
  beside: Beside = () => {};
  /** Thrown at a heartbeat. */
  refutes: LiveError | undefined;
  readonly #stop = new AbortController();
  readonly #ended: Promise<unknown>;
  #result: { error: unknown } | undefined;

  constructor(
    source: ChangeSource,
    readonly copy: FakeCopy,
    env: FakeEnv,
    request: ChangesRequest = requestOf(copy),
    signal?: AbortSignal,
  ) {
    const stop = signal ?? this.#stop.signal;
    this.#ended = followOnce(source, request, copy, this.#events(), env, stop)
      .then(() => undefined, (error: unknown) => error)
      .then((error) => this.#result = { error });
  }

  /** Undefined while it follows. */
  get result(): { readonly error: unknown } | undefined {
    return this.#result;
  }

  /** Ends it from this side; resolves to what followOnce() threw, if it did. */
  async stop(): Promise<unknown> {
    this.#stop.abort();
    await this.#ended;
    return this.#result?.error;
  }

  /** @throws what followOnce() threw. */
  async ended(): Promise<void> {
    await this.#ended;
    if (this.#result?.error !== undefined) throw this.#result.error;
  }

  #events(): FollowEvents {
    return {
      hello: ({ txid }, beside) => {
        this.beside = beside;
        this.events.push(`hello ${txid}`);
      },
      begin: ({ to }) => this.events.push(`begin ${to}`),
      bytes: (count) => this.bytes += count,
      received: ({ txid }) => this.events.push(`received ${txid}`),
      applied: ({ txid }) => {
        this.events.push(`applied ${txid}`);
        return this.done;
      },
      heartbeat: ({ txid }, asOf) => {
        this.events.push(`heartbeat ${txid}${asOf === undefined ? "" : ` as of ${asOf}`}`);
        if (this.refutes !== undefined) throw this.refutes;
      },
    };
  }
}

/** What a replica asks that knows where it is. */
export function requestOf(copy: FakeCopy): ChangesRequest {
  return copy.position === undefined ? {} : { since: copy.position, hash: copy.index.hash };
}

/** A source whose changes() is this, and ends when it is aborted in a wait. */
export function sourceOf(
  changes: (request: ChangesRequest, signal: AbortSignal) => AsyncIterable<Bytes>,
): ChangeSource {
  return {
    changes,
    hashes: () => {
      throw new Error("not asked for");
    },
    report: () => Promise.resolve(undefined),
  };
}

/** Resolves when `signal` aborts, as a silent socket does. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
