/**
 * All that a fault may touch. May import: tests/soak/{crew,fleet,ledger,quiet,schedule,watch}.
 * @module
 */
import type { Crew } from "./crew.ts";
import type { Fleet } from "./fleet.ts";
import type { Ledger } from "./ledger.ts";
import type { Quiet } from "./quiet.ts";
import type { NodeName } from "./schedule.ts";
import type { Watch } from "./watch.ts";

export interface World {
  readonly folder: string;
  readonly fleet: Fleet;
  readonly crew: Crew;
  readonly watch: Watch;
  readonly ledger: Ledger;
  readonly quiet: Quiet;
  /** A copy of the primary's file as it was at the last settle. */
  backup: string | undefined;
  /** How often the primary's file was replaced by it. */
  generation: number;
}

/** What a fault does, as its kind's function returns it. */
export interface Effect {
  /** Nodes that may answer 503 from begin() until they have recovered. */
  readonly touches: readonly NodeName[];
  /** Nodes that must answer 503 while it lasts, if it lasts long enough. */
  readonly breaks?: readonly NodeName[];
  /** For `breaks`: asked as /health plus this, and how long that may take. */
  readonly query?: string;
  readonly noticesMs?: number;
  /** Makes it so; returns what undoes it, called after the fault's time or as soon as `over` says. */
  begin(): Promise<() => Promise<void>>;
  /** True once there is nothing more to wait for. */
  over?(): boolean;
}

/** The node and all that follow it, also through others. */
export function downstreamOf(name: NodeName): readonly NodeName[] {
  if (name === "primary") return ["primary", "a", "b", "c"];
  return name === "b" ? ["b", "c"] : [name];
}
