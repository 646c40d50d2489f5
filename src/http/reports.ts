/**
 * The reports of all databases that follow one upstream: one request at a time, and what comes
 * meanwhile goes out together with the next. A report alone waits for nobody; 200 databases that report
 * each second cost a request, not 200, and its answer is the heartbeat of them all. May import: base/,
 * changes/source, http/{client,report}.
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
import type { Reported } from "../changes/source.ts";
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
  readonly done: Reported;
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

  /** `done`: as a ChangeSource's. */
  send(access: Access, by: Reporter, told: Told, signal: AbortSignal, done: Reported): void {
    let line = this.#lines.get(access);
    if (line === undefined) this.#lines.set(access, line = new Line(this.#random));
    line.send(by, told, signal, done);
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

  send(by: Reporter, told: Told, signal: AbortSignal, done: Reported): void {
    this.#waiting.push({ by, told, signal, done, said: this.#session.of(by) });
    if (!this.#busy) void this.#work();
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
    const waiting = this.#waiting;
    this.#waiting = []; // who is let go may report anew
    waiting.forEach((entry) => entry.said = this.#session.of(entry.by));
    waiting.sort((a, b) => a.said.nth - b.said.nth);
    const entries: Entry[] = [];
    const list = new ListText();
    let isFull = false;
    const others = waiting.filter((entry) => {
      const { said: { nth, told }, signal } = entry;
      if (signal.aborted) {
        entry.done(undefined);
        return false;
      }
      const isSame = told === entry.told;
      if (isFull || !(isSame ? list.add(nth) : list.add(nth, entry.told))) return isFull = true;
      entries.push(entry);
      return false;
    });
    if (others.length > 0) this.#waiting = [...others, ...this.#waiting];
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
    entries.forEach(({ by, told, signal, done, said }, nth) => {
      const answer = kept ? said.answer : answers[nth];
      said.told = told;
      if (answer === undefined || signal.aborted) done(undefined); // or it follows nobody any more
      else {
        if (answer.chain !== said.followed) by.follows(said.followed = answer.chain);
        done(answer.beat);
      }
    });
  }
}

async function alone({ by, told, signal, done }: Entry): Promise<void> {
  await by.reportAlone(told, signal);
  done(undefined);
}
