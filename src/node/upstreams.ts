/**
 * Several upstreams as one: who is followed is chosen anew for each attempt. All are asked where they
 * are; of those that answer, one whose history goes on from another's (it was promoted) is preferred to
 * that, else the first in the order of the config. May import: base/, changes/.
 *
 * One that is cut off from the primary goes on serving what it has. Who follows it looks elsewhere, and
 * leaves it for one that has as much and is not cut off. One that is merely slow is not left: all its
 * replicas together would only move what makes it slow.
 *
 * Invariant: all requests of one attempt go to one upstream. Who would follow itself, or one of its own
 * replicas, is told so by the connection (a cycle), and that one is passed over: all nodes may have the
 * same list.
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { type Env, Stop } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import { type Lineage, supersedes } from "../base/lineage.ts";
import type { Position } from "../base/types.ts";
import type { Hello } from "../changes/records.ts";
import { askHello } from "../changes/repair.ts";
import type {
  ChangeSource,
  ChangesRequest,
  HashesRequest,
  Report,
  Reported,
} from "../changes/source.ts";
import type { Above, Branch } from "../changes/tree.ts";

/** A node that hangs is passed over then. */
const ASK_MS = 2000;
/** Between two looks elsewhere: at first, and at most. */
const LOOK_MS = { first: 10_000, most: 60_000 } as const;

export interface Candidate {
  readonly url: string;
  readonly path: string;
  readonly source: ChangeSource;
}

interface Asked {
  readonly candidate: Candidate;
  readonly hello?: Hello;
  readonly error?: LiveError;
}

export class Upstreams implements ChangeSource {
  readonly #candidates: readonly [Candidate, ...Candidate[]];
  readonly #env: Env;
  /** Of this attempt, or of the last one. */
  #chosen: Candidate;
  #choosing: Promise<Candidate> | undefined;
  #isChoosing = false;
  /** Found elsewhere: preferred as long as it answers. */
  #better: Candidate | undefined;
  /** Ends the stream, with a reason. */
  #leave: Stop | undefined;
  #looks = { running: false, next: -Infinity, pause: LOOK_MS.first as number };

  /** `candidates` in the order of preference, at least one. */
  constructor(candidates: readonly [Candidate, ...Candidate[]], env: Env) {
    this.#candidates = candidates;
    this.#chosen = candidates[0];
    this.#env = env;
  }

  get name(): { readonly url: string; readonly path: string } {
    return this.#chosen;
  }

  /** They are asked where they are; none is followed. */
  get isChoosing(): boolean {
    return this.#isChoosing;
  }

  renew(): void {
    this.#choosing = undefined;
  }

  async *changes(request: ChangesRequest, signal: AbortSignal): AsyncGenerator<Bytes> {
    const { source } = await this.#current(signal);
    using leave = this.#leave = new Stop(signal);
    if (!signal.aborted) yield* source.changes(request, leave.signal);
    if (!signal.aborted && leave.signal.aborted) throw leave.signal.reason;
  }

  elsewhere(at: Position): void {
    const { clock } = this.#env;
    const looks = this.#looks;
    if (this.#candidates.length === 1 || looks.running || clock.monotonic() < looks.next) return;
    looks.running = true;
    void this.#lookElsewhere(at).finally(() => {
      looks.running = false;
      looks.next = clock.monotonic() + looks.pause;
      looks.pause = Math.min(2 * looks.pause, LOOK_MS.most);
    });
  }

  async *hashes(request: HashesRequest, signal: AbortSignal): AsyncGenerator<Bytes> {
    const { source } = await this.#current(signal);
    yield* source.hashes(request, signal);
  }

  report(report: Report, signal: AbortSignal, done: Reported): void {
    this.#chosen.source.report(report, signal, done);
  }

  async tree(
    branches: readonly Branch[],
    signal: AbortSignal,
  ): Promise<readonly Above[] | undefined> {
    return await this.#chosen.source.tree?.(branches, signal);
  }

  /** Whoever is left behind may be any of them. */
  async supersede(lineage: Lineage, signal: AbortSignal): Promise<void> {
    await Promise.all(
      this.#candidates.map(({ source }) => source.supersede?.(lineage, signal)),
    );
  }

  #current(signal: AbortSignal): Promise<Candidate> {
    return this.#choosing ??= this.#choose(signal);
  }

  async #choose(signal: AbortSignal): Promise<Candidate> {
    this.#isChoosing = true;
    const asked = await Promise.all(this.#candidates.map((one) => this.#ask(one, signal)))
      .finally(() => this.#isChoosing = false);
    const better = asked.find(({ candidate }) => candidate === this.#better);
    const found = newest(better === undefined ? asked : [better, ...asked]);
    if (found === undefined) throw noneAnswers(asked);
    if (found !== this.#better) this.#better = undefined;
    this.#looks.pause = LOOK_MS.first;
    if (found !== this.#chosen) {
      this.#env.log.info("another upstream is followed", { url: `${found.url}${found.path}` });
    }
    return this.#chosen = found;
  }

  /** The first in the list that has what is at `at`, and whose way to the primary is whole. */
  async #lookElsewhere(at: Position): Promise<void> {
    const { signal } = this.#leave ?? new AbortController();
    const from = this.#chosen;
    for (const one of this.#candidates) {
      if (one === from || !await this.#isBetter(one, at, signal)) continue;
      if (this.#chosen !== from || signal.aborted) return; // it ended meanwhile
      this.#better = one;
      const reason = `${from.url} is cut off from the primary, ${one.url} is not`;
      return this.#leave?.abort(new LiveError("upstream", reason));
    }
  }

  async #isBetter(candidate: Candidate, at: Position, signal: AbortSignal): Promise<boolean> {
    const { hello } = await this.#ask(candidate, signal);
    if (hello === undefined) return false;
    const hasIt = hello.epoch === at.epoch ? hello.txid >= at.txid : supersedes(hello, at.epoch);
    if (!hasIt) return false;
    const above = await candidate.source.tree?.([], signal);
    return above !== undefined && above.every(({ connected }) => connected);
  }

  async #ask(candidate: Candidate, outer: AbortSignal): Promise<Asked> {
    using stop = new Stop(outer, { clock: this.#env.clock, ms: ASK_MS });
    try {
      return { candidate, hello: await askHello(candidate.source, stop.signal) };
    } catch (error) {
      if (!(error instanceof LiveError)) throw error;
      return { candidate, error };
    }
  }
}

function newest(asked: readonly Asked[]): Candidate | undefined {
  let best: Asked | undefined;
  for (const one of asked) {
    if (one.hello === undefined) continue;
    if (best?.hello === undefined || supersedes(one.hello, best.hello.epoch)) best = one;
  }
  return best?.candidate;
}

function noneAnswers(asked: readonly Asked[]): LiveError {
  const errors = asked.flatMap(({ error }) => error ?? []);
  const code = errors.every((error) => error.code === errors[0]?.code)
    ? errors[0]?.code
    : undefined;
  const reasons = errors.map(({ message }) => message).join("; ");
  return new LiveError(code ?? "upstream", `No upstream can be followed: ${reasons}`);
}
