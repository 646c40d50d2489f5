/**
 * `promote` and `demote`: asks the node that runs. May import: base/, http/, cli/ask.
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

/** @throws {LiveError} "upstream" if no node answers, else what it says. */
export async function demoteAt(node: NodeAddress, path: string, to: string): Promise<Promotion> {
  const { method, path: endpoint } = ENDPOINTS.demote;
  const target = `${endpoint}?${new URLSearchParams({ path, to })}`;
  const { status, body } = await ask(node, target, LIMIT_MS, method);
  if (status !== 200) throw refused("demoted", node, status, body);
  const { result, position, next } = body;
  const is = result === "demoted" ? "is a replica now" : "is read-only now";
  return {
    json: body,
    text: withNext([`"${path}" ${is}; its last transaction is ${position}`], next),
  };
}

function refused(
  what: string,
  { url }: NodeAddress,
  status: number,
  body: Answer["body"],
): LiveError {
  const { message } = body;
  const why = typeof message === "string" ? message : `it answers ${status}`;
  return new LiveError("upstream", `${url}: not ${what}: ${why.replace(/^Not \w+: /, "")}`);
}

function withNext(lines: readonly string[], next: unknown): string {
  const left = Array.isArray(next) ? next.map((sentence) => `- ${sentence}`) : [];
  return `${[...lines, ...left].join("\n")}\n`;
}

function shown({ status, body }: Answer, node: NodeAddress, path: string): Promotion {
  const { result, position, parent, next } = body;
  if (status !== 200) throw refused("promoted", node, status, body);
  const was = result === "already" ? "was a primary already" : "is a primary now";
  const lines = [
    `"${path}" ${was}, at ${position}`,
    ...(result === "promoted" && parent !== undefined ? [`It has all up to ${parent}`] : []),
  ];
  return { json: body, text: withNext(lines, next) };
}
