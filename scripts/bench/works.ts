/**
 * All works, in the order of the table. May import: scripts/bench.
 * @module
 */
import { burst, large } from "./burst.ts";
import { copy } from "./copy.ts";
import { growth } from "./growth.ts";
import { databases, idle } from "./idle.ts";
import { joining } from "./joining.ts";
import { latency, loaded } from "./latency.ts";
import { line } from "./line.ts";
import { repair } from "./repair.ts";
import { chain, replicas } from "./replicas.ts";
import { catchingUp, resuming } from "./resume.ts";
import { start } from "./start.ts";
import type { Work } from "./work.ts";
import { writer, writers } from "./writer.ts";

export const WORKS: readonly Work[] = [
  latency,
  loaded,
  writer,
  writers,
  burst,
  large,
  copy,
  joining,
  resuming,
  catchingUp,
  repair,
  replicas,
  chain,
  line,
  growth,
  idle,
  databases,
  start,
];
