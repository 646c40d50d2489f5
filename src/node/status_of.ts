/**
 * The status of one database, from its parts. Changes nothing. May import: base/, pages/, node/.
 * @module
 */
import { formatWords } from "../base/bytes.ts";
import type { PageIndex } from "../pages/page_index.ts";
import type { Counters } from "./counters.ts";
import type { Downstreams } from "./downstreams.ts";
import type { DatabaseHandle } from "./handle.ts";
import type { Primary } from "./primary.ts";
import type { Replica } from "./replica.ts";
import type { DatabaseStatus, Role, State } from "./status.ts";
import type { UpstreamView } from "./upstream_view.ts";

export interface StatusParts {
  readonly path: string;
  readonly role: Role;
  readonly state: State;
  /** What it waits for, a sentence. */
  readonly reason: string | undefined;
  readonly primary: Primary | undefined;
  readonly replica: Replica | undefined;
  readonly view: UpstreamView | undefined;
  readonly downstreams: Downstreams;
  readonly counters: Counters;
}

export function statusOf(parts: StatusParts): DatabaseStatus {
  const { path, role, state, primary, replica, view, downstreams, counters } = parts;
  const handle: DatabaseHandle | undefined = primary?.handle ?? replica?.opened?.handle;
  const index: PageIndex | undefined = primary?.index ?? replica?.opened?.index;
  const position = primary?.position ?? replica?.position;
  const id = primary?.id ?? replica?.id;
  const trouble = primary?.trouble() ?? replica?.trouble();
  const reason = parts.reason ?? trouble ?? view?.why();
  const header = handle?.closed === false ? handle.walIndex.header() : undefined;
  return {
    path,
    role,
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(trouble === undefined ? {} : { trouble }),
    readable: index !== undefined,
    ...(id === undefined ? {} : { id }),
    ...(position === undefined ? {} : position),
    ...(index === undefined ? {} : {
      hash: formatWords(index.hash),
      pageSize: index.pageSize,
      pageCount: index.pageCount,
    }),
    ...(header === undefined || handle === undefined ? {} : {
      walFrames: header.mxFrame,
      walBackfilled: handle.backfilled(),
    }),
    ...(primary === undefined ? {} : { lastChangeMs: Math.round(primary.quietMs) }),
    ...(view === undefined ? {} : { upstream: view.status() }),
    replicas: downstreams.status(),
    counters,
  };
}
