/**
 * `on-promote` and `on-state-change`: commands that tell somebody else what has happened to a database.
 * May import: base/, node/status, cli/command.
 *
 * Invariants: replication never waits for a command. Of one database they run one after the other; what
 * changes while one runs is told once, as the newest state, so a slow command is behind by one run at
 * most. A command that fails or hangs is a warning in the log. Nothing is told of what was before the
 * start.
 * @module
 */
import type { Env } from "../base/env.ts";
import { formatTxid } from "../base/types.ts";
import type { DatabaseStatus } from "../node/status.ts";
import type { Command } from "./command.ts";

const LOOK_MS = 200;

export interface HookCommands {
  readonly onPromote?: Command;
  readonly onStateChange?: Command;
}

/** Runs a command to its end; resolves to why it failed, or undefined. Never throws. */
export type RunCommand = (
  command: Command,
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<string | undefined>;

/** The environment of a command besides LITESTREAM_DB_PATH. Source of the table in OPERATING.md. */
export const HOOK_VARIABLES = {
  LITESTREAM_DB_PATH: "The database's path on this node.",
  LITESTREAM_LIVE_EVENT: "`promote` or `state-change`.",
  LITESTREAM_LIVE_ROLE: "`primary` or `replica`.",
  LITESTREAM_LIVE_STATE: "Its state, as `litestream-live help states` lists them.",
  LITESTREAM_LIVE_FROM: "Role and state that were told last, with a space between them.",
  LITESTREAM_LIVE_REASON: "A sentence: what is wrong or waited for; empty if nothing.",
  LITESTREAM_LIVE_POSITION: "epoch/txid; empty if it has none.",
  LITESTREAM_LIVE_UPSTREAM: "URL and path of the upstream; empty on a primary.",
} as const;

type Variable = keyof typeof HOOK_VARIABLES;

interface Told {
  status: DatabaseStatus;
  last: DatabaseStatus;
  promoted: boolean;
  running: Promise<void> | undefined;
}

export class Hooks {
  readonly #commands: HookCommands;
  readonly #status: () => readonly DatabaseStatus[];
  readonly #run: RunCommand;
  readonly #env: Env;
  readonly #known = new Map<string, Told>();

  constructor(
    commands: HookCommands,
    status: () => readonly DatabaseStatus[],
    run: RunCommand,
    env: Env,
  ) {
    this.#commands = commands;
    this.#status = status;
    this.#run = run;
    this.#env = env;
  }

  /** Until `signal` aborts, which ends a command that runs. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#look(signal);
      await this.#env.clock.sleep(LOOK_MS, signal);
    }
    await Promise.all([...this.#known.values()].map(({ running }) => running));
  }

  #look(signal: AbortSignal): void {
    const all = this.#status();
    for (const status of all) {
      const known = this.#known.get(status.path);
      if (known === undefined) {
        const told = { status, last: status, promoted: false, running: undefined };
        this.#known.set(status.path, told);
        continue;
      }
      known.promoted ||= known.last.role === "replica" && status.role === "primary";
      known.last = status;
      known.running ??= this.#tell(known, signal).finally(() => known.running = undefined);
    }
    const paths = new Set(all.map(({ path }) => path));
    for (const path of this.#known.keys()) if (!paths.has(path)) this.#known.delete(path);
  }

  async #tell(known: Told, signal: AbortSignal): Promise<void> {
    const { onPromote, onStateChange } = this.#commands;
    while (!signal.aborted) {
      const { last, status: from } = known;
      if (known.promoted && last.state === "serving") {
        known.promoted = false;
        if (onPromote !== undefined) await this.#call(onPromote, "promote", last, from, signal);
      } else if (standing(last) !== standing(from)) {
        known.status = last;
        if (onStateChange === undefined) continue;
        await this.#call(onStateChange, "state-change", last, from, signal);
      } else return;
    }
  }

  async #call(
    command: Command,
    event: string,
    now: DatabaseStatus,
    from: DatabaseStatus,
    signal: AbortSignal,
  ): Promise<void> {
    const { epoch, txid, upstream } = now;
    const variables: Record<Variable, string> = {
      LITESTREAM_DB_PATH: now.path,
      LITESTREAM_LIVE_EVENT: event,
      LITESTREAM_LIVE_ROLE: now.role,
      LITESTREAM_LIVE_STATE: now.state,
      LITESTREAM_LIVE_FROM: `${from.role} ${from.state}`,
      LITESTREAM_LIVE_REASON: now.trouble ?? now.reason ?? "",
      LITESTREAM_LIVE_POSITION: epoch && txid !== undefined ? `${epoch}/${formatTxid(txid)}` : "",
      LITESTREAM_LIVE_UPSTREAM: upstream === undefined ? "" : `${upstream.url}${upstream.path}`,
    };
    const failure = await this.#run(command, variables, signal);
    if (failure === undefined || signal.aborted) return;
    this.#env.log.warn(`on-${event} failed`, { path: now.path, program: command.program, failure });
  }
}

function standing({ role, state, trouble }: DatabaseStatus): string {
  return `${role} ${state} ${trouble === undefined ? "" : "trouble"}`;
}
