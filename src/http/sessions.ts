/**
 * What replicas' processes have told in lists of reports, kept so that it need not be told again: a list
 * then names by number what is as it was, and the answer has only what has changed. May import: base/,
 * http/report.
 *
 * Invariants: a list is taken whole or not at all; a number is only taken for what was told in the same
 * session, which is named by a random id; lists are taken in their turn, so one that somebody on the way
 * sends twice ends the session instead of hiding what was answered to the first; what is kept is
 * bounded. Who finds no room here is answered without a session, as by an older node.
 * @module
 */
import { sameWords } from "../base/bytes.ts";
import type { Clock } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import { isId } from "../base/types.ts";
import type { Beat } from "../changes/records.ts";
import { type Answer, type Item, type Numbered, type Reported, take, type Told } from "./report.ts";

/** A replica reports each second. */
const FORGET_MS = 10_000;
/** Of all sessions together, about. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Of a report that is kept, beside its path; and of a session. */
const REPORT_BYTES = 500;

interface Kept {
  readonly nth: number;
  readonly told: Told;
  /** The last one; undefined: it has to be answered whatever it is. */
  answer: Answer | undefined;
}

/** Which list of which session, as the asker says. */
export interface Turn {
  /** 16 hex digits, random. */
  readonly id: string;
  /** From 0. */
  readonly nth: number;
}

interface Session {
  readonly kept: Map<number, Kept>;
  /** Of the next list. */
  readonly turn: number;
  readonly bytes: number;
  readonly askedAt: number;
}

export class Sessions {
  readonly #clock: Clock;
  readonly #all = new Map<string, Session>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Hands each report of a list to its database. Returns what is answered: if `kept`, what has changed
   * since the last answer in the session, else an answer to each in order; without one nothing is kept.
   * @throws {LiveError} "bad_request" for a number under which nothing was told, and for a list that is
   * not the next one.
   */
  take(
    items: readonly Item[],
    databases: ReadonlyMap<string, Reported>,
    beats: boolean,
    turn: Turn | undefined,
  ): { readonly answers: readonly Numbered[]; readonly kept: boolean } {
    this.#forgetOld();
    const session = turn === undefined ? undefined : this.#session(turn);
    const all: Kept[] = [];
    for (const item of items) collect(item, session, all);
    const kept = turn !== undefined && beats && this.#keep(turn, session, all);
    const answers: Numbered[] = [];
    all.forEach((one) => {
      const answer = take(one.told, databases.get(one.told.path), beats);
      if (!kept) answers.push(answer);
      else if (!isSame(answer, one.answer)) {
        answers.push({ nth: one.nth, ...answer });
        one.answer = answer;
      }
    });
    return { answers, kept };
  }

  #session({ id, nth }: Turn): Session | undefined {
    const session = this.#all.get(id);
    if (nth === (session?.turn ?? 0)) return session;
    this.#all.delete(id);
    throw new LiveError("bad_request", `List ${nth} of this session is not the next one`);
  }

  /** False: there is no room, or what has no number cannot be kept. */
  #keep({ id, nth }: Turn, session: Session | undefined, all: readonly Kept[]): boolean {
    const { kept, bytes } = session ?? { kept: new Map<number, Kept>(), bytes: REPORT_BYTES };
    let others = 0;
    for (const one of this.#all.values()) if (one !== session) others += one.bytes;
    let size = bytes;
    all.forEach((one) => {
      const before = kept.get(one.nth);
      if (before === one) return;
      size += bytesOf(one) - (before === undefined ? 0 : bytesOf(before));
      kept.set(one.nth, one);
    });
    const fits = others + size <= MAX_BYTES && all.every(({ nth }) => nth >= 0);
    if (fits) {
      this.#all.set(id, { kept, turn: nth + 1, bytes: size, askedAt: this.#clock.monotonic() });
    } else this.#all.delete(id);
    return fits;
  }

  #forgetOld(): void {
    const now = this.#clock.monotonic();
    for (const [id, { askedAt }] of this.#all) if (now - askedAt > FORGET_MS) this.#all.delete(id);
  }
}

/** What an item says, into `all`. */
function collect(item: Item, session: Session | undefined, all: Kept[]): void {
  if ("told" in item) {
    all.push({ nth: item.nth ?? -1, told: item.told, answer: undefined });
    return;
  }
  for (let nth = item.first; nth < item.first + item.count; nth++) {
    const kept = session?.kept.get(nth);
    if (kept === undefined) {
      throw new LiveError("bad_request", `Nothing was told as number ${nth} in this session`);
    }
    all.push(kept);
  }
}

function bytesOf({ told }: Kept): number {
  return 2 * told.path.length + REPORT_BYTES;
}

function isSame(a: Answer, b: Answer | undefined): boolean {
  return a.chain === b?.chain && isSameBeat(a.beat, b.beat);
}

function isSameBeat(a: Beat | undefined, b: Beat | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.epoch === b.epoch && a.txid === b.txid && a.staleMs === b.staleMs &&
    sameWords(a.hash, b.hash);
}

/** Of the query, "id/nth". @throws {LiveError} "bad_request". */
export function parseTurn(text: string): Turn {
  const [id = "", nth = "", ...more] = text.split("/");
  if (isId(id) && /^[0-9]{1,15}$/.test(nth) && more.length === 0) return { id, nth: Number(nth) };
  throw new LiveError(
    "bad_request",
    `Cannot read session=${text}: must be like 00c0ffee00c0ffee/0`,
  );
}
