/**
 * `<db>-live/history`: what a restart must not forget about promotions. One line of JSON, replaced by
 * rename and fsynced, so it is the old one or the new one, also after a power cut. May import: base/,
 * node/{options,side_files}.
 *
 * It says what was meant; the write guard in the database says whether it came true. A promotion is
 * written here first, then the guard is taken off: a file without the guard and with `promoted` here is
 * a primary, one with the guard is still the replica that it was, and `promoted` is taken back.
 * @module
 */
import { LiveError, messageOf } from "../base/errors.ts";
import type { Lineage } from "../base/lineage.ts";
import type { Epoch, Position } from "../base/types.ts";
import type { UpstreamOptions } from "./options.ts";
import { syncFolder } from "./side_files.ts";

/** Which upstream, without its token. */
export type UpstreamName = Pick<UpstreamOptions, "url" | "path">;

export interface History {
  readonly format: 1;
  /** The epoch whose ancestors these are; absent: nothing is known. */
  readonly epoch?: Epoch;
  readonly ancestors: readonly Position[];
  /** Of a primary: epochs of this file before `epoch`, whose end could not be proven at a restart. */
  readonly past?: readonly Epoch[];
  /** The upstream that it was promoted away from: a primary as long as the config names that one. */
  readonly promoted?: UpstreamName;
  /** The node that a primary has stepped down for; followed if the config names no upstream. */
  readonly demoted?: UpstreamOptions;
  /** It is about to step down: without the guard on its file, it did not. */
  readonly stepping?: true;
  /** That upstream, with its token: it is told that its history is over as long as this is a primary. */
  readonly left?: UpstreamOptions;
  /** A newer history goes on from this one: nobody is served. */
  readonly fenced?: Fenced;
}

export interface Fenced {
  /** The newer one. */
  readonly epoch: Epoch;
  /** Who told it: an address. */
  readonly by: string;
}

const NOTHING: History = { format: 1, ancestors: [] };

export class HistoryFile {
  readonly #folder: () => string;
  #value: History | undefined;

  /** `folder` may change when links are resolved. */
  constructor(folder: () => string) {
    this.#folder = folder;
  }

  /** Read once. @throws {LiveError} "disk" if it cannot be: a promoted primary would follow again. */
  get value(): History {
    return this.#value ??= load(`${this.#folder()}/history`);
  }

  /** The ancestors of `epoch`, as far as they are known. */
  lineage(epoch: Epoch): Lineage {
    const { value } = this;
    return { epoch, ancestors: value.epoch === epoch ? value.ancestors : [] };
  }

  /** Durable when it returns. @throws {LiveError} "disk": then nothing has changed. */
  save(history: History): void {
    const path = `${this.#folder()}/history`;
    const fresh = `${path}.new`;
    try {
      const bytes = new TextEncoder().encode(`${JSON.stringify(history)}\n`);
      using file = Deno.openSync(fresh, { create: true, write: true, truncate: true, mode: 0o600 });
      for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
      file.syncSync();
      Deno.renameSync(fresh, path);
      this.#value = history;
      syncFolder(this.#folder());
    } catch (error) {
      throw new LiveError("disk", `Cannot write "${path}": ${messageOf(error)}`);
    }
  }

  /** What was meant does not happen. A disk that fails changes nothing: the guard tells a restart. */
  restore(history: History): void {
    this.#value = history;
    try {
      this.save(history);
    } catch (error) {
      if (!(error instanceof LiveError)) throw error; // a bug
    }
  }

  /** Writes down what `lineage` says, unless that is known; nothing for a history without ancestors. */
  learn({ epoch, ancestors }: Lineage): void {
    const { value } = this;
    if (value.epoch === epoch && value.ancestors.length === ancestors.length) return;
    if (value.epoch === undefined && ancestors.length === 0) return;
    this.save({ ...value, epoch, ancestors });
  }

  /** The promotion has not come true: the guard is still there. */
  takeBack(): void {
    const { format, demoted, ancestors: [parent, ...older] } = this.value;
    const kept = { format, ...(demoted && { demoted }) };
    this.save({ ...kept, ...(parent && { epoch: parent.epoch }), ancestors: older });
  }

  /** What is on the disk is read again. */
  forget(): void {
    this.#value = undefined;
  }
}

function load(path: string): History {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return NOTHING;
    throw new LiveError("disk", `Cannot read "${path}": ${messageOf(error)}`);
  }
  try {
    const history: History = JSON.parse(text);
    if (history.format === 1 && Array.isArray(history.ancestors)) return history;
  } catch { /* said below */ }
  throw new LiveError(
    "corrupt",
    `Cannot read "${path}", which says whether this database was promoted: remove it, and it is what ` +
      "the config says",
  );
}

export function sameUpstream(a: UpstreamName | undefined, b: UpstreamName | undefined): boolean {
  return a !== undefined && b !== undefined && a.url === b.url && a.path === b.path;
}
