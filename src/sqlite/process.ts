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

/**
 * How long this process's event loop was ready to run and did not get a processor, ms since its start;
 * undefined where the system does not count it. Source: Documentation/scheduler/sched-stats, of the
 * first thread, which is the event loop's.
 */
export function processorWaitMs(): number | undefined {
  try {
    const waited = Number(Deno.readTextFileSync("/proc/self/schedstat").split(" ")[1]);
    return Number.isFinite(waited) ? waited / 1e6 : undefined;
  } catch {
    return undefined;
  }
}
