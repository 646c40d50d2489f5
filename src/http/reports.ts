/**
 * The reports of all databases that follow one upstream: one request at a time, and what comes
 * meanwhile goes out together with the next. A report alone waits for nobody; 200 databases that report
 * each second cost a request, not 200, and its answer is the heartbeat of them all. May import: base/,
 * changes/records, http/{client,report}.
 *
 * Invariants: never throws, as a lost report is followed by the next one; nothing is sent for who has
 * given up; an upstream that does not know of lists gets each report alone.
 * @module
 */
import type { Beat } from "../changes/records.ts";
import type { Access } from "./client.ts";
import { type Answer, fits, type Telling, type Told } from "./report.ts";

/** A database's way to the upstream. None of these throws. */
export interface Reporter {
  reportAlone(told: Told, signal: AbortSignal): Promise<void>;
  /** What is said of each database up there, in order; undefined: it does not know of lists. */
  reportTogether(told: readonly Telling[]): Promise<readonly Answer[] | undefined>;
  /** Whom the database up there follows, as its answer said. */
  follows(chain: string): void;
}

interface Entry {
  readonly by: Reporter;
  readonly told: Telling;
  readonly signal: AbortSignal;
  readonly sent: (beat: Beat | undefined) => void;
}

interface Line {
  waiting: Entry[];
  busy: boolean;
}

export class Reports {
  /** By what opens the upstream: another token or CA is another line. */
  readonly #lines = new WeakMap<Access, Line>();

  /** Resolves when it has been sent, or cannot be; with where the upstream is if that was told. */
  send(
    access: Access,
    by: Reporter,
    told: Telling,
    signal: AbortSignal,
  ): Promise<Beat | undefined> {
    let line = this.#lines.get(access);
    if (line === undefined) this.#lines.set(access, line = { waiting: [], busy: false });
    const { promise, resolve } = Promise.withResolvers<Beat | undefined>();
    line.waiting.push({ by, told, signal, sent: resolve });
    if (!line.busy) void work(line);
    return promise;
  }
}

async function work(line: Line): Promise<void> {
  line.busy = true;
  await undefined; // the timers of many databases fire one after the other
  while (line.waiting.length > 0) {
    const count = fits(line.waiting.map(({ told }) => told));
    const all = line.waiting.splice(0, count);
    const entries = all.filter(({ signal }) => !signal.aborted);
    if (entries.length > 1) await together(entries);
    else await entries[0]?.by.reportAlone(entries[0].told, entries[0].signal);
    for (const { sent } of all) sent(undefined); // who was not told anything
  }
  line.busy = false;
}

async function together(entries: readonly Entry[]): Promise<void> {
  const answers = await entries[0]!.by.reportTogether(entries.map(({ told }) => told));
  if (answers !== undefined) {
    for (const [nth, { by, signal, sent }] of entries.entries()) {
      const answer = answers[nth];
      if (answer === undefined || signal.aborted) continue; // it follows nobody any more
      by.follows(answer.chain);
      sent(answer.beat);
    }
  } else await Promise.all(entries.map((entry) => entry.by.reportAlone(entry.told, entry.signal)));
}
