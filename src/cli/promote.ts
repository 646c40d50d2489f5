/**
 * `promote`: asks the node that runs. May import: base/, http/, cli/ask.
 * @module
 */
import { LiveError } from "../base/errors.ts";
import { ENDPOINTS } from "../http/endpoints.ts";
import { type Answer, ask, type NodeAddress } from "./ask.ts";

/** A checkpoint may have to end first. */
const LIMIT_MS = 60_000;

export interface Promotion {
  readonly json: Readonly<Record<string, unknown>>;
  /** For people. */
  readonly text: string;
}

/** @throws {LiveError} "upstream" if no node answers, else what it says. */
export async function promoteAt(node: NodeAddress, path: string): Promise<Promotion> {
  const { method, path: endpoint } = ENDPOINTS.promote;
  const target = `${endpoint}?${new URLSearchParams({ path })}`;
  return shown(await ask(node, target, LIMIT_MS, method), node, path);
}

function shown({ status, body }: Answer, { url }: NodeAddress, path: string): Promotion {
  const { result, position, parent, next, message } = body;
  if (status !== 200) {
    const what = typeof message === "string" ? message : `it answers ${status}`;
    throw new LiveError("upstream", `${url}: not promoted: ${what}`);
  }
  const was = result === "already" ? "was a primary already" : "is a primary now";
  const lines = [
    `"${path}" ${was}, at ${position}`,
    ...(result === "promoted" && parent !== undefined ? [`It has all up to ${parent}`] : []),
    ...(Array.isArray(next) ? next.map((sentence) => `- ${sentence}`) : []),
  ];
  return { json: body, text: `${lines.join("\n")}\n` };
}
