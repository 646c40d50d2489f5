/**
 * The reports of all databases that follow one upstream: one request at a time, and what comes
 * meanwhile goes out together with the next. A report alone waits for nobody; 200 databases that report
 * each second cost a request, not 200, and its answer is the heartbeat of them all. May import: base/,
 * changes/records, http/{client,report}.
 *
 * Lists belong to a session: what was told before is not told again, but named by a number, and the
 * upstream answers what has changed. Who is quiet costs next to nothing so, on the wire and here.
 *
 * Invariants: never throws, as a lost report is followed by the next one; nothing is sent for who has
 * given up; an upstream that does not know of lists gets each report alone; after a request of which
 * nobody knows whether it arrived, a new session begins.
 * @module
 */
import type { Random } from "../base/env.ts";
import type { Beat } from "../changes/records.ts";
import type { Access } from "./client.ts";
import { type Answer, ListText, MAX_NUMBERS, type Numbered, type Told } from "./report.ts";

/** More reports are not in a list that tells all of each. */
const MOST_NEW = 1000;

/** What is answered to a list. `kept`: the upstream knows the session, and told what has changed. */
export interface Answers {
  readonly answers: readonly Numbered[];
  readonly kept: boolean;
}

/** A database's way to the upstream. None of these throws. */
export interface Reporter {
  reportAlone(told: Told, signal: AbortSignal): Promise<void>;
  /** "unknown": it does not know of lists; "lost": nobody knows whether it has arrived. */
  reportTogether(list: string, turn: string): Promise<Answers | "unknown" | "lost">;
  /** Whom the database up there follows, as its answer said. */
  follows(chain: string): void;
}

interface Entry {
  readonly by: Reporter;
  readonly told: Told;
  readonly signal: AbortSignal;
  readonly sent: (beat: Beat | undefined) => void;
  /** In the session of its list. */
  said: Said;
}

/** What was told and answered last in this session. */
interface Said {
  readonly nth: number;
  told: Told | undefined;
  answer: Answer | undefined;
  /** The chain that was handed on. */
  followed: string | undefined;
}

class Session {
  readonly #all: Said[] = [];
  readonly #by = new WeakMap<Reporter, Said>();
  readonly #id: string;
  #lists = 0;

  constructor(id: string) {
    this.#id = id;
  }

  /** Its id, and which list it is. */
  turn(): string {
    return `${this.#id}/${this.#lists++}`;
  }

  /** Another list might have more that are new than there are numbers. */
  get isFull(): boolean {
    return this.#all.length > MAX_NUMBERS - MOST_NEW;
  }

  of(by: Reporter): Said {
    let said = this.#by.get(by);
    if (said === undefined) {
      said = { nth: this.#all.length, told: undefined, answer: undefined, followed: undefined };
      this.#all.push(said);
      this.#by.set(by, said);
    }
    return said;
  }

  answered(answers: readonly Numbered[]): void {
    for (const answer of answers) {
      const said = this.#all[answer.nth ?? -1];
      if (said !== undefined) said.answer = answer;
    }
  }
}

export class Reports {
  readonly #random: Random;
  /** By what opens the upstream: another token or CA is another line. */
  readonly #lines = new WeakMap<Access, Line>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** Resolves when it has been sent, or cannot be; with where the upstream is if that was told. */
  send(access: Access, by: Reporter, told: Told, signal: AbortSignal): Promise<Beat | undefined> {
    let line = this.#lines.get(access);
    if (line === undefined) this.#lines.set(access, line = new Line(this.#random));
    return line.send(by, told, signal);
  }
}

class Line {
  readonly #random: Random;
  #waiting: Entry[] = [];
  #busy = false;
  #session: Session;

  constructor(random: Random) {
    this.#random = random;
    this.#session = new Session(random.id());
  }

  send(by: Reporter, told: Told, signal: AbortSignal): Promise<Beat | undefined> {
    const { promise, resolve } = Promise.withResolvers<Beat | undefined>();
    this.#waiting.push({ by, told, signal, sent: resolve, said: this.#session.of(by) });
    if (!this.#busy) void this.#work();
    return promise;
  }

  async #work(): Promise<void> {
    this.#busy = true;
    await undefined; // the timers of many databases fire one after the other
    while (this.#waiting.length > 0) {
      if (this.#session.isFull) this.#session = new Session(this.#random.id());
      const { entries, list } = this.#next();
      const [first] = entries;
      if (entries.length > 1) await this.#together(entries, String(list));
      else if (first !== undefined) await alone(first);
    }
    this.#busy = false;
  }

  /** Those that have room in one list, by number; who has given up is let go. */
  #next(): { entries: Entry[]; list: ListText } {
    for (const entry of this.#waiting) entry.said = this.#session.of(entry.by);
    this.#waiting.sort((a, b) => a.said.nth - b.said.nth);
    const entries: Entry[] = [];
    const list = new ListText();
    let taken = 0;
    for (const entry of this.#waiting) {
      if (entry.signal.aborted) entry.sent(undefined);
      else {
        const { nth, told } = entry.said;
        const isSame = told === entry.told;
        if (!(isSame ? list.add(nth) : list.add(nth, entry.told))) break;
        entries.push(entry);
      }
      taken++;
    }
    this.#waiting = this.#waiting.slice(taken);
    return { entries, list };
  }

  async #together(entries: readonly Entry[], list: string): Promise<void> {
    const session = this.#session;
    const told = await entries[0]!.by.reportTogether(list, session.turn());
    if (told === "unknown") {
      await Promise.all(entries.map(alone));
      return;
    }
    const { answers, kept } = told === "lost" ? { answers: [], kept: false } : told;
    if (kept) session.answered(answers);
    else this.#session = new Session(this.#random.id());
    let place = 0;
    for (const { by, told, signal, sent, said } of entries) {
      const answer = kept ? said.answer : answers[place++];
      said.told = told;
      if (answer === undefined || signal.aborted) sent(undefined); // or it follows nobody any more
      else {
        if (answer.chain !== said.followed) by.follows(said.followed = answer.chain);
        sent(answer.beat);
      }
    }
  }
}

async function alone({ by, told, signal, sent }: Entry): Promise<void> {
  await by.reportAlone(told, signal);
  sent(undefined);
}
