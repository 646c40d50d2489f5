/**
 * /position and /wait: what is asked, what is answered. Pure. May import: base/, node/wait.
 * @module
 */
import { formatDuration, parseDuration } from "../base/duration.ts";
import { LiveError } from "../base/errors.ts";
import {
  formatPosition,
  formatTxid,
  parsePosition,
  parseTxid,
  type Position,
} from "../base/types.ts";
import { type Stage, STAGES, type WaitAnswer, type WaitRequest } from "../node/wait.ts";

export const DEFAULT_WAIT_MS = 10_000;
export const MAX_WAIT_MS = 600_000;
const MAX_REPLICAS = 1000;

export const WAIT_STATUS: Readonly<Record<WaitAnswer["result"], number>> = {
  ok: 200,
  timeout: 504,
  "epoch-changed": 409,
};

export interface PositionJson {
  readonly epoch: string;
  readonly txid: string;
  /** "epoch/txid", as /wait takes it. */
  readonly position: string;
}

export interface WaitJson extends Partial<PositionJson> {
  readonly result: WaitAnswer["result"];
  readonly replicas?: number;
}

/** `query` gives the parameters of a URL. @throws {LiveError} "bad_request". */
export function waitRequest(query: (name: string) => string | undefined): WaitRequest {
  const [txid, replicas, stage] = [query("txid"), query("replicas"), query("for")];
  if (stage !== undefined && replicas === undefined) {
    throw new LiveError("bad_request", "for= is of replicas: say how many with replicas=");
  }
  return {
    ...(txid !== undefined && { target: parseTarget(txid) }),
    timeoutMs: parseTimeout(query("timeout")),
    ...(replicas !== undefined && {
      replicas: { count: parseCount(replicas), stage: parseStage(stage ?? "applied") },
    }),
  };
}

export function positionJson(position: Position): PositionJson {
  const { epoch, txid } = position;
  return { epoch, txid: formatTxid(txid), position: formatPosition(position) };
}

export function waitJson({ result, position, replicas }: WaitAnswer): WaitJson {
  return {
    result,
    ...(position && positionJson(position)),
    ...(replicas !== undefined && { replicas }),
  };
}

/** A txid alone, or a position. @throws {LiveError} "bad_request". */
export function parseTarget(text: string): NonNullable<WaitRequest["target"]> {
  return text.includes("/") ? parsePosition(text) : { txid: parseTxid(text) };
}

function parseTimeout(text: string | undefined): number {
  if (text === undefined) return DEFAULT_WAIT_MS;
  const ms = text === "0" ? 0 : parseDuration(text);
  if (ms !== undefined && ms <= MAX_WAIT_MS) return ms;
  const most = formatDuration(MAX_WAIT_MS);
  throw new LiveError(
    "bad_request",
    `Cannot read timeout=${text}: must be like 10s or 500ms, at most ${most}`,
  );
}

function parseCount(text: string): number {
  const count = /^[0-9]{1,4}$/.test(text) ? Number(text) : NaN;
  if (count >= 1 && count <= MAX_REPLICAS) return count;
  throw new LiveError(
    "bad_request",
    `Cannot read replicas=${text}: must be a number from 1 to ${MAX_REPLICAS}`,
  );
}

function parseStage(text: string): Stage {
  const stage = STAGES.find((one) => one === text);
  if (stage !== undefined) return stage;
  throw new LiveError("bad_request", `Cannot read for=${text}: must be ${STAGES.join(", ")}`);
}
