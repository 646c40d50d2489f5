/**
 * What the whole process needs of the system and Deno does not offer. May import: base/.
 * @module
 */
import { sqlite } from "./library.ts";

/**
 * Switches Nagle's algorithm off for this process's TCP sockets: those that listen hand it on to their
 * connections. Deno.serve leaves it on, and a small answer then waits for the acknowledgement of the
 * one before, up to 40 ms. Without effect where there is no /proc.
 */
export function sendSmallAnswersAtOnce(): void {
  try {
    for (const { name } of Deno.readDirSync("/proc/self/fd")) sqlite().live_no_delay(Number(name));
  } catch { /* no /proc: slower, not wrong */ }
}

/**
 * Ends the process unless it is called again within `seconds`: a node that hangs would keep the
 * checkpoint lock, and the application's log would grow for ever. Time in which the process is stopped
 * does not count. 0 switches it off.
 */
export function watchdog(seconds: number): void {
  sqlite().live_watchdog(seconds);
}
