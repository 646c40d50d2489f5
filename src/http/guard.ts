/**
 * Who may ask what, and the headers of every answer. No I/O. May import: base/, http/endpoints.
 *
 * Invariants: without the token nothing of a database's content is told, nor which paths exist; a
 * token is compared as a digest in constant time, and kept as nothing else.
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { type Endpoint, ENDPOINTS, type Needs } from "./endpoints.ts";

/** What clients must send as `Authorization: Bearer …`. */
export interface Tokens {
  /** Absent: everybody may ask everything. */
  readonly token?: string;
  /** Opens what needs "status", and nothing else. */
  readonly statusToken?: string;
}

/** Browsers load nothing because of an answer, and keep none. A page of HTML sets its own policy. */
const HEADERS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cache-control": "no-store",
};

/** What an answer has set itself stays. */
export function secure(headers: Headers): void {
  for (const [name, value] of Object.entries(HEADERS)) {
    if (!headers.has(name)) headers.set(name, value);
  }
}

/** Of what is no endpoint: the token, so that nobody learns what is there. */
export function needsOf(path: string): Needs {
  const endpoints: readonly Endpoint[] = Object.values(ENDPOINTS);
  return endpoints.find((endpoint) => endpoint.path === path)?.needs ?? "token";
}

export class Guard {
  #token: Uint8Array | undefined;
  #status: Uint8Array | undefined;

  constructor(tokens: Tokens) {
    this.renew(tokens);
  }

  /** From now on these. */
  renew({ token, statusToken }: Tokens): void {
    this.#token = token === undefined ? undefined : digest(token);
    this.#status = statusToken === undefined ? undefined : digest(statusToken);
  }

  /** Why a request with this header may not have it, a sentence; undefined if it may. */
  refusal(needs: Needs, authorization: string | undefined): string | undefined {
    if (this.#token === undefined || needs === "nothing") return undefined;
    const sent = digest((authorization ?? "").replace(/^bearer +/i, ""));
    const isBearer = /^bearer +/i.test(authorization ?? "");
    const isToken = timingSafeEqual(sent, this.#token) && isBearer;
    const isStatus = this.#status !== undefined && timingSafeEqual(sent, this.#status) && isBearer;
    if (isToken || (isStatus && needs === "status")) return undefined;
    if (isStatus) return "This is the token for the status: data needs the node's auth.token";
    return "This node wants `Authorization: Bearer` and a token";
  }
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
