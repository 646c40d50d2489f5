/**
 * Where an answer goes: into a readable database (node/applier.ts) or into the file of a first copy
 * (node/copier.ts). Types only. May import: base/, pages/, changes/.
 * @module
 */
import type { PageIndex } from "../pages/page_index.ts";
import type { Begin, Commit, Pages } from "../changes/records.ts";

export interface Target {
  /** What is there now; compared with the upstream's when the history is unknown. */
  readonly index: PageIndex;
  begin(begin: Begin): Promise<void>;
  /** @throws {LiveError} "checksum" if a page has not the hash it came with. */
  pages(pages: Pages): void;
  /**
   * All of it becomes visible, or nothing. @throws {LiveError} "position_gone" if the database would
   * not have the hash that the upstream says: compare hashes.
   */
  commit(commit: Commit): Promise<void>;
  /** Forgets what came since begin(). */
  abort(): void;
}
