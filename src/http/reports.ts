/**
 * The reports of all databases that follow one upstream: one request at a time, and what comes
 * meanwhile goes out together with the next. A report alone waits for nobody; 200 databases that report
 * each second cost a request or two, not 200. May import: base/, http/{client,report}.
 *
 * Invariants: never throws, as a lost report is followed by the next one; nothing is sent for who has
 * given up; an upstream that does not know of lists gets each report alone.
 * @module
 */
import type { Access } from "./client.ts";
import { fits, type Told } from "./report.ts";

/** A database's way to the upstream. None of these throws. */
export interface Reporter {
  reportAlone(told: Told, signal: AbortSignal): Promise<void>;
  /** The chain of each database up there, in order; undefined: it does not know of lists. */
  reportTogether(told: readonly Told[]): Promise<readonly string[] | undefined>;
  /** Whom the database up there follows, as its answer said. */
  follows(chain: string): void;
}

interface Entry {
  readonly by: Reporter;
  readonly told: Told;
  readonly signal: AbortSignal;
  readonly sent: () => void;
}

interface Line {
  waiting: Entry[];
  busy: boolean;
}

export class Reports {
  /** By what opens the upstream: another token or CA is another line. */
  readonly #lines = new WeakMap<Access, Line>();

  /** Resolves when it has been sent, or cannot be. */
  send(access: Access, by: Reporter, told: Told, signal: AbortSignal): Promise<void> {
    let line = this.#lines.get(access);
    if (line === undefined) this.#lines.set(access, line = { waiting: [], busy: false });
    const { promise, resolve } = Promise.withResolvers<void>();
    line.waiting.push({ by, told, signal, sent: resolve });
    if (!line.busy) void work(line);
    return promise;
  }
}

async function work(line: Line): Promise<void> {
  line.busy = true;
  while (line.waiting.length > 0) {
    const count = fits(line.waiting.map(({ told }) => told));
    const all = line.waiting.splice(0, count);
    const entries = all.filter(({ signal }) => !signal.aborted);
    if (entries.length > 1) await together(entries);
    else await entries[0]?.by.reportAlone(entries[0].told, entries[0].signal);
    for (const { sent } of all) sent();
  }
  line.busy = false;
}

async function together(entries: readonly Entry[]): Promise<void> {
  const chains = await entries[0]!.by.reportTogether(entries.map(({ told }) => told));
  if (chains !== undefined) {
    for (const [nth, { by, signal }] of entries.entries()) {
      const chain = chains[nth];
      if (chain !== undefined && !signal.aborted) by.follows(chain); // or it follows nobody any more
    }
  } else await Promise.all(entries.map((entry) => entry.by.reportAlone(entry.told, entry.signal)));
}
