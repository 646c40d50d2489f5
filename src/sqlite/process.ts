/**
 * What the whole process needs of the system and Deno does not offer. May import: base/.
 * @module
 */
import { sqlite } from "./library.ts";

/**
 * Whether this process still listens on TCP port `port`, to be asked again and again. Opens nothing, so
 * it tells the truth when no descriptor is left.
 *
 * Switches Nagle's algorithm off for the connections to that port. Deno.serve leaves it on, and a small
 * answer then waits for the acknowledgement of the one before, up to 40 ms.
 */
export function listening(port: number): () => boolean {
  const fd = sqlite().live_listener(port);
  return () => sqlite().live_listens(fd, port) !== 0;
}

/**
 * Ends the process unless it is called again within `seconds`: a node that hangs would keep the
 * checkpoint lock, and the application's log would grow for ever. Time in which the process is stopped
 * does not count. 0 switches it off.
 */
export function watchdog(seconds: number): void {
  sqlite().live_watchdog(seconds);
}

/** Gives free memory back to the system, on another thread: after a first copy 20 MB of 108. */
export async function trim(): Promise<void> {
  await sqlite().live_trim();
}

/** The event loop's, ms since its start. */
export interface ProcessorTime {
  readonly ran: number;
  /** Ready to run, without a processor. */
  readonly waited: number;
}

const times = new Float64Array(2);

/** Undefined where the system does not count it. Source: Documentation/scheduler/sched-stats. */
export function processorTime(): ProcessorTime | undefined {
  if (sqlite().live_processor_time(times) === 0) return undefined;
  return { ran: times[0]!, waited: times[1]! };
}

/** Where both want a whole processor, a program of nice 0 gets nine parts of ten. */
const LOWER_NICE = 10;

/** A lower priority for this process, which ends by itself if it gets no processor (priority.c). */
export const LOWER_PRIORITY = {
  open: (): boolean => sqlite().live_way_open(LOWER_NICE) !== 0,
  give: (giving: boolean): void => sqlite().live_way(giving ? 1 : 0),
  given: (): boolean => sqlite().live_way_given() !== 0,
} as const;

/**
 * Full priority for this process until it is disposed of, whatever it has just now: while others wait for
 * a lock of ours, and for a program that is started, which inherits it.
 */
export function fullPriority(): Disposable {
  sqlite().live_way_lift(1);
  return { [Symbol.dispose]: () => sqlite().live_way_lift(0) };
}
