/**
 * Every labelled call of the fixed course, struck once in every way. May import: tests/fault.
 * @module
 */
import { FAULT_KINDS } from "../support/fault_plan.ts";
import { fixedCourse, type Strike } from "./scenario.ts";

/** Of the fixed course. The seed only chooses what of a torn write or a power cut lands. */
export const COURSE_SEED = 1;

/** All strikes, call by call; `every` takes each nth only. */
export async function allStrikes(every = 1): Promise<Strike[]> {
  const { labels } = await fixedCourse(COURSE_SEED, undefined);
  const strikes: Strike[] = [];
  for (let call = 0; call < labels.length; call++) {
    for (const kind of FAULT_KINDS) strikes.push({ call, kind, reader: false });
    strikes.push({ call, kind: "kill", reader: true });
    strikes.push({ call, kind: "io", reader: true });
  }
  return strikes.filter((_, nth) => nth % every === 0);
}

/** "kill@17+reader" */
export function formatStrike({ call, kind, reader }: Strike): string {
  return `${kind}@${call}${reader ? "+reader" : ""}`;
}

/** @throws {RangeError} */
export function parseStrike(text: string): Strike {
  const [, name, call, reader] = text.match(/^([a-z]+)@(\d+)(\+reader)?$/) ?? [];
  const kind = FAULT_KINDS.find((known) => known === name);
  if (kind === undefined) throw new RangeError(`Cannot read "${text}": say kill@17 or io@3+reader`);
  return { call: Number(call), kind, reader: reader !== undefined };
}
