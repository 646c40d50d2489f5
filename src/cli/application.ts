/**
 * `exec`: the application beside the node. It starts once every replica can be read, gets the signals
 * that are meant for it, and its exit code becomes ours. May import: base/, node/node, cli/{command,run_command}.
 *
 * A primary is not waited for: its application may be the one that makes the database. SIGHUP is not
 * passed on: it is ours, and ends a program that does not expect it.
 * @module
 */
import type { Env } from "../base/env.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import type { Node } from "../node/node.ts";
import type { Command } from "./command.ts";
import { findProgram } from "./run_command.ts";

export const FORWARDED = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;
/** Ctrl-C and Ctrl-\ reach every process of a terminal: passed on, they would arrive twice. */
const FROM_TERMINAL: readonly string[] = ["SIGINT", "SIGQUIT"];
const LOOK_MS = 50;
/** For replicas to receive what the application committed last. */
const DRAIN_MS = 2000;

export class Application {
  readonly #command: Command;
  readonly #node: Pick<Node, "databases" | "drain" | "unreadable">;
  readonly #env: Env;
  #child: Deno.ChildProcess | undefined;

  /** @throws {LiveError} "config" if there is no such program: better now than after a first copy. */
  constructor(
    command: Command,
    node: Pick<Node, "databases" | "drain" | "unreadable">,
    env: Env,
  ) {
    this.#command = { ...command, program: findProgram("exec", command.program) };
    this.#node = node;
    this.#env = env;
  }

  /** Until it has ended, with its exit code; 0 if `signal` aborts before it was started. */
  async run(signal: AbortSignal): Promise<number> {
    if (!await this.#readable(signal)) return 0;
    const { log } = this.#env;
    const child = this.#spawn();
    this.#child = child;
    const end = (): void => void this.signal("SIGTERM"); // a bug of ours ends this process
    globalThis.addEventListener("unload", end);
    log.info("application started", { pid: child.pid, program: this.#command.program });
    const { code, signal: by } = await child.status;
    globalThis.removeEventListener("unload", end);
    log.info("application ended", { code, signal: by ?? undefined });
    if (!await this.#node.drain(DRAIN_MS)) log.warn("a replica has not received the last commits");
    return code;
  }

  /** True if it takes care of the signal: the node stops when the application has. */
  signal(signal: typeof FORWARDED[number]): boolean {
    if (this.#child === undefined) return false;
    if (FROM_TERMINAL.includes(signal) && Deno.stdin.isTerminal()) return true;
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended meanwhile
    }
    return true;
  }

  async #readable(signal: AbortSignal): Promise<boolean> {
    for (let said = false; !signal.aborted; said = true) {
      const reason = this.#node.unreadable();
      if (reason === undefined) return true;
      if (!said) this.#env.log.info("the application waits for its replicas", { reason });
      await this.#env.clock.sleep(LOOK_MS, signal);
    }
    return false;
  }

  #spawn(): Deno.ChildProcess {
    const { program, args } = this.#command;
    try {
      return new Deno.Command(program, {
        args: [...args],
        env: { LITESTREAM_DB_PATH: this.#node.databases[0]!.options.path },
        stdin: "inherit",
        stdout: "inherit",
        stderr: "inherit",
      }).spawn();
    } catch (error) {
      throw new LiveError("config", `exec: cannot start "${program}": ${messageOf(error)}`);
    }
  }
}
