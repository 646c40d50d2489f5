/**
 * What a replica tells of itself, as JSON, and what it is told of those above. Pure. May import: base/,
 * changes/, node/status.
 * @module
 */
import { LiveError, messageOf } from "../base/errors.ts";
import { parseEpoch, parseTxid } from "../base/types.ts";
import type { Report } from "../changes/source.ts";
import { type Above, MAX_ABOVE } from "../changes/tree.ts";
import type { UpstreamStatus } from "../node/status.ts";

export const MAX_REPORT_BYTES = 1000;

/** @throws {LiveError} "bad_request". */
export function parseReport(text: string): Report {
  try {
    const { epoch, received, durable, applied, lagMs } = JSON.parse(text);
    return {
      ...(Number.isSafeInteger(lagMs) && lagMs >= 0 ? { lagMs } : {}),
      epoch: parseEpoch(String(epoch)),
      received: parseTxid(String(received)),
      durable: parseTxid(String(durable)),
      applied: parseTxid(String(applied)),
    };
  } catch (error) {
    throw new LiveError("bad_request", `Cannot read the report: ${messageOf(error)}`);
  }
}

/** Whom this node follows, nearest first. */
export function aboveOf({ url, path, connected, above = [] }: UpstreamStatus): readonly Above[] {
  return [{ url, path, connected }, ...above].slice(0, MAX_ABOVE);
}
