/**
 * `verify`: every page of a live database is read again on its own machine, then its hash is compared
 * with another node's at one and the same txid. Nothing is stopped. May import: base/, http/,
 * sqlite/connection, cli/{ask,status_view}.
 * @module
 */
import type { Clock } from "../base/env.ts";
import { LiveError } from "../base/errors.ts";
import { ENDPOINTS } from "../http/endpoints.ts";
import type { VerifyLine } from "../http/verify.ts";
import { Connection } from "../sqlite/connection.ts";
import { askLines, askStatus, type NodeAddress } from "./ask.ts";

/** A busy primary and its replica are seen at the same txid within this time, or not at all. */
const MEET_MS = 20_000;
const LOOK_MS = 2;
/** States that are remembered of either side. */
const REMEMBERED = 5000;

export interface Place {
  readonly node: NodeAddress;
  readonly path: string;
}

export interface Looked extends Place {
  readonly line: VerifyLine;
  /** Tables and indexes of bad pages, if the file is on this machine. */
  readonly names?: readonly string[];
}

export interface Meeting {
  readonly result: "equal" | "different" | "never-at-one-txid";
  readonly position?: string;
  readonly hashes?: readonly [string, string];
}

export interface Verified {
  readonly ok: boolean;
  readonly nodes: readonly Looked[];
  /** Absent: nothing to compare it with. */
  readonly meeting?: Meeting;
}

export interface VerifyAsked {
  readonly first: Place;
  /** Absent: the upstream of the first, if it has one. */
  readonly against?: Place;
  readonly repair: boolean;
  /** A file at the first's path is the database itself. */
  readonly isLocal: boolean;
  /** Pages done, of all. */
  progress(url: string, done: number, pages: number): void;
}

/** @throws {LiveError} "upstream", "unauthorized", or what the node says. */
export async function verify(asked: VerifyAsked, clock: Clock): Promise<Verified> {
  const { first, repair, isLocal, progress } = asked;
  const against = asked.against ?? await upstreamOf(first);
  const looked = [await lookAt(first, repair, progress)];
  if (isLocal) looked[0] = named(looked[0]!);
  if (against !== undefined) looked.push(await lookAt(against, false, progress));
  const meeting = against === undefined ? undefined : await meet(first, against, clock);
  const whole = looked.every(({ line }) => line.result === "ok");
  const ok = whole && (meeting === undefined || meeting.result === "equal");
  return { ok, nodes: looked, ...(meeting && { meeting }) };
}

async function upstreamOf({ node, path }: Place): Promise<Place | undefined> {
  const database = (await askStatus(node)).databases?.find((one) => one.path === path);
  const { url, path: there } = database?.upstream ?? {};
  if (url === undefined || there === undefined) return undefined;
  return { node: { ...node, url }, path: there };
}

async function lookAt(
  place: Place,
  repair: boolean,
  progress: VerifyAsked["progress"],
): Promise<Looked> {
  const query = new URLSearchParams({ path: place.path, ...(repair && { repair: "true" }) });
  for await (const line of askLines(place.node, `${ENDPOINTS.verify.path}?${query}`)) {
    const { result, message, donePages = 0, pages = 0 } = line as VerifyLine;
    if (result === "ok" || result === "damaged") return { ...place, line };
    if (message !== undefined) throw new LiveError("upstream", `${place.node.url}: ${message}`);
    progress(place.node.url, donePages, pages);
  }
  throw new LiveError("upstream", `${place.node.url}: the answer broke off`);
}

/** Of both the states that are seen, until one is the same. */
async function meet(first: Place, second: Place, clock: Clock): Promise<Meeting> {
  const until = clock.monotonic() + MEET_MS;
  const seen: readonly Map<string, string>[] = [new Map(), new Map()];
  while (clock.monotonic() < until) {
    const states = await Promise.all([first, second].map(stateOf));
    for (const [side, state] of states.entries()) {
      if (state === undefined) continue;
      remember(seen[side]!, state);
      const other = seen[1 - side]!.get(state.position);
      if (other === undefined) continue;
      const { position, hash } = state;
      const hashes = side === 0 ? [hash, other] as const : [other, hash] as const;
      return { result: other === hash ? "equal" : "different", position, hashes };
    }
    await clock.sleep(LOOK_MS);
  }
  return { result: "never-at-one-txid" };
}

interface State {
  readonly position: string;
  readonly hash: string;
}

async function stateOf({ node, path }: Place): Promise<State | undefined> {
  const database = (await askStatus(node)).databases?.find((one) => one.path === path);
  const { epoch, txid, hash } = database ?? {};
  return epoch === undefined || txid === undefined || hash === undefined
    ? undefined
    : { position: `${epoch}/${txid}`, hash };
}

function remember(seen: Map<string, string>, { position, hash }: State): void {
  seen.set(position, hash);
  if (seen.size > REMEMBERED) seen.delete(seen.keys().next().value!);
}

/** Whose pages they are, by SQLite's own walk through the b-trees. */
function named(looked: Looked): Looked {
  const { bad = [] } = looked.line;
  if (bad.length === 0) return looked;
  try {
    const connection = new Connection(looked.path);
    try {
      const sql = `SELECT DISTINCT name FROM dbstat WHERE pageno IN (${bad.join()}) ORDER BY 1`;
      return { ...looked, names: connection.query(sql).flatMap(([name]) => name ?? []) };
    } finally {
      connection.close();
    }
  } catch (error) { // damaged where the walk must go, or no file of that name here
    if (error instanceof LiveError) return looked;
    throw error;
  }
}

const SHOWN_PAGES = 20;

/** A line for each node, one for the comparison. */
export function verifyText({ nodes, meeting, ok }: Verified): string {
  const lines = nodes.map(({ node, path, line, names }) => {
    const { pages = 0, bad = [], badCount = 0, position } = line;
    const where = `${node.url}${path}: ${pages} pages`;
    if (badCount === 0) return `${where}, all as they must be, at ${position}`;
    const list = bad.slice(0, SHOWN_PAGES).join(", ");
    const more = badCount > SHOWN_PAGES ? ", …" : "";
    const whose = names === undefined || names.length === 0 ? "" : ` (${names.join(", ")})`;
    return `${where}, ${badCount} changed without a commit: ${list}${more}${whose}`;
  });
  if (meeting?.result === "equal") {
    lines.push(`equal at ${meeting.position}, hash ${meeting.hashes![0]}`);
  }
  if (meeting?.result === "different") {
    lines.push(`DIFFERENT at ${meeting.position}: hashes ${meeting.hashes!.join(" and ")}`);
  }
  if (meeting?.result === "never-at-one-txid") {
    lines.push("not compared: the two were never seen at the same txid; is the replica connected?");
  }
  if (meeting === undefined) {
    lines.push("not compared with another node: it has no upstream; use -against");
  }
  return `${lines.join("\n")}\n${ok ? "OK" : "NOT OK"}\n`;
}
