/**
 * Ctrl-C and its relatives, once and twice. May import: nothing.
 * @module
 */

/** `deno task` hands on a Ctrl-C that the terminal has sent to everybody: both are one. */
const SAME_MS = 700;
const SIGNALS: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

export class Interrupt implements Disposable {
  /** Asked to stop. */
  readonly first: Promise<void>;
  /** Asked again: stop without waiting for anything. */
  readonly second: Promise<void>;
  /** As if a signal had come. */
  readonly ask: () => void;

  constructor() {
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    this.first = first.promise;
    this.second = second.promise;
    let asked: number | undefined;
    this.ask = () => {
      if (asked === undefined) asked = performance.now();
      else if (performance.now() - asked > SAME_MS) second.resolve();
      first.resolve();
    };
    for (const signal of SIGNALS) Deno.addSignalListener(signal, this.ask);
  }

  [Symbol.dispose](): void {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, this.ask);
  }
}
