/**
 * The status as JSON: the same fields, txids as 16 hex digits. Pure. May import: base/, node/status.
 * @module
 */
import { formatTxid, type Txid } from "../base/types.ts";
import type { Branch } from "../changes/tree.ts";
import type { NodeStatus } from "../node/status.ts";

const hex = (txid: Txid | undefined): { txid?: string } =>
  txid === undefined ? {} : { txid: formatTxid(txid) };

export function statusJson(status: NodeStatus): unknown {
  return {
    ...status,
    databases: status.databases.map(({ txid, upstream, replicas, ...database }) => ({
      ...database,
      ...hex(txid),
      ...(upstream === undefined ? {} : { upstream: { ...upstream, ...hex(upstream.txid) } }),
      replicas: replicas.map(({ replicas: below, ...replica }) => ({
        ...replica,
        sent: formatTxid(replica.sent),
        received: formatTxid(replica.received),
        durable: formatTxid(replica.durable),
        applied: formatTxid(replica.applied),
        ...(below === undefined ? {} : { replicas: below.map(branchJson) }),
      })),
    })),
  };
}

function branchJson({ applied, replicas, ...branch }: Branch): unknown {
  return {
    ...branch,
    applied: formatTxid(applied),
    ...(replicas === undefined ? {} : { replicas: replicas.map(branchJson) }),
  };
}
