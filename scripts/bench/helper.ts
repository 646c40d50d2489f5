/**
 * A Python program as a child: the application or a reader of a database, with Python's own SQLite,
 * never with ours. Its messages are JSON lines with an "event", commands to it are lines on stdin; it
 * ends when its stdin ends, so it cannot outlive us. Shared by demo and bench.
 * May import: scripts/tools, tests/support/process.
 * @module
 */
import { Child, within } from "../../tests/support/process.ts";
import { run, ScriptError } from "../tools.ts";

export type Message = Readonly<Record<string, unknown>> & { readonly event: string };

const VERSIONS = "import sqlite3, platform; " +
  "print(f'Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}')";

/** "Python 3.11.7, SQLite 3.40.1". @throws {ScriptError} if there is none. */
export async function pythonVersion(): Promise<string> {
  const missing = "The application and the readers are Python programs with stock SQLite: " +
    "install python3 with its sqlite3 module and run this again";
  const { code, stdout } = await run("python3", ["-B", "-c", VERSIONS], { missing });
  if (code !== 0) throw new ScriptError(missing);
  return stdout.trim();
}

export class Helper implements AsyncDisposable {
  readonly child: Child;
  readonly #kept: Message[] = [];
  readonly #handlers = new Map<string, (message: Message) => void>();
  #arrived = Promise.withResolvers<void>();

  constructor(readonly name: string, program: string, args: readonly string[]) {
    this.child = new Child({
      program: "python3",
      args: ["-B", program, ...args],
      stdin: "piped",
    });
    this.child.stdout.onLine = (line) => this.#take(JSON.parse(line));
    void this.child.exited.then(() => this.#arrived.resolve());
  }

  #take(message: Message): void {
    const handler = this.#handlers.get(message.event);
    if (handler !== undefined) return handler(message);
    this.#kept.push(message);
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers();
  }

  /** Tells each message of this event from now on, instead of keeping it for next(). */
  on(event: string, handler: (message: Message) => void): void {
    this.#handlers.set(event, handler);
  }

  /** The first message of this event that was not taken yet. @throws {ScriptError} if it ends. */
  async next(event: string, limitMs = 60_000): Promise<Message> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const at = this.#kept.findIndex((message) => message.event === event);
      if (at >= 0) return this.#kept.splice(at, 1)[0]!;
      if (this.child.exit !== undefined) throw new ScriptError(this.ending());
      const left = Math.max(1, deadline - performance.now());
      await within(left, this.#arrived.promise, () => `${this.name} did not say "${event}"`);
    }
  }

  async tell(command: string): Promise<void> {
    await this.child.write(`${command}\n`);
  }

  /** How it ended and what it complained about. */
  ending(): string {
    const { code, signal } = this.child.exit ?? { code: 0, signal: null };
    const how = this.child.exit === undefined ? "runs" : `ended with ${signal ?? `code ${code}`}`;
    return [`${this.name} ${how}`, ...this.child.stderr.kept.slice(-15)].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.kill();
  }
}
