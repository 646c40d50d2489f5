/**
 * Waiting until a transaction is here, or at so many replicas: read-your-writes and semi-synchronous
 * acknowledgement. It always ends: with what was wanted, by its time, or because the history in which
 * the transaction was named is over. One that a promoted node took over is in the new history, too. May
 * import: base/, node/status.
 * @module
 */
import type { Env } from "../base/env.ts";
import { placeIn } from "../base/lineage.ts";
import type { Epoch, Position, Txid } from "../base/types.ts";
import type { Waiters } from "../base/waiters.ts";
import type { DownstreamStatus } from "./status.ts";

export const STAGES = ["received", "durable", "applied"] as const;
export type Stage = typeof STAGES[number];

interface Target {
  readonly epoch?: Epoch;
  readonly txid: Txid;
}

export interface WaitRequest {
  /** Without an epoch: in whatever history there is. Absent: what is newest when it begins. */
  readonly target?: Target;
  readonly timeoutMs: number;
  /** Of this node's replicas; absent: this node itself. */
  readonly replicas?: { readonly count: number; readonly stage: Stage };
}

export interface WaitAnswer {
  readonly result: "ok" | "timeout" | "epoch-changed";
  /** Where this node is now; absent if it has no database yet. */
  readonly position?: Position;
  /** Replicas that have it; absent if it was not asked for. */
  readonly replicas?: number;
}

/** What a database must tell. */
export interface Waited {
  /** Woken when the position or a replica's position moves. */
  readonly moves: Waiters;
  /** What is committed and readable here now. */
  newest(): Position | undefined;
  /** What the history of newest() goes on from (base/lineage). */
  ancestors(epoch: Epoch): readonly Position[];
  /** True if that history is over for good. */
  isPast(epoch: Epoch): boolean;
  replicas(): readonly DownstreamStatus[];
}

export async function waitFor(
  database: Waited,
  request: WaitRequest,
  env: Pick<Env, "clock">,
  signal: AbortSignal,
): Promise<WaitAnswer> {
  const until = env.clock.monotonic() + request.timeoutMs;
  let { target } = request;
  for (;;) {
    const position = database.newest();
    target ??= position === undefined ? undefined : { txid: position.txid };
    if (position !== undefined) target = here(target, position, database);
    const answer = {
      ...(position && { position }),
      ...(request.replicas && { replicas: countOf(database, request, position, target) }),
    };
    if (isOver(answer, request, target)) return { result: "ok", ...answer };
    const { epoch } = target ?? {};
    const other = position !== undefined && epoch !== undefined && position.epoch !== epoch;
    if (other && database.isPast(epoch)) return { result: "epoch-changed", ...answer };
    if (signal.aborted || env.clock.monotonic() >= until) return { result: "timeout", ...answer };
    await database.moves.wait(signal, until);
  }
}

/** Where the wanted transaction is in the history that there is now, if it is in it. */
function here(
  target: Target | undefined,
  { epoch }: Position,
  database: Waited,
): Target | undefined {
  if (target?.epoch === undefined || target.epoch === epoch) return target;
  const ancestors = database.ancestors(epoch);
  return placeIn({ epoch: target.epoch, txid: target.txid }, { epoch, ancestors }) ?? target;
}

function isOver(
  { position, replicas }: Omit<WaitAnswer, "result">,
  request: WaitRequest,
  target: WaitRequest["target"],
): boolean {
  if (position === undefined || target === undefined) return false;
  if (target.epoch !== undefined && target.epoch !== position.epoch) return false;
  if (position.txid < target.txid) return false;
  return request.replicas === undefined || replicas! >= request.replicas.count;
}

/** Replicas that went away count, too: for "durable" that is the point, and who has it has it. */
function countOf(
  database: Waited,
  request: WaitRequest,
  position: Position | undefined,
  target: WaitRequest["target"],
): number {
  if (position === undefined || target === undefined) return 0;
  const { stage } = request.replicas!;
  return database.replicas().filter((replica) =>
    replica.epoch === position.epoch && replica[stage] >= target.txid
  ).length;
}
