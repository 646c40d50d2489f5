/**
 * Children of a test: started, waited for and ended with a limit on every wait. Only own children are
 * ended, by their handle. May import: nothing.
 * @module
 */

export interface SpawnOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Nothing of the test's own environment. */
  readonly clearEnv?: boolean;
  readonly cwd?: string;
  readonly stdin?: "piped" | "null";
}

export interface Exit {
  readonly code: number;
  readonly signal: string | null;
}

const KEPT_LINES = 2000;

/** Lines of one output stream, kept and told to who listens. */
class Lines {
  readonly kept: string[] = [];
  onLine: (line: string) => void = () => {};
  readonly ended: Promise<void>;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.ended = this.#read(stream);
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#take(line);
    }
    if (rest !== "") this.#take(rest);
  }

  #take(line: string): void {
    this.kept.push(line);
    if (this.kept.length > KEPT_LINES) this.kept.shift();
    this.onLine(line);
  }
}

export class Child implements AsyncDisposable {
  readonly pid: number;
  readonly stdout: Lines;
  readonly stderr: Lines;
  readonly exited: Promise<Exit>;
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #exit: Exit | undefined;

  constructor(options: SpawnOptions) {
    this.#child = new Deno.Command(options.program, {
      args: [...options.args],
      env: { ...options.env },
      clearEnv: options.clearEnv ?? false,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdin: options.stdin ?? "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.stdout = new Lines(this.#child.stdout);
    this.stderr = new Lines(this.#child.stderr);
    if (options.stdin === "piped") this.#stdin = this.#child.stdin.getWriter();
    this.exited = this.#wait();
  }

  async #wait(): Promise<Exit> {
    const { code, signal } = await this.#child.status;
    await Promise.all([this.stdout.ended, this.stderr.ended]);
    this.#exit = { code, signal };
    return this.#exit;
  }

  /** Undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  async write(text: string): Promise<void> {
    await this.#stdin?.write(new TextEncoder().encode(text));
  }

  /** SIGSTOP and SIGCONT, too. Nothing happens if it has ended. */
  signal(signal: Deno.Signal): void {
    if (this.#exit !== undefined) return;
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended meanwhile
    }
  }

  /** Waits for its end. @throws {Error} after `limitMs`. */
  wait(limitMs: number): Promise<Exit> {
    return within(limitMs, this.exited, () => `process ${this.pid} still runs`);
  }

  /** SIGKILL, and gone when this returns. */
  async kill(): Promise<Exit> {
    this.signal("SIGKILL");
    const exit = await this.wait(10_000);
    await this.#stdin?.close().catch(() => {}); // its reader is gone
    return exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** Runs a program to its end. */
export async function runToEnd(
  program: string,
  args: readonly string[],
  limitMs = 20_000,
): Promise<{ code: number; out: string; error: string }> {
  await using child = new Child({ program, args, clearEnv: true, env: {} });
  const { code } = await child.wait(limitMs);
  return { code, out: child.stdout.kept.join("\n"), error: child.stderr.kept.join("\n") };
}

/** `work`, or an error after `limitMs`. The timer never outlives it. */
export async function within<T>(
  limitMs: number,
  work: Promise<T>,
  sentence: () => string,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`${sentence()} after ${limitMs} ms`)),
    limitMs,
  );
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Asks until the answer is not undefined. An error of `ask` counts as "not yet".
 * @throws {Error} after `limitMs`, with `what` and the last error.
 */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  limitMs = 45_000,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  let last: unknown;
  for (let pause = 2;; pause = Math.min(pause * 2, 50)) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) break;
    await sleep(pause);
  }
  const reason = last instanceof Error ? `: ${last.message}` : "";
  throw new Error(`not within ${limitMs} ms: ${what}${reason}`);
}
