/**
 * What the demo shows: a table redrawn in place on a terminal, a line a second elsewhere, a summary.
 * The functions are pure; Screen writes. May import: scripts/bench/numbers.
 * @module
 */
import { formatCount, formatNumber } from "../bench/numbers.ts";

export interface CopyView {
  readonly name: string;
  readonly rows: number;
  /** ms; undefined before the first row. */
  readonly last: number | undefined;
  readonly p50: number | undefined;
  readonly p99: number | undefined;
  readonly max: number | undefined;
}

export interface View {
  readonly seconds: number;
  /** Rows written since the demo began. */
  readonly written: number;
  readonly copies: readonly CopyView[];
  /** What is going on, a few words. */
  readonly doing: string;
}

export interface Style {
  readonly colours: boolean;
  /** Of the terminal, columns. */
  readonly width: number;
}

const milliseconds = (ms: number | undefined): string =>
  ms === undefined ? "–" : `${formatNumber(ms)} ms`;

const clock = (seconds: number): string =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds) % 60).padStart(2, "0")}`;

const COLUMNS = { name: 16, rows: 10, ms: 11 } as const;

function row(cells: readonly string[]): string {
  const [name = "", rows = "", ...times] = cells;
  return `  ${name.padEnd(COLUMNS.name)}${rows.padStart(COLUMNS.rows)}` +
    times.map((cell) => cell.padStart(COLUMNS.ms)).join("");
}

function lagCells({ last, p50, p99, max }: CopyView): string[] {
  return [last, p50, p99, max].map(milliseconds);
}

/** The live table; every line fits into `width`. */
export function tableLines(view: View, style: Style): string[] {
  const behind = (copy: CopyView): boolean => copy.rows < view.written;
  const lines: [text: string, colour: string][] = [
    [row(["", "orders", "last lag", "p50", "p99", "max"]), "2"],
    [row(["written", formatCount(view.written)]), "1"],
    ...view.copies.map((copy): [string, string] => [
      row([`in ${copy.name}`, formatCount(copy.rows), ...lagCells(copy)]),
      behind(copy) ? "33" : "32",
    ]),
    [`  ${clock(view.seconds)}  ${view.doing}`, "2"],
  ];
  return lines.map(([text, colour]) => {
    const clipped = text.slice(0, Math.max(1, style.width - 1));
    return style.colours ? `\x1b[${colour}m${clipped}\x1b[0m` : clipped;
  });
}

/** One line for a log. */
export function plainLine(view: View): string {
  const copies = view.copies.map((copy) =>
    `${copy.name} ${formatCount(copy.rows)} (lag ${milliseconds(copy.last)}, ` +
    `p50 ${milliseconds(copy.p50)}, max ${milliseconds(copy.max)})`
  );
  return [clock(view.seconds), `written ${formatCount(view.written)}`, ...copies].join("  ");
}

export function summaryLines(view: View): string[] {
  return [
    `${formatCount(view.written)} orders in ${Math.round(view.seconds)} s`,
    ...view.copies.map((copy) =>
      `${copy.name}: ${formatCount(copy.rows)} orders seen, lag p50 ${milliseconds(copy.p50)}, ` +
      `p99 ${milliseconds(copy.p99)}, max ${milliseconds(copy.max)}`
    ),
  ];
}

/** Draws over what it drew before. */
export class Screen implements Disposable {
  #drawn = 0;

  constructor(readonly write: (text: string) => void) {
    write("\x1b[?25l"); // the cursor would flicker
  }

  draw(lines: readonly string[]): void {
    const back = this.#drawn === 0 ? "" : `\x1b[${this.#drawn}A\r`;
    this.write(back + lines.map((line) => `${line}\x1b[K\n`).join("") + "\x1b[J");
    this.#drawn = lines.length;
  }

  [Symbol.dispose](): void {
    this.write("\x1b[?25h");
  }
}
