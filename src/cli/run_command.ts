/**
 * Programs of the config: whether they are there; and a command that ends: its time is bounded, of what it
 * says the end is kept. May import: base/, sqlite/process, cli/{command,hooks}.
 * @module
 */
import type { Clock } from "../base/env.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import { fullPriority } from "../sqlite/process.ts";
import type { Command } from "./command.ts";
import type { RunCommand } from "./hooks.ts";

const LIMIT_MS = 30_000;
/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 2000;
const EXECUTABLE_BITS = 0o111;
const KEPT_BYTES = 2000;

export function commandRunner(clock: Clock): RunCommand {
  return async ({ program, args }: Command, env, signal) => {
    let child: Deno.ChildProcess;
    try {
      const command = new Deno.Command(findProgram("hook", program), {
        args: [...args],
        env,
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      });
      using _full = fullPriority();
      child = command.spawn();
    } catch (error) {
      return `cannot start: ${messageOf(error)}`;
    }
    let late = false;
    const end = (): void => stop(child, clock);
    const cancel = clock.after(LIMIT_MS, () => {
      late = true;
      end();
    });
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    const reader = child.stderr.getReader();
    const said = lastLine(reader);
    const { code, signal: by } = await child.status;
    cancel();
    signal.removeEventListener("abort", end);
    // Who went on in the background may hold its stderr open.
    const giveUp = clock.after(100, () => void reader.cancel().catch(() => {}));
    const line = await said;
    giveUp();
    if (late) return `ended after ${LIMIT_MS / 1000} s`;
    if (code === 0) return undefined;
    const how = by === null ? `exit code ${code}` : by;
    return line === "" ? how : `${how}: ${line}`;
  };
}

function stop(child: Deno.ChildProcess, clock: Clock): void {
  const kill = (signal: Deno.Signal): void => {
    try {
      child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended meanwhile
    }
  };
  kill("SIGTERM");
  const cancel = clock.after(GRACE_MS, () => kill("SIGKILL"));
  void child.status.then(cancel);
}

async function lastLine(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  let kept = "";
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return kept.trim().split("\n").at(-1) ?? "";
    kept = (kept + decoder.decode(value, { stream: true })).slice(-KEPT_BYTES);
  }
}

/**
 * Its path. $PATH is searched here: a process without one (systemd, a container) finds it, too.
 * @throws {LiveError} "config" if there is no such program: better now than when it is needed.
 */
export function findProgram(key: string, program: string): string {
  if (program.includes("/")) {
    if (isProgram(program)) return program;
    throw missing(key, program, "is no file that can be executed");
  }
  const places = (Deno.env.get("PATH") ?? "/usr/bin:/bin").split(":");
  const found = places.find((place) => isProgram(`${place}/${program}`));
  if (found !== undefined) return `${found}/${program}`;
  throw missing(key, program, "is in no directory of $PATH");
}

function isProgram(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && ((mode ?? 0) & EXECUTABLE_BITS) !== 0;
  } catch {
    return false;
  }
}

function missing(key: string, program: string, what: string): LiveError {
  return new LiveError("config", `${key}: "${program}" ${what}; write its whole path`);
}
