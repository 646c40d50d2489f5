/**
 * /promote and /demote: what is answered. Pure. May import: base/, node/, http/wait.
 * @module
 */
import { formatPosition } from "../base/types.ts";
import type { Demoted } from "../node/demotion.ts";
import type { UpstreamOptions } from "../node/options.ts";
import type { Promoted } from "../node/promotion.ts";
import { type PositionJson, positionJson } from "./wait.ts";

/** What nobody can do for the applications: SQLite keeps "read-only" for the life of a connection. */
export const RECONNECT =
  "applications on this machine must open the database again: a connection that is open stays read-only";

export interface PromotedJson extends PositionJson {
  readonly result: Promoted["result"];
  /** The last transaction of the old epoch that this node has, "epoch/txid". */
  readonly parent?: string;
  /** Sentences: what is left to do. */
  readonly next: readonly string[];
}

export function promotedJson({ result, position, parent }: Promoted): PromotedJson {
  return {
    result,
    ...positionJson(position),
    ...(parent && { parent: formatPosition(parent) }),
    next: result === "already" ? [] : [
      RECONNECT,
      "the other replicas need this node as upstream.url: they go on from where they are",
      "remove `upstream` of this database from the config of this node",
    ],
  };
}

export interface DemotedJson extends PositionJson {
  readonly result: "demoted" | "unknown";
  readonly next: readonly string[];
}

export function demotedJson(
  { position, promoted }: Demoted,
  { url, path }: UpstreamOptions,
): DemotedJson {
  const sure = promoted ? [] : [
    `nobody knows whether ${url}${path} was promoted: look at its /status, and promote it if not`,
  ];
  return {
    result: promoted ? "demoted" : "unknown",
    ...positionJson(position),
    next: [
      ...sure,
      `applications write at ${url} now: there they must open the database again`,
      `give this database the \`upstream\` ${url} with path ${path} in the config of this node`,
    ],
  };
}
