/**
 * The databases that one follows, hop by hop: whoever finds itself among them is in a cycle, which has
 * no primary. May import: base/, node/options (types).
 * @module
 */
import { LiveError } from "../base/errors.ts";
import type { UpstreamOptions } from "./options.ts";

/** Of a chain of replicas, as far as it is remembered. */
const MAX_HOPS = 32;

export class Chain {
  /** Of this database in this process. */
  readonly #id: string;
  readonly #path: string;
  #ids: readonly string[];

  constructor(id: string, path: string) {
    this.#id = id;
    this.#path = path;
    this.#ids = [id];
  }

  /** This database and those it follows, nearest first, as far as is known. */
  get ids(): readonly string[] {
    return this.#ids;
  }

  /** It follows nobody (any more). */
  leave(): void {
    this.follow([]);
  }

  /** `ids` are those of an upstream that is followed. */
  follow(ids: readonly string[]): void {
    this.#ids = [this.#id, ...ids.slice(0, MAX_HOPS)];
  }

  /** Why an upstream with these ids must not be followed; undefined if it may. */
  cycle(ids: readonly string[], { url, path }: UpstreamOptions): LiveError | undefined {
    if (!ids.includes(this.#id)) return undefined;
    const how = ids[0] === this.#id ? "is this very database" : "is a replica of it";
    return new LiveError(
      "guard",
      `"${this.#path}" would follow itself: its upstream ${url}${path} ${how}, and a ` +
        "cycle has no primary; correct the `upstream` of one of them",
    );
  }
}
