/**
 * Failures that someone outside a module handles, by code. A bug is an assert() instead.
 * May import: nothing.
 * @module
 */

/** What went wrong, for programs. Each code has one HTTP status and one exit code. */
export type ErrorCode =
  | "bad_request" // a URL or body that cannot be read
  | "busy" // somebody else holds a lock, try again
  | "checksum" // bytes that do not have the checksum they came with
  | "config" // the config file or the command line
  | "corrupt" // a file that is not what it must be
  | "disk" // full, failing or read-only
  | "forbidden" // no permission on a file
  | "guard" // refused, so that no data is lost
  | "not_found" // no such database here
  | "not_ready" // not yet: waiting for a file or a first copy
  | "position_gone" // this history is unknown here: compare hashes instead
  | "sqlite" // any other SQLite result code
  | "unauthorized" // token missing or wrong
  | "upstream"; // the other node cannot be reached, or broke the protocol

export type ErrorContext = Readonly<Record<string, string | number>>;

export class LiveError extends Error {
  override readonly name = "LiveError";
  constructor(readonly code: ErrorCode, message: string, readonly context: ErrorContext = {}) {
    super(message);
  }
}

const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  bad_request: 400,
  busy: 503,
  checksum: 500,
  config: 500,
  corrupt: 500,
  disk: 503,
  forbidden: 500,
  guard: 409,
  not_found: 404,
  not_ready: 503,
  position_gone: 410,
  sqlite: 500,
  unauthorized: 401,
  upstream: 502,
};

export function httpStatus(code: ErrorCode): number {
  return HTTP_STATUS[code];
}

/** Exit code of the executable: 2 for what the user typed or configured, 1 for everything else. */
export function exitCode(code: ErrorCode): number {
  return code === "config" ? 2 : 1;
}

/** The sentence of any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof LiveError ? error.code : undefined;
}

/** What is none yet has the code "sqlite". */
export function asLive(error: unknown): LiveError {
  return error instanceof LiveError ? error : new LiveError("sqlite", messageOf(error));
}
