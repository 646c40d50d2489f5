/**
 * Certificates: is this text one, may it be shown, why was one not trusted. Deno checks what a server
 * shows; here it is said in words what to do. May import: base/.
 *
 * There is no way to trust whatever is shown. One who has a node's own certificate can demand exactly
 * that one instead of a CA's word (askPinned).
 * @module
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { request } from "node:http";
import { connect, type TLSSocket } from "node:tls";
import { LiveError, messageOf } from "../base/errors.ts";

/** PEM. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
/** openssl writes "EC PARAMETERS" before some keys, and people a certificate. */
const KEY_BLOCK = /-----BEGIN (RSA |EC )?PRIVATE KEY-----[^-]*-----END (RSA |EC )?PRIVATE KEY-----/;

/** The certificates of a PEM file. @throws {LiveError} "config": "holds …; write …". */
export function parseCertificates(pem: string): X509Certificate[] {
  const blocks = pem.match(BLOCK) ?? [];
  if (blocks.length === 0) throw problem("holds no certificate; give a PEM file");
  return blocks.map((block, nth) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw problem(`holds a damaged certificate, number ${nth + 1} in it; write it anew`);
    }
  });
}

/** @throws {LiveError} "config" unless there is a private key that is not encrypted. */
export function checkKey(pem: string): void {
  parseKey(pem);
}

/** @throws {LiveError} "config" if the key is not the certificate's. */
export function checkPair({ cert, key }: CertificatePair): void {
  if (parseCertificates(cert)[0]!.checkPrivateKey(parseKey(key))) return;
  throw problem("is not the key of the certificate; give the two that were made together");
}

function parseKey(pem: string): KeyObject {
  if (/\bENCRYPTED\b/.test(pem)) {
    throw problem("holds an encrypted key; store it without a passphrase");
  }
  const [block] = pem.match(KEY_BLOCK) ?? [];
  if (block === undefined) throw problem("holds no private key; give a PEM file");
  try {
    return createPrivateKey(block);
  } catch {
    throw problem("holds a damaged private key; write it anew");
  }
}

/** Why no client will take it now, a sentence; undefined if it is valid. `now` as of Clock. */
export function whyNotValid(cert: string, now: number): string | undefined {
  const { validFrom, validTo } = parseCertificates(cert)[0]!;
  if (Date.parse(validTo) < now) return `it has expired on ${validTo}; renew it`;
  if (Date.parse(validFrom) <= now) return undefined;
  return `it is not valid before ${validFrom}; set this machine's clock`;
}

/** What the sentences call the settings that help. */
export interface Settings {
  /** Where the URL comes from: "upstream.url". */
  readonly url: string;
  /** Where a CA is named: "upstream.ca". */
  readonly ca: string;
  /** What to do for a token, of a sentence; default: that of a config. */
  readonly token?: string;
}

const CAUSES: readonly (readonly [pattern: RegExp, sentence: (of: Settings) => string])[] = [
  [
    /\b(UnknownIssuer|BadSignature)\b/, // the second: a CA of the same name with another key
    ({ ca }) =>
      `its certificate is of a CA that is not trusted here: give that CA's certificate as ${ca}`,
  ],
  [
    /\b(Expired|certificate expired)\b/,
    () => "its certificate has expired: renew it there and send that node SIGHUP",
  ],
  [
    /\b(NotValidYet|not valid yet)\b/,
    () => "its certificate is not valid yet: look at the clocks of both machines",
  ],
  [
    /\b(NotValidForName|not valid for name)\b/,
    ({ url }) =>
      `its certificate is for other names: write one of them in ${url}, or give the node a ` +
      "certificate with this one",
  ],
  [
    /\bCaUsedAsEndEntity\b/,
    () => "its certificate is that of a CA: give the node one with basicConstraints CA:FALSE",
  ],
  [
    /\b(certificate revoked|Revoked|BadEncoding)\b/,
    () => "its certificate is damaged or revoked: give the node another one",
  ],
  [
    /\bInvalidContentType\b/,
    ({ url }) =>
      `it does not speak TLS: write http:// in ${url}, or set tls.cert and tls.key there`,
  ],
  [
    /\binvalid HTTP version parsed\b/,
    ({ url }) => `it does not answer in HTTP: where it speaks TLS, write https:// in ${url}`,
  ],
];

/** The failure of a connection in words that say what to do, if it is one of TLS. */
export function explainTls(reason: string, settings: Settings): string | undefined {
  return CAUSES.find(([pattern]) => pattern.test(reason))?.[1](settings);
}

/**
 * A client for https that trusts the CAs of `pem` besides Mozilla's, which are built in. HTTP/1.1
 * always: of HTTP/2 all streams to one node would share one connection, and the two hundredth would
 * wait.
 *
 * @throws {LiveError} "config" if Deno does not take one of them, although parseCertificates() did.
 */
export function tlsClient(pem: string): Deno.HttpClient {
  const caCerts = [...pem.match(BLOCK) ?? []];
  try {
    return Deno.createHttpClient({ http2: false, ...(caCerts.length > 0 && { caCerts }) });
  } catch (error) {
    throw problem(`holds a CA that cannot be used, ${messageOf(error)}; give another`);
  }
}

export interface PinnedRequest {
  readonly hostname: string;
  readonly port: number;
  readonly path: string;
  readonly method?: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  /** The one certificate (PEM) that is taken, whatever names it has. */
  readonly cert: string;
  readonly limitMs: number;
}

/** Nothing is sent before the certificate was seen. @throws {Error} with the reason. */
export async function askPinned(asked: PinnedRequest): Promise<{ status: number; text: string }> {
  const socket = await handshake(asked);
  try {
    const shown = socket.getPeerCertificate().raw as Buffer | undefined;
    const wanted = parseCertificates(asked.cert)[0]!.raw;
    if (shown === undefined || Buffer.compare(shown, wanted) !== 0) {
      throw new Error("it shows another certificate than tls.cert; send it SIGHUP");
    }
    return await get(asked, socket);
  } finally {
    socket.destroy();
  }
}

function handshake({ hostname, port, limitMs }: PinnedRequest): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    // Not a CA's word but the certificate itself is checked, by the caller.
    const options = { host: hostname, port, rejectUnauthorized: false };
    const socket = connect(options, () => resolve(socket));
    socket.on("error", reject);
    socket.setTimeout(limitMs, () => {
      reject(new Error(`no answer within ${limitMs} ms`));
      socket.destroy();
    });
  });
}

function get(
  { hostname, path, method = "GET", headers, limitMs }: PinnedRequest,
  socket: TLSSocket,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const options = {
      createConnection: () => socket,
      host: hostname,
      path,
      method,
      headers: { ...headers, connection: "close" },
    };
    const sent = request(options, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => text += part);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.setTimeout(limitMs, () => reject(new Error(`no answer within ${limitMs} ms`)));
    sent.end();
  });
}

function problem(what: string): LiveError {
  return new LiveError("config", what);
}
