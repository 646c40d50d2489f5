/**
 * `copy`: a copy of a live database, with its progress on a terminal. May import: base/, changes/source,
 * node/copy, cli/status_view.
 * @module
 */
import type { Env } from "../base/env.ts";
import { formatDuration } from "../base/duration.ts";
import { formatPosition } from "../base/types.ts";
import type { ChangeSource } from "../changes/source.ts";
import { copyDatabase } from "../node/copy.ts";
import { bytesText } from "./status_view.ts";

const DRAW_MS = 200;
const CLEAR_LINE = "\r\x1b[K";
const INTERRUPTED = 130;

export interface CopyAsked {
  readonly source: ChangeSource;
  /** Absolute. */
  readonly path: string;
  readonly force: boolean;
  readonly json: boolean;
}

export interface CopyScreen {
  readonly isTerminal: boolean;
  print(text: string): void;
  /** What is only for the eye. */
  status(text: string): void;
}

/** The exit code. @throws {LiveError} as copyDatabase() does. */
export async function copyTo(
  { source, path, force, json }: CopyAsked,
  screen: CopyScreen,
  env: Env,
  signal: AbortSignal,
): Promise<number> {
  const { clock } = env;
  const began = clock.monotonic();
  const bar = new Bar(screen, () => clock.monotonic());
  let copied: Awaited<ReturnType<typeof copyDatabase>>;
  try {
    const progress = (done: number, total: number): void => bar.show(done, total);
    copied = await copyDatabase({ source, path, force, progress }, env, signal);
  } finally {
    bar.clear();
  }
  if (copied === undefined) {
    screen.status(`interrupted; "${path}.part" is kept, and the next copy goes on from there\n`);
    return INTERRUPTED;
  }
  const ms = Math.round(clock.monotonic() - began);
  const { bytes } = copied;
  const position = formatPosition(copied.position);
  const line = `${path}: ${bytesText(bytes)} at ${position}, ${formatDuration(ms)}\n`;
  screen.print(json ? `${JSON.stringify({ path, bytes, position, ms })}\n` : line);
  return 0;
}

/** "43 %, 432 MB of 1.0 GB, 512 MB/s, ETA 2s", redrawn in place; nothing where nobody looks. */
class Bar {
  #drawn = -Infinity;
  #from: { readonly at: number; readonly done: number } | undefined;

  constructor(private readonly screen: CopyScreen, private readonly now: () => number) {}

  show(done: number, total: number): void {
    if (!this.screen.isTerminal || total === 0) return;
    const now = this.now();
    this.#from ??= { at: now, done };
    if (now - this.#drawn < DRAW_MS) return;
    this.#drawn = now;
    const rate = (done - this.#from.done) / Math.max(1, now - this.#from.at);
    const eta = rate > 0
      ? `, ETA ${formatDuration(1000 * Math.ceil((total - done) / rate / 1000))}`
      : "";
    const percent = Math.floor(100 * done / total);
    const speed = `${bytesText(1000 * rate)}/s`;
    this.screen.status(
      `${CLEAR_LINE}${percent} %, ${bytesText(done)} of ${bytesText(total)}, ${speed}${eta}`,
    );
  }

  clear(): void {
    if (this.#drawn > -Infinity) this.screen.status(CLEAR_LINE);
  }
}
