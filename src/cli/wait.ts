/**
 * `wait`: asks a node's /wait, again while the node does not answer yet. May import: base/, http/,
 * cli/ask.
 * @module
 */
import type { Clock } from "../base/env.ts";
import { codeOf, LiveError } from "../base/errors.ts";
import { ENDPOINTS } from "../http/endpoints.ts";
import { waitRequest } from "../http/wait.ts";
import { type Answer, ask, type NodeAddress } from "./ask.ts";

/** On top of what the node was told to wait, for its answer to come. */
const GRACE_MS = 3000;
const RETRY_MS = 200;

export interface WaitAsked {
  readonly node: NodeAddress;
  readonly path: string;
  /** As /wait takes them. */
  readonly query: Readonly<Record<string, string>>;
}

export interface Waited {
  readonly json: Readonly<Record<string, unknown>>;
  /** For people: "ok epoch/txid". */
  readonly line: string;
  /** Exit code: 0 it is there, 1 it is not. */
  readonly code: number;
}

/** @throws {LiveError} "config" for what cannot be asked, "upstream" if no node answered in time. */
export async function waitAt({ node, path, query }: WaitAsked, clock: Clock): Promise<Waited> {
  const until = clock.monotonic() + timeoutOf(query);
  for (;;) {
    const left = Math.max(0, until - clock.monotonic());
    try {
      const asked = new URLSearchParams({ ...query, path, timeout: `${Math.ceil(left)}ms` });
      return shown(await ask(node, `${ENDPOINTS.wait.path}?${asked}`, left + GRACE_MS), node);
    } catch (error) {
      if (codeOf(error) !== "upstream" || clock.monotonic() >= until) throw error;
      await clock.sleep(Math.min(RETRY_MS, left)); // the node may be starting
    }
  }
}

/** The same check as the node's, before anything is sent. */
function timeoutOf(query: WaitAsked["query"]): number {
  try {
    return waitRequest((name) => query[name]).timeoutMs;
  } catch (error) {
    if (error instanceof LiveError) throw new LiveError("config", error.message);
    throw error;
  }
}

function shown({ status, body }: Answer, { url }: NodeAddress): Waited {
  const { result, position, replicas, message } = body;
  if (typeof result !== "string") {
    const what = typeof message === "string" ? message : `it answers ${status}`;
    throw new LiveError(status === 503 ? "upstream" : "not_found", `${url}: ${what}`);
  }
  const at = typeof position === "string" ? ` ${position}` : "";
  const count = typeof replicas === "number" ? ` replicas=${replicas}` : "";
  return { json: body, line: `${result}${at}${count}\n`, code: result === "ok" ? 0 : 1 };
}
