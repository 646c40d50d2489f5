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

const LISTEN = "0A";

/**
 * Whether this process still listens on TCP port `port`, to be asked again and again: it opens nothing,
 * so it works when no descriptor is left. Always true where there is no /proc.
 */
export function listening(port: number): () => boolean {
  const links = listeningLinks(port);
  if (links.length === 0) return () => true;
  return () => links.some(({ fd, link }) => linkOf(fd) === link);
}

function listeningLinks(port: number): { readonly fd: string; readonly link: string }[] {
  const links = new Set<string>();
  for (const table of ["tcp", "tcp6"]) {
    let text: string;
    try {
      text = Deno.readTextFileSync(`/proc/self/net/${table}`);
    } catch {
      continue; // no /proc, or no IPv6
    }
    for (const line of text.split("\n")) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      const isOurs = state === LISTEN && parseInt(local!.split(":")[1]!, 16) === port;
      if (isOurs) links.add(`socket:[${inode}]`);
    }
  }
  try {
    return [...Deno.readDirSync("/proc/self/fd")]
      .map(({ name }) => ({ fd: name, link: linkOf(name) ?? "" }))
      .filter(({ link }) => links.has(link));
  } catch {
    return [];
  }
}

function linkOf(fd: string): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined; // closed
  }
}

/**
 * Ends the process unless it is called again within `seconds`: a node that hangs would keep the
 * checkpoint lock, and the application's log would grow for ever. Time in which the process is stopped
 * does not count. 0 switches it off.
 */
export function watchdog(seconds: number): void {
  sqlite().live_watchdog(seconds);
}
