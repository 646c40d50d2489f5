/**
 * What a database is, primary or replica and of whom: what the config says, unless a promotion, a
 * demotion or a newer history says otherwise. May import: base/, node/.
 *
 * `<db>-live/history` remembers it over restarts; a config that names another upstream than the one that
 * was left ends all of it.
 * @module
 */
import type { Env } from "../base/env.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import { type Lineage, supersedes } from "../base/lineage.ts";
import type { Epoch } from "../base/types.ts";
import { takeAcceptance } from "./aside.ts";
import { type Fenced, type HistoryFile, sameUpstream } from "./history_file.ts";
import type { DatabaseOptions, UpstreamOptions } from "./options.ts";
import type { SideFiles } from "./side_files.ts";

export class Standing {
  readonly #options: DatabaseOptions;
  readonly #files: SideFiles;
  readonly #history: HistoryFile;
  readonly #env: Env;
  /** In memory first: a disk that is full must not keep an old history alive. */
  #fenced: Fenced | undefined;
  #warned = false;

  constructor(options: DatabaseOptions, files: SideFiles, history: HistoryFile, env: Env) {
    this.#options = options;
    this.#files = files;
    this.#history = history;
    this.#env = env;
  }

  /**
   * The upstream to follow; undefined: it is a primary.
   * @throws {LiveError} "guard" if it is fenced, "disk".
   */
  settle(): UpstreamOptions | undefined {
    const upstream = this.upstream;
    const { promoted, fenced, left, past, demoted, ...history } = this.#history.value;
    // Where the newer history is among the upstreams, it is found and followed.
    const rejoins = upstream?.others !== undefined && (this.#fenced ?? fenced) !== undefined;
    if (upstream !== undefined && (rejoins || !sameUpstream(promoted, upstream))) {
      const configured = this.#options.upstream !== undefined;
      const over = promoted ?? fenced ?? left ?? past ?? (configured ? demoted : undefined);
      if (over !== undefined) {
        this.#history.save({ ...history, ...(!configured && demoted && { demoted }) });
      }
      this.#fenced = undefined;
      return upstream;
    }
    this.#refuseFenced(this.#fenced ?? fenced);
    if (this.#options.upstream !== undefined && !this.#warned) this.#warn(this.#options.upstream);
    return undefined;
  }

  /** The one that it has, unless it was promoted away from that: the config's, or who it stepped down for. */
  get upstream(): UpstreamOptions | undefined {
    return this.#options.upstream ?? this.#history.value.demoted;
  }

  /** It serves as a primary: where the config says the same, there is nothing to remember. */
  serves(): void {
    const { promoted, demoted, stepping: _, ...history } = this.#history.value;
    if (this.#options.upstream !== undefined) return;
    if ((promoted ?? demoted) !== undefined) this.#history.save(history);
  }

  /** The upstream that it was promoted away from, and that may not know it; undefined if none. */
  get left(): UpstreamOptions | undefined {
    return this.#history.value.left;
  }

  /** Why it serves nobody, if a newer history has been told. */
  get refusal(): LiveError | undefined {
    return this.#fenced && fencedError(this.#options.path, this.#fenced);
  }

  /** True if `lineage` goes on from `epoch`, which is the one here: it is over then, for good. */
  fence(lineage: Lineage, epoch: Epoch | undefined, by: string): boolean {
    if (epoch === undefined) return false;
    const ours = [epoch, ...this.#history.value.past ?? []];
    if (!ours.some((one) => supersedes(lineage, one))) return false;
    const fenced = this.#fenced = { epoch: lineage.epoch, by };
    try {
      this.#history.save({ ...this.#history.value, fenced });
    } catch (error) {
      this.#env.log.error("a restart will not know that it is fenced", { why: messageOf(error) });
    }
    return true;
  }

  /** A kill in the middle of a promotion: the guard is still there, so it is the replica that it was. */
  wasNotPromoted(error: unknown): boolean {
    const guarded = error instanceof LiveError && error.context["guarded"] === 1;
    if (!guarded) return false; // it may be the history that cannot be read
    if (!sameUpstream(this.#history.value.promoted, this.upstream)) return false;
    this.#env.log.warn("a promotion was interrupted, and did not happen");
    this.#history.takeBack();
    return true;
  }

  /** A kill in the middle of a demotion: there is no guard, so it is the primary that it was. */
  wasNotDemoted(error: unknown): boolean {
    const unguarded = error instanceof LiveError && error.context["unguarded"] === 1;
    if (!unguarded) return false;
    this.#env.log.warn("a demotion was interrupted, and did not happen");
    const { demoted: _, stepping: __, ...history } = this.#history.value;
    this.#history.save(history);
    return true;
  }

  #warn({ url }: UpstreamOptions): void {
    this.#warned = true;
    const { path } = this.#options;
    this.#env.log.warn(`this database was promoted: remove \`upstream\` of "${path}"`, { url });
  }

  /** A person may say that this history goes on all the same, as a new one. */
  #refuseFenced(fenced: Fenced | undefined): void {
    if (fenced === undefined) return;
    if (!takeAcceptance(this.#files.folder)) {
      this.#fenced = fenced;
      throw fencedError(this.#options.path, fenced);
    }
    this.#fenced = undefined;
    const { fenced: _, past: __, ...history } = this.#history.value;
    this.#files.breakHistory(this.#env.random.id() as Epoch);
    this.#history.save(history);
    this.#env.log.warn("this database goes on beside the newer history, as was accepted", {
      newer: fenced.epoch,
    });
  }
}

function fencedError(path: string, { epoch, by }: Fenced): LiveError {
  return new LiveError(
    "guard",
    `"${path}" is fenced: a replica of it was promoted, and epoch ${epoch} goes on from it (told by ` +
      `${by}). Give it that node as upstream, and it follows; its own transactions are kept aside. ` +
      `Or \`litestream-live accept ${path}\`, and it goes on as another history`,
  );
}
