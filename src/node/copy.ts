/**
 * A copy of a live database from any node into a file of its own: an ordinary database, not a replica.
 * For a process in which no node runs. May import: base/, changes/, node/{copier,follow,proc_locks}.
 *
 * What came lies in `FILE.part` until it is whole; the next run hashes that and asks for the rest.
 * @module
 */
import type { Env } from "../base/env.ts";
import { codeOf, LiveError } from "../base/errors.ts";
import type { Position } from "../base/types.ts";
import type { Hello } from "../changes/records.ts";
import { askHello, findDifference } from "../changes/repair.ts";
import type { ChangeSource, ChangesRequest } from "../changes/source.ts";
import { Copier } from "./copier.ts";
import { followOnce } from "./follow.ts";
import { usersOf } from "./proc_locks.ts";

/** Attempts one after the other that bring nothing. */
const MAX_FUTILE = 5;
const RETRY_MS = 500;

export interface CopyParts {
  readonly source: ChangeSource;
  /** Absolute. */
  readonly path: string;
  /** Replace a file that is there. */
  readonly force: boolean;
  /** Bytes that are there, of all. */
  progress(doneBytes: number, totalBytes: number): void;
}

export interface Copied {
  readonly position: Position;
  readonly bytes: number;
}

/**
 * @throws {LiveError} "guard" if the file is there and must not be replaced, "disk", "upstream" if the
 * node stays away. Undefined if `signal` aborted; what came stays.
 */
export async function copyDatabase(
  parts: CopyParts,
  env: Env,
  signal: AbortSignal,
): Promise<Copied | undefined> {
  refuseTarget(parts);
  for (let futile = 0;;) {
    const attempt = new Attempt(parts, env);
    try {
      return await attempt.run(signal);
    } catch (error) {
      const code = codeOf(error);
      const passes = code === "upstream" || code === "checksum" || code === "position_gone";
      futile = attempt.received > 0 ? 0 : futile + 1;
      if (!passes || futile >= MAX_FUTILE) throw error;
      await env.clock.sleep(RETRY_MS, signal);
      if (signal.aborted) return undefined;
    }
  }
}

class Attempt {
  received = 0;
  #copied: Copied | undefined;

  constructor(private readonly parts: CopyParts, private readonly env: Env) {}

  async run(signal: AbortSignal): Promise<Copied | undefined> {
    const { source, path, force, progress } = this.parts;
    const { pageSize, pageCount } = await askHello(source, signal);
    const copier = new Copier({
      path,
      copyPath: `${path}.part`,
      pageSize,
      guarded: false,
      replace: force,
      willBeAt: ({ epoch, txid, pageCount }) => {
        refuseTarget(this.parts);
        this.#copied = { position: { epoch, txid }, bytes: pageCount * pageSize };
      },
    });
    try {
      await copier.resume(this.env, () => {});
      const samePages = (hello: Hello): void => {
        if (hello.pageSize === pageSize) return;
        throw new LiveError("position_gone", "The page size changed meanwhile");
      };
      const request: ChangesRequest = copier.index.pageCount === 0
        ? {}
        : await missing(copier, source, signal, samePages);
      const total = pageCount * pageSize;
      let done = request.wanted === undefined ? 0 : total - request.wanted.length * pageSize;
      progress(Math.max(0, done), total);
      await followOnce(
        source,
        request,
        copier,
        {
          hello: samePages,
          heartbeat: () => {},
          begin: () => {},
          bytes: (count) => {
            this.received += count;
            done += count;
            progress(Math.min(done, total), total);
          },
          received: () => {},
          applied: () => true,
        },
        this.env,
        signal,
      );
    } finally {
      copier.close();
    }
    return copier.done ? this.#copied : undefined;
  }
}

async function missing(
  { index }: Copier,
  source: ChangeSource,
  signal: AbortSignal,
  onHello: (hello: Hello) => void,
): Promise<ChangesRequest> {
  const { since, wanted } = await findDifference(index, source, signal, onHello);
  return { since, wanted: wanted.length === 0 ? [1] : wanted }; // whole: page 1 and the commit
}

/** @throws {LiveError} "guard". */
function refuseTarget({ path, force }: CopyParts): void {
  try {
    Deno.statSync(path);
  } catch {
    return; // not there, or whatever it is: making the copy says so
  }
  if (!force) {
    throw new LiveError("guard", `"${path}" is there already; name another file, or use -force`);
  }
  const pids = usersOf(path).join(", ");
  if (pids === "") return;
  throw new LiveError(
    "guard",
    `"${path}" is used by process ${pids}: stop it, or name another file`,
  );
}
