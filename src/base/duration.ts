/**
 * Durations as Go and Litestream write them: "10ms", "1m30s", "0". Pure. May import: nothing.
 * @module
 */

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "µs": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const PART = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g;
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/;

/** Milliseconds; undefined if `text` is no duration. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!WHOLE.test(text)) return undefined;
  let ms = 0;
  for (const [, number, unit] of text.matchAll(PART)) ms += Number(number) * UNIT_MS[unit!]!;
  return Number.isFinite(ms) ? ms : undefined;
}

/** "1m30s", "250ms", "0s": the shortest that parseDuration() reads back. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return ms === 0 ? "0s" : `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor(ms % 3_600_000 / 60_000);
  const seconds = ms % 60_000 / 1000;
  const parts = [[hours, "h"], [minutes, "m"], [seconds, "s"]] as const;
  return parts.filter(([value]) => value !== 0).map(([value, unit]) => `${value}${unit}`).join("");
}
