/**
 * /verify: progress as lines of JSON, the result as the last. May import: base/, node/self_check.
 * @module
 */
import { codeOf, messageOf } from "../base/errors.ts";
import { formatPosition } from "../base/types.ts";
import type { CheckProgress } from "../node/self_check.ts";

/** Between two lines of progress, slices. */
const SLICES_PER_LINE = 32;

export interface VerifyLine {
  /** Absent in lines of progress. */
  readonly result?: "ok" | "damaged" | "error";
  readonly donePages?: number;
  readonly pages?: number;
  /** Pages that are not what the index says: the first thousand, and how many. */
  readonly bad?: readonly number[];
  readonly badCount?: number;
  readonly position?: string;
  readonly hash?: string;
  /** Of an error. */
  readonly code?: string;
  readonly message?: string;
}

export async function* verifyLines(progress: AsyncIterable<CheckProgress>): AsyncGenerator<string> {
  let last: CheckProgress | undefined;
  let nth = 0;
  try {
    for await (last of progress) {
      if (++nth % SLICES_PER_LINE !== 0) continue;
      yield lineOf({ donePages: last.donePages, pages: last.pages });
    }
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error; // a bug
    yield lineOf({ result: "error", code, message: messageOf(error) });
    return;
  }
  if (last === undefined) return;
  const { donePages, pages, bad, badCount, position, hash } = last;
  const result = badCount === 0 ? "ok" : "damaged";
  const where = formatPosition(position);
  yield lineOf({ result, donePages, pages, bad, badCount, position: where, hash });
}

function lineOf(line: VerifyLine): string {
  return `${JSON.stringify(line)}\n`;
}
