/**
 * What is lost when a history is left: a file that has transactions which the upstream's history does
 * not have is made equal to it, but they are counted, and those of a former primary kept aside as a copy.
 * May import: base/, changes/, pages/, node/.
 * @module
 */
import type { Env } from "../base/env.ts";
import { formatPosition, type Position } from "../base/types.ts";
import type { Hello } from "../changes/records.ts";
import { PageReader } from "../pages/page_reader.ts";
import { copyAside } from "./aside.ts";
import type { Counters } from "./counters.ts";
import type { OpenReplica } from "./open_replica.ts";

/** Transactions up to `before` that the upstream, which says `hello`, does not have. */
export function countGivenUp(
  before: Position | undefined,
  hello: Pick<Hello, "ancestors">,
  counters: Counters,
  env: Env,
): void {
  const shared = hello.ancestors.find(({ epoch }) => epoch === before?.epoch);
  if (before === undefined || shared === undefined || before.txid <= shared.txid) return;
  const count = before.txid - shared.txid;
  counters.givenUp += count;
  env.log.warn("transactions are given up: the node that was promoted did not have them", {
    count,
    after: formatPosition(shared),
  });
}

/**
 * Copies a former primary's database as it is, before it is made equal to the upstream's. Nobody can
 * write meanwhile: the applier holds WRITE.
 * @throws {LiveError} "disk" if there is no room: then nothing is touched.
 */
export async function keepAside(open: OpenReplica, folder: string, env: Env): Promise<void> {
  open.applier();
  const { handle, index } = open;
  const { database, wal } = handle;
  const pages = new PageReader({ database, wal, backfilled: () => handle.backfilled() });
  const aside = await copyAside(handle.path, folder, { index, pages }, env.clock);
  env.log.warn("this was a primary: its database is copied aside before it follows", { aside });
}
