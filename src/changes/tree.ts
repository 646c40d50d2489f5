/**
 * Who follows whom beyond the next node: what a replica tells of its own replicas, and its upstream of
 * what is above. For people; one thing is decided by it, whether an upstream is cut off from the primary
 * and another one is tried (node/upstreams). Pure. May import: base/.
 *
 * What comes from others is bounded in number, depth and length here, and may be a lie about their own
 * part of the tree.
 * @module
 */
import { LiveError, messageOf } from "../base/errors.ts";
import { type Epoch, formatTxid, parseEpoch, parseTxid, type Txid } from "../base/types.ts";

/** A replica of a replica. */
export interface Branch {
  readonly address: string;
  readonly connected: boolean;
  readonly epoch: Epoch;
  readonly applied: Txid;
  readonly lagMs?: number;
  readonly silentMs: number;
  readonly replicas?: readonly Branch[];
}

/** An upstream's upstream. */
export interface Above {
  readonly url: string;
  readonly path: string;
  readonly connected: boolean;
}

const MAX_BRANCHES = 200;
const MAX_DEPTH = 7;
export const MAX_ABOVE = MAX_DEPTH;
const MAX_TEXT = 300;
/** Of both texts. */
export const MAX_TREE_BYTES = 128 * 1024;

/** As JSON; what is beyond the bounds is left out. */
export function formatBranches(branches: readonly Branch[]): string {
  let left = MAX_BRANCHES;
  const cut = (all: readonly Branch[], depth: number): unknown[] => {
    const mine = all.slice(0, left);
    left -= mine.length;
    return mine.map(({ address, connected, epoch, applied, lagMs, silentMs, replicas = [] }) => ({
      address,
      connected,
      epoch,
      applied: formatTxid(applied),
      lagMs,
      silentMs,
      ...(depth > 1 && replicas.length > 0 ? { replicas: cut(replicas, depth - 1) } : {}),
    }));
  };
  return JSON.stringify(cut(branches, MAX_DEPTH));
}

/** @throws {LiveError} "bad_request" if it is none, or beyond the bounds. */
export function parseBranches(text: string): readonly Branch[] {
  let left = MAX_BRANCHES;
  const read = (value: unknown, depth: number): Branch[] => {
    if (!Array.isArray(value) || depth === 0) throw new Error("no list, or too deep");
    left -= value.length;
    if (left < 0) throw new Error(`more than ${MAX_BRANCHES}`);
    return value.map((one) => {
      const { address, connected, epoch, applied, lagMs, silentMs, replicas } = one;
      return {
        address: textOf(address),
        connected: connected === true,
        epoch: parseEpoch(String(epoch)),
        applied: parseTxid(String(applied)),
        ...(lagMs === undefined ? {} : { lagMs: countOf(lagMs) }),
        silentMs: countOf(silentMs),
        ...(replicas === undefined ? {} : { replicas: read(replicas, depth - 1) }),
      };
    });
  };
  return checked(() => read(JSON.parse(text), MAX_DEPTH));
}

/** @throws {LiveError} "bad_request". */
export function parseAbove(text: string): readonly Above[] {
  return checked(() => {
    const value: unknown = JSON.parse(text);
    if (!Array.isArray(value) || value.length > MAX_DEPTH) throw new Error("no short list");
    return value.map(({ url, path, connected }) => ({
      url: textOf(url),
      path: textOf(path),
      connected: connected === true,
    }));
  });
}

function checked<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new LiveError("bad_request", `Cannot read the tree: ${messageOf(error)}`);
  }
}

function textOf(value: unknown): string {
  if (typeof value === "string" && value.length <= MAX_TEXT) return value;
  throw new Error("a text is missing or too long");
}

function countOf(value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error("a number is missing");
}
