/**
 * SIGHUP: the config is read again, and databases are added and removed without touching the others.
 * A config that cannot be read changes nothing. May import: base/, node/, cli/loaded.
 * @module
 */
import type { Log } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import type { Node } from "../node/node.ts";
import { DEFAULT_SELF_CHECK_BYTES, LIMIT_DEFAULTS, type NodeOptions } from "../node/options.ts";
import type { LoadedConfig } from "./loaded.ts";

export interface Reloading {
  readonly running: LoadedConfig;
  readonly node: Pick<Node, "reload">;
  readonly log: Log;
  /** @throws {LiveError} "config". */
  load(): LoadedConfig;
  /** Tokens and certificates. @throws {LiveError} "config" if new ones cannot be used. */
  renew(options: NodeOptions): Promise<void>;
}

/** Makes what a SIGHUP does. Reloads follow each other, never side by side. */
export function reloader(parts: Reloading): () => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return () => {
    last = last.then(() => reload(parts));
    return last;
  };
}

async function reload({ running, node, log, load, renew }: Reloading): Promise<void> {
  let loaded: LoadedConfig;
  try {
    loaded = load();
    await renew(loaded.options);
  } catch (error) {
    if (!(error instanceof LiveError)) throw error; // a bug
    log.error("the config is not reloaded, all goes on as before", { reason: error.message });
    return;
  }
  for (const note of loaded.notes) log.warn("config", { note });
  for (const key of needRestart(running, loaded)) {
    log.warn("config: a change that needs a restart", { key });
  }
  const { added, removed, changed } = await node.reload(loaded.options.databases);
  log.info("config reloaded", {
    added: listed(added),
    removed: listed(removed),
    changed: listed(changed),
  });
}

/** Keys that are read once, at the start. */
function needRestart(before: LoadedConfig, after: LoadedConfig): string[] {
  const fixed = ({ options, log, exec, hooks }: LoadedConfig): Record<string, unknown> => {
    const { copyBytes = 0, ...limits } = options.limits ?? LIMIT_DEFAULTS;
    return {
      addr: options.addr,
      "self-check-rate": options.selfCheckBytes ?? DEFAULT_SELF_CHECK_BYTES,
      "copy-rate-limit": copyBytes,
      "give-way": options.giveWay,
      limits,
      "log-level": log.level,
      "log-format": log.format,
      exec,
      "on-promote": hooks?.onPromote,
      "on-state-change": hooks?.onStateChange,
    };
  };
  const [was, is] = [fixed(before), fixed(after)];
  return Object.keys(is).filter((key) => JSON.stringify(was[key]) !== JSON.stringify(is[key]));
}

function listed(paths: readonly string[]): string | undefined {
  return paths.length === 0 ? undefined : paths.join(", ");
}
