/**
 * The log: one line an event on stderr, for people or as JSON. The one module that imports logtape.
 * May import: base/, cli/stack.
 *
 * A log that cannot be written (a full disk, a closed pipe) stops nothing: the line is dropped.
 * @module
 */
import { configureSync, getLogger, type Logger, type LogRecord } from "@logtape/logtape";
import type { Log, LogFields, LogLevel } from "../base/env.ts";
import { inSources } from "./stack.ts";

export type LogFormat = "text" | "json";

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Only ever true for text on a terminal. */
  readonly colours: boolean;
  readonly write: (line: string) => void;
}

const CATEGORY = "litestream-live";

export function openLog(options: LogOptions): Log {
  const { level, format, colours, write } = options;
  const line = format === "json" ? jsonLine : colours ? colouredLine : textLine;
  configureSync({
    reset: true,
    sinks: { lines: (record) => write(`${line(record)}\n`) },
    loggers: [
      {
        category: [CATEGORY],
        lowestLevel: level === "warn" ? "warning" : level,
        sinks: ["lines"],
      },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["lines"] },
    ],
  });
  return wrap(getLogger([CATEGORY]));
}

/** What was asked for, to stdout, however slowly it is taken. */
export function print(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}

/** Lines to stderr. */
export function writeStderr(line: string): void {
  const bytes = new TextEncoder().encode(line);
  try {
    for (let done = 0; done < bytes.length;) done += Deno.stderr.writeSync(bytes.subarray(done));
  } catch { /* nobody reads it, or the disk is full */ }
}

function wrap(logger: Logger): Log {
  return {
    debug: (message, fields) => logger.debug(message, { ...fields }),
    info: (message, fields) => logger.info(message, { ...fields }),
    warn: (message, fields) => logger.warn(message, { ...fields }),
    error: (message, fields) => logger.error(message, { ...fields }),
    with: (fields) => wrap(logger.with({ ...fields })),
  };
}

const LEVELS: Readonly<Record<string, LogLevel>> = {
  debug: "debug",
  info: "info",
  warning: "warn",
  error: "error",
  fatal: "error",
};
const COLOURS: Readonly<Record<LogLevel, number>> = { debug: 90, info: 36, warn: 33, error: 31 };

const levelOf = (record: LogRecord): LogLevel => LEVELS[record.level] ?? "info";
const messageOf = (record: LogRecord): string => record.message.join("");
const timeOf = (record: LogRecord): string => new Date(record.timestamp).toISOString();

export function jsonLine(record: LogRecord): string {
  const fields = plain(record.properties);
  const message = messageOf(record);
  return JSON.stringify({ time: timeOf(record), level: levelOf(record), message, ...fields });
}

export function textLine(record: LogRecord): string {
  const level = levelOf(record).toUpperCase().padEnd(5);
  return [timeOf(record), level, messageOf(record), ...pairs(record.properties)].join(" ");
}

function colouredLine(record: LogRecord): string {
  const level = levelOf(record);
  const paint = (code: number, text: string): string => `\x1b[${code}m${text}\x1b[0m`;
  return [
    paint(90, timeOf(record).slice(11, 23)),
    paint(COLOURS[level], level.toUpperCase().padEnd(5)),
    messageOf(record),
    ...pairs(record.properties).map((pair) => paint(90, pair)),
  ].join(" ");
}

function plain(fields: LogFields): LogFields {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    entries.map(([key, value]) => [key, valueOf(key, value)]),
  );
}

function valueOf(key: string, value: unknown): unknown {
  if (key === "stack" && typeof value === "string") return inSources(value);
  return value instanceof Error ? value.message : value;
}

function pairs(fields: LogFields): string[] {
  return Object.entries(plain(fields)).map(([key, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return `${key}=${/[\s"=]/.test(text) || text === "" ? JSON.stringify(text) : text}`;
  });
}
