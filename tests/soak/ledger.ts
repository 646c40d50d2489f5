/**
 * What the soak has seen: events as they happen, counts, maxima, and what must not be.
 * May import: nothing.
 * @module
 */

const MOST_VIOLATIONS = 100;

export class Ledger {
  readonly violations: string[] = [];
  /** What was expected to fail, and did: kept for the summary, no violation. */
  readonly excused = new Map<string, number>();
  readonly counts = new Map<string, number>();
  readonly highest = new Map<string, number>();
  readonly lines: string[] = [];
  readonly #print: (line: string) => void;
  readonly #started = performance.now();

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  event(text: string): void {
    const line = `${this.seconds.toFixed(2).padStart(8)} s  ${text}`;
    this.lines.push(line);
    this.#print(line);
  }

  violation(sentence: string): void {
    if (this.violations.length >= MOST_VIOLATIONS || this.violations.includes(sentence)) return;
    this.violations.push(sentence);
    this.event(`VIOLATION: ${sentence}`);
  }

  excuse(what: string): void {
    this.excused.set(what, (this.excused.get(what) ?? 0) + 1);
  }

  count(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  high(name: string, value: number): void {
    this.highest.set(name, Math.max(this.highest.get(name) ?? 0, value));
  }
}
