/**
 * The network between a replica and its upstream: a ChangeSource whose bytes arrive as a bad network
 * gives them. May import: src/base, src/changes, tests/support.
 *
 * Faults it may inject, each by one `Trouble` of a connection: chunks cut anywhere, delays, silence
 * without an end, a drop, bits flipped, a record cut short, a length that is garbage, and answers of an
 * earlier connection that arrive late. What is said beside the stream is true and may come late. Errors
 * come as http/client.ts and http/stream.ts give them.
 * @module
 */
import type { Bytes } from "../../src/base/bytes.ts";
import { codeOf, LiveError, messageOf } from "../../src/base/errors.ts";
import { type Beat, encodeError } from "../../src/changes/records.ts";
import type {
  ChangeSource,
  ChangesRequest,
  HashesRequest,
  Report,
  Reported,
} from "../../src/changes/source.ts";
import { type Life, never } from "./fault_clock.ts";
import type { Chance } from "./fault_plan.ts";

export const TROUBLES = [
  "none",
  "cuts",
  "delays",
  "silence",
  "drop",
  "flip",
  "short",
  "garbage",
  "late",
  "lost",
  "refuse",
] as const;
export type Trouble = typeof TROUBLES[number];

export interface LinkParts {
  readonly life: Life;
  readonly chance: Chance;
  /** Who answers now; undefined: nobody. */
  upstream(): ChangeSource | undefined;
  /** Where the upstream is, if it tells beside the stream. */
  beat(): Beat | undefined;
  /** Asked once a connection. */
  trouble(): Trouble;
  /** Whole chunks of earlier connections, the newest last. */
  readonly earlier: Bytes[];
}

const KEPT_CHUNKS = 24;

export class FaultLink implements ChangeSource {
  readonly #parts: LinkParts;
  #streams = 0;
  #toldAt = -Infinity;

  constructor(parts: LinkParts) {
    this.#parts = parts;
  }

  async *changes(request: ChangesRequest, signal: AbortSignal): AsyncGenerator<Bytes> {
    const asked = { ...request, toldAt: () => this.#toldAt };
    this.#streams++;
    try {
      yield* this.#carry((source) => source.changes(asked, signal), signal, true);
    } finally {
      this.#streams--;
    }
  }

  hashes(request: HashesRequest, signal: AbortSignal): AsyncGenerator<Bytes> {
    return this.#carry((source) => source.hashes(request, signal), signal, false);
  }

  report(_report: Report, signal: AbortSignal, done: Reported): void {
    void this.#report(signal).then(done);
  }

  /** The source itself takes no reports: a primary's server does. */
  async #report(signal: AbortSignal): Promise<Beat | undefined> {
    const { life, chance } = this.#parts;
    if (!life.alive) await never();
    const beat = this.#streams > 0 ? this.#parts.beat() : undefined;
    if (beat === undefined) return undefined;
    this.#toldAt = life.clock.monotonic();
    if (chance.below(3) === 0) await life.clock.sleep(chance.below(1500), signal);
    return beat;
  }

  async *#carry(
    ask: (source: ChangeSource) => AsyncIterable<Bytes>,
    signal: AbortSignal,
    keep: boolean,
  ): AsyncGenerator<Bytes> {
    const { life, earlier } = this.#parts;
    if (!life.alive) await never();
    const source = this.#parts.upstream();
    const trouble = this.#parts.trouble();
    if (source === undefined || trouble === "refuse") {
      throw new LiveError("upstream", "Cannot reach http://upstream: connection refused");
    }
    const fate = new Fate(trouble, this.#parts, [...earlier]);
    let begun = false;
    try {
      for await (const chunk of ask(source)) {
        if (!life.alive) await never();
        const sent = chunk.slice(); // the sender gives its memory back
        for await (const piece of fate.carry(sent, signal)) {
          begun = true;
          yield piece;
          if (!life.alive) await never();
        }
        if (fate.over) return;
        if (keep && earlier.push(sent) > KEPT_CHUNKS) earlier.shift();
      }
    } catch (error) {
      if (!(error instanceof LiveError)) throw error;
      if (signal.aborted) return;
      const told = codeOf(error) === "position_gone" || codeOf(error) === "not_ready";
      const code = told ? error.code : "upstream";
      if (!begun) throw new LiveError(code, messageOf(error));
      yield encodeError(code, messageOf(error)); // after the first byte there is no status
    }
  }
}

/** What becomes of one connection. */
class Fate {
  over = false;
  readonly #trouble: Trouble;
  readonly #parts: LinkParts;
  /** Chunks until it strikes, once; below 0: since then. */
  #until: number;
  readonly #late: readonly Bytes[];

  constructor(trouble: Trouble, parts: LinkParts, late: readonly Bytes[]) {
    this.#trouble = trouble;
    this.#parts = parts;
    this.#until = parts.chance.below(5);
    this.#late = late;
  }

  async *carry(chunk: Bytes, signal: AbortSignal): AsyncGenerator<Bytes> {
    const { chance, life } = this.#parts;
    const { clock } = life;
    switch (this.#trouble) {
      case "cuts":
        return yield* this.#cut(chunk);
      case "delays":
        for await (const piece of this.#cut(chunk)) {
          if (chance.below(3) === 0) await clock.sleep(chance.below(400), signal);
          yield piece;
        }
        return;
    }
    if (this.#trouble === "none" || this.#until-- !== 0) return yield chunk;
    const broken = Uint8Array.from(chunk);
    const at = chance.below(chunk.length);
    switch (this.#trouble) {
      case "silence":
        yield chunk.subarray(0, at);
        await clock.sleep(60_000, signal);
        this.over = true;
        return;
      case "drop":
        if (at > 0) yield chunk.subarray(0, at);
        return this.#drop();
      case "flip":
        broken[at]! ^= 1 << chance.below(8);
        return yield broken;
      case "short":
        broken.copyWithin(at, at + 1 + chance.below(40));
        return yield broken.subarray(0, Math.max(1, chunk.length - 1 - chance.below(40)));
      case "garbage":
        new DataView(broken.buffer).setUint32(0, Math.floor(chance.fraction() * 2 ** 32), true);
        return yield broken;
      case "lost": // a whole record; no checksum of a record shows it
        return;
      case "late":
        yield chunk;
        if (this.#late.length === 0) return;
        for (let from = chance.below(this.#late.length); from < this.#late.length; from++) {
          yield this.#late[from]!;
          if (chance.below(2) === 0) break;
        }
    }
  }

  /** The connection is reset, or just ends. */
  #drop(): void {
    this.over = true;
    if (this.#parts.chance.below(2) === 0) throw new LiveError("upstream", "Connection reset");
  }

  *#cut(chunk: Bytes): Generator<Bytes> {
    const { chance } = this.#parts;
    for (let at = 0; at < chunk.length;) {
      const size = chance.below(4) === 0 ? 1 + chance.below(16) : 1 + chance.below(chunk.length);
      yield chunk.subarray(at, at + size);
      at += size;
    }
  }
}
