/**
 * What the doctor found, as text for people. Pure. May import: cli/{doctor,status_view} (types).
 * @module
 */
import type { DoctorReport, Finding, Level } from "./doctor.ts";
import type { Paint } from "./status_view.ts";

const WORDS: Readonly<
  Record<Level, { readonly word: string; readonly colour: "green" | "yellow" | "red" }>
> = {
  ok: { word: "ok", colour: "green" },
  note: { word: "note", colour: "yellow" },
  bad: { word: "bad", colour: "red" },
};

/** Findings by database, then OK or numbered actions. */
export function doctorText(report: DoctorReport, paint: Paint): string {
  const { findings } = report;
  const lines = [`litestream-live ${report.version}, ${report.config}`];
  for (const about of new Set(findings.map((one) => one.about))) {
    lines.push("", about, ...findings.filter((one) => one.about === about).map(lineOf(paint)));
  }
  const actions = [...new Set(findings.flatMap(({ action }) => action ?? []))];
  lines.push("");
  if (actions.length === 0) lines.push(paint("green", "OK"));
  else {
    lines.push(paint("red", actions.length === 1 ? "To do:" : `${actions.length} things to do:`));
    lines.push(...actions.map((action, at) => `${String(at + 1).padStart(3)}. ${action}`));
  }
  return `${lines.join("\n")}\n`;
}

function lineOf(paint: Paint): (finding: Finding) => string {
  return ({ what, level, text }) => {
    const { word, colour } = WORDS[level];
    return `  ${paint(colour, word)}${" ".repeat(6 - word.length)}${what.padEnd(13)}${text}`;
  };
}
