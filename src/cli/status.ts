/**
 * `status`: a node's databases and replicas as a table, once or again and again in place. May import:
 * base/, cli/{ask,status_view}.
 * @module
 */
import { type Clock } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import { askStatus, type NodeAddress } from "./ask.ts";
import { coloured, plain, statusText } from "./status_view.ts";

const WATCH_MS = 1000;
const CLEAR_BELOW = "\x1b[J";
const HOME = "\x1b[H";
const CLEAR = "\x1b[2J";

export interface StatusRequest {
  readonly node: NodeAddress;
  readonly json: boolean;
  readonly watch: boolean;
}

export interface Screen {
  readonly isTerminal: boolean;
  readonly colours: boolean;
  print(text: string): void;
}

/** Returns when it was printed; with `watch` when `signal` aborts. */
export async function showStatus(
  request: StatusRequest,
  screen: Screen,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  if (!request.watch) return screen.print(await textOf(request, screen));
  if (screen.isTerminal) screen.print(CLEAR);
  while (!signal.aborted) {
    let text: string;
    try {
      text = await textOf(request, screen);
    } catch (error) {
      if (!(error instanceof LiveError)) throw error;
      text = `${error.message}\n`;
    }
    screen.print(screen.isTerminal ? `${HOME}${eachLineCleared(text)}${CLEAR_BELOW}` : text);
    await clock.sleep(WATCH_MS, signal);
  }
}

async function textOf({ node, json }: StatusRequest, screen: Screen): Promise<string> {
  const status = await askStatus(node);
  if (json) return `${JSON.stringify(status)}\n`;
  return statusText(status, screen.colours ? coloured : plain);
}

/** Lines of the last picture may have been longer. */
function eachLineCleared(text: string): string {
  return text.replaceAll("\n", "\x1b[K\n");
}
