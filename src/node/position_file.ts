/**
 * `<db>-live/position`: where a replica is, for applications that would rather read a file than ask.
 * One line, "epoch/txid", replaced by rename. It is never ahead of what readers see while the node
 * runs, and removed before a position is known.
 *
 * All but the first is written 20 ms late: a rename over a file costs up to 0.5 ms, and where many
 * replicas share a machine the others are about to publish the same commit. May import: base/.
 * @module
 */
import type { Env } from "../base/env.ts";
import { messageOf } from "../base/errors.ts";
import { formatPosition, type Position, samePosition } from "../base/types.ts";

const LATE_MS = 20;
const AGAIN_MS = 1000;

export class PositionFile {
  readonly #env: Env;
  readonly #folder: () => string;
  #now: Position | undefined;
  #written: Position | undefined;
  #cancel: (() => void) | undefined;
  #trouble: string | undefined;

  /** `folder` may change when links are resolved. */
  constructor(folder: () => string, env: Env) {
    this.#folder = folder;
    this.#env = env;
  }

  /** Why it is not current, a sentence; undefined while it is. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Never throws. */
  isAt(position: Position): void {
    this.#now = position;
    if (this.#written === undefined && this.#cancel === undefined) this.#write();
    else this.#cancel ??= this.#writeAfter(LATE_MS);
  }

  /** The process ends: the file stays. */
  flush(): void {
    if (this.#now !== undefined && !samePosition(this.#now, this.#written)) this.#write();
    this.#stop();
  }

  /** The position is not known, or not any more. */
  forget(): void {
    this.#stop();
    this.#written = this.#trouble = undefined;
    try {
      Deno.removeSync(`${this.#folder()}/position`);
    } catch { /* there was none */ }
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = this.#now = undefined;
  }

  #write(): void {
    const path = `${this.#folder()}/position`;
    try {
      Deno.writeTextFileSync(`${path}.new`, `${formatPosition(this.#now!)}\n`);
      Deno.renameSync(`${path}.new`, path);
      this.#written = this.#now;
      this.#trouble = undefined;
    } catch (error) {
      const trouble = `cannot write "${path}": ${messageOf(error)}`;
      if (trouble !== this.#trouble) this.#env.log.warn(trouble);
      this.#trouble = trouble;
    }
    this.#cancel?.();
    this.#cancel = this.#trouble === undefined ? undefined : this.#writeAfter(AGAIN_MS);
  }

  #writeAfter(ms: number): () => void {
    return this.#env.clock.after(ms, () => {
      this.#cancel = undefined;
      if (this.#now !== undefined && !samePosition(this.#now, this.#written)) this.#write();
    });
  }
}
