/**
 * The first copy of a replica, from nothing or from what an interrupted one left. May import: base/,
 * changes/, node/.
 * @module
 */
import type { Env } from "../base/env.ts";
import type { DatabaseId } from "../base/types.ts";
import type { Commit } from "../changes/records.ts";
import type { ChangeSource } from "../changes/source.ts";
import type { PageIndex } from "../pages/page_index.ts";
import type { Approval } from "./approval.ts";
import { Copier } from "./copier.ts";
import type { Counters } from "./counters.ts";
import { type FollowEvents, followOnce } from "./follow.ts";
import { applyOwnership } from "./ownership.ts";
import type { DatabaseOptions } from "./options.ts";
import { DatabaseHandle } from "./handle.ts";
import { SavedIndex } from "./saved_index.ts";
import { realPath, type SideFiles } from "./side_files.ts";
import type { UpstreamView } from "./upstream_view.ts";

export interface FirstCopyParts {
  readonly options: DatabaseOptions;
  readonly files: SideFiles;
  readonly upstream: ChangeSource;
  readonly counters: Counters;
  readonly view: UpstreamView;
  readonly approval: Approval;
  /** Writes down what the file will be, just before it appears. */
  willBeAt(id: DatabaseId, commit: Commit): void;
  events(pageSize: number): FollowEvents;
}

/**
 * Receives a first copy; the file is there when this returns without `signal`.
 * @throws {LiveError} "guard" or "busy" if a file has appeared meanwhile, "disk", "upstream", …: what
 * came stays, and the next attempt asks for the rest.
 */
export async function firstCopy(
  parts: FirstCopyParts,
  env: Env,
  signal: AbortSignal,
): Promise<void> {
  const { files, options, view, approval } = parts;
  const hello = await approval.hello(signal);
  let { id } = hello;
  let promised = false;
  const copyPath = `${files.folder}/copy`;
  const copier = new Copier({
    path: options.path,
    copyPath,
    pageSize: hello.pageSize,
    guarded: true,
    replace: false,
    willBeAt: (commit) => {
      applyOwnership([copyPath], options.ownership);
      promised = true;
      parts.willBeAt(id, commit);
    },
  });
  try {
    await copier.resume(env, (done, total) => view.progress(done, total));
    const request = copier.index.pageCount === 0
      ? {}
      : await missing(copier, approval, env, signal);
    if (request.since === undefined) env.log.info("first copy begins", { pages: hello.pageCount });
    const started = env.clock.monotonic();
    const events: FollowEvents = {
      ...parts.events(hello.pageSize),
      hello: (again) => {
        approval.checkPageSize(again, hello.pageSize);
        id = again.id;
        view.hello(again);
      },
      applied: () => true,
    };
    await followOnce(parts.upstream, request, copier, events, env, signal);
    if (!copier.done) return;
    await saveIndex(copier.index, options.path, files.folder, env);
    parts.counters.firstCopies++;
    const ms = Math.round(env.clock.monotonic() - started);
    const bytes = copier.index.pageCount * hello.pageSize;
    env.log.info("first copy done", { bytes, ms });
  } finally {
    copier.close();
    view.endProgress();
    // It speaks of a file that did not appear. That of an older file stays: a removal, too, may be lost.
    if (promised && !copier.done) files.forget();
  }
}

/** The hashes are known: opening the database need not read it again. It has no log yet. */
async function saveIndex(index: PageIndex, path: string, folder: string, env: Env): Promise<void> {
  const look = DatabaseHandle.lookAt(realPath(path));
  if (look === undefined) return; // gone again
  const file = { ...look, pageSize: index.pageSize };
  await new SavedIndex(folder, file, index, env).begin({ salt1: 0, salt2: 0 });
}

async function missing(
  copier: Copier,
  approval: Approval,
  env: Env,
  signal: AbortSignal,
): Promise<Parameters<ChangeSource["changes"]>[0]> {
  const { since, wanted } = await approval.difference(copier.index, signal);
  env.log.info("first copy resumed", { pages: wanted.length });
  return { since, wanted };
}
