/**
 * Shows live replication with real processes: `demo.ts [--seconds N] [--no-color]`.
 *
 *     application (Python) -> shop.db -> primary ==> replica ==> replica2
 *                                                       |           |
 *                                                    reader      reader (Python, read-only)
 *
 * Until Ctrl-C or for N seconds; then compares the three files page by page. Exit code 0 only if they
 * hold the same content. May import: scripts/build, scripts/demo, scripts/bench, tests/support.
 * @module
 */
import { compareFiles } from "../tests/support/content.ts";
import { sleep } from "../tests/support/process.ts";
import { pythonVersion } from "./bench/helper.ts";
import { build } from "./build.ts";
import { Interrupt } from "./bench/interrupt.ts";
import { Shop } from "./demo/shop.ts";
import { plainLine, Screen, summaryLines, tableLines } from "./demo/view.ts";
import { print, runScript, ScriptError } from "./tools.ts";

const REDRAW_MS = 200;
const LINE_MS = 1000;
const SETTLE_LIMIT_MS = 15_000;

export interface Request {
  /** Until Ctrl-C without it. */
  readonly seconds?: number;
  readonly colours: boolean;
}

/** @throws {ScriptError} for what it does not know. */
export function parseArguments(args: readonly string[]): Request {
  let seconds: number | undefined;
  let colours = true;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!;
    if (arg === "--no-color") colours = false;
    else if (arg.startsWith("--seconds=")) seconds = toSeconds(arg.slice("--seconds=".length));
    else if (arg === "--seconds") seconds = toSeconds(args[++at] ?? "");
    else throw new ScriptError(`Cannot use "${arg}": say --seconds N or --no-color`);
  }
  return seconds === undefined ? { colours } : { seconds, colours };
}

function toSeconds(text: string): number {
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds > 0) return seconds;
  throw new ScriptError(`Cannot use "${text}" as --seconds: must be a number above 0`);
}

/** @throws {ScriptError} if anything ends that must run. */
async function demo({ seconds, colours }: Request): Promise<number> {
  const python = await pythonVersion();
  await build();
  using interrupt = new Interrupt();
  const shop = new Shop(await Deno.makeTempDir({ prefix: "live-demo-" }));
  /** `work`, unless something dies meanwhile or `cut` comes first (undefined then). */
  const during = <T>(work: Promise<T>, cut: Promise<void>): Promise<T | undefined> =>
    Promise.race([work, shop.died, cut.then(() => undefined)]);
  try {
    print("Starting a primary, a replica and a replica of the replica");
    const start = shop.start().then(() => true);
    if (await during(start, interrupt.first) !== true) {
      print("stopped before it was up");
      return 1;
    }
    for (const line of introduction(shop, python)) print(line);

    const began = performance.now();
    const elapsed = (): number => (performance.now() - began) / 1000;
    shop.openForOrders();
    using show = new Show(shop, elapsed, { colours, lost: interrupt.ask });
    const until = seconds === undefined ? interrupt.first : sleep(seconds * 1000);
    await during(until, interrupt.first);

    show.doing = "stopping: no more orders, the copies take what is left";
    await during(shop.close(), interrupt.second);
    const settled = await during(
      shop.settled(SETTLE_LIMIT_MS).then(() => true, () => false),
      interrupt.second,
    );
    show[Symbol.dispose]();
    const last = shop.view(elapsed(), "");
    await during(shop.stop(), interrupt.second);
    if (settled !== true) print("the copies did not get every order in time");
    const same = await compareCopies(shop);
    for (const line of summaryLines(last)) print(line);
    print(same ? "the three files hold the same content" : "the three files DIFFER");
    return same ? 0 : 1;
  } finally {
    await shop.end();
  }
}

function introduction(shop: Shop, python: string): string[] {
  const what = ["serves the application's database", "follows it", "follows the replica"];
  return [
    "An application takes orders; two readers look at the copies every 0.5 ms.",
    `All three are programs with stock SQLite (${python}).`,
    "",
    `Config files in ${shop.folder}:`,
    ...shop.nodes.map(({ name, url }, at) => `  ${`${name}.yml`.padEnd(14)} ${url}  ${what[at]}`),
    "",
    "Look yourself:",
    ...shop.copies.map(({ node: { path } }) =>
      `  sqlite3 -readonly ${path} 'SELECT count(*) FROM orders'`
    ),
    ...shop.copies.slice(0, 1).map(({ node: { url } }) => `  curl ${url}/status`),
    "",
  ];
}

interface ShowOptions {
  readonly colours: boolean;
  /** Nobody can see what is shown any more. */
  readonly lost: () => void;
}

/** Redraws a table on a terminal, else prints a line a second, until disposed. */
class Show implements Disposable {
  doing = "Ctrl-C ends it";
  readonly #screen: Screen | undefined;
  readonly #timer: number;
  readonly #tick: () => void;
  #ended = false;

  constructor(shop: Shop, elapsed: () => number, { colours, lost }: ShowOptions) {
    const write = (text: string): void => {
      try {
        Deno.stdout.writeSync(new TextEncoder().encode(text));
      } catch {
        lost(); // the terminal was closed, or the pipe's other end
      }
    };
    const terminal = Deno.stdout.isTerminal();
    const style = { colours: colours && !Deno.noColor };
    this.#screen = terminal ? new Screen(write) : undefined;
    this.#tick = () => {
      const view = shop.view(elapsed(), this.doing);
      if (this.#screen === undefined) return write(`${plainLine(view)}\n`);
      this.#screen.draw(tableLines(view, { ...style, width: columns() }));
    };
    this.#timer = setInterval(this.#tick, terminal ? REDRAW_MS : LINE_MS);
  }

  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#timer);
    this.doing = "";
    if (this.#screen !== undefined) this.#tick();
    this.#screen?.[Symbol.dispose]();
  }
}

function columns(): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return 80;
  }
}

/** Page by page, in a process of its own. */
async function compareCopies(shop: Shop): Promise<boolean> {
  let same = true;
  for (const { node } of shop.copies) {
    const { equal, problems } = await compareFiles(shop.primary.path, node.path);
    if (equal) continue;
    same = false;
    print(`${node.name} differs from the primary: ${problems.join("; ")}`);
  }
  return same;
}

if (import.meta.main) await runScript(() => demo(parseArguments(Deno.args)));
