/**
 * Whether open databases are still where they were opened: asked each second of hundreds, so in one
 * native call for all of them. May import: base/.
 *
 * Invariant: a place is left before its files are closed.
 * @module
 */
import { assert } from "../base/assert.ts";
import { sqlite } from "./library.ts";

/** Those that one look can tell; the next one tells the others. */
const MOST = 256;

const places = new Map<number, Place>();
const found = new Int32Array(MOST);

/** One database and its log. */
export class Place {
  /** Looks that there were. */
  static #looks = 0;
  readonly #id: number;
  /** The last look that found it elsewhere. */
  #moved = 0;

  /** `wal`: path of the log, whose inode is `inode`. */
  constructor(
    file: Deno.PointerObject,
    log: Deno.PointerObject,
    wal: Uint8Array<ArrayBuffer>,
    inode: bigint,
  ) {
    this.#id = sqlite().live_place_add(file, log, wal, inode);
    assert(this.#id >= 0, "there is memory for a place");
    places.set(this.#id, this);
  }

  /** When it was looked at. */
  get moved(): boolean {
    return this.#moved > 0 && this.#moved === Place.#looks;
  }

  static look(): void {
    Place.#looks++;
    const count = sqlite().live_place_look(found, MOST);
    for (const id of found.subarray(0, count)) places.get(id)!.#moved = Place.#looks;
  }

  leave(): void {
    if (places.get(this.#id) !== this) return;
    places.delete(this.#id);
    sqlite().live_place_remove(this.#id);
  }
}

/**
 * Looks at places of this process: at all, or in turns where there are more than 64, within five looks.
 * A file that was moved or replaced is noticed then, a folder further up after five looks at the place.
 */
export function lookForMoves(): void {
  if (places.size > 0) Place.look();
}
