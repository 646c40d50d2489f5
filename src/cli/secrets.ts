/**
 * The files that hold tokens, certificates and keys: read at the start and again at SIGHUP. The one
 * module that opens them. May import: base/, http/, node/options, cli/{place,values}.
 *
 * Invariants: no sentence and no log line has a byte of such a file; at SIGHUP a file that is not what
 * it must be changes nothing: what was read before stays, and the log says so.
 * @module
 */
import type { Clock, Log } from "../base/env.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import type { Access } from "../http/client.ts";
import type { Credentials } from "../http/server.ts";
import {
  type CertificatePair,
  checkKey,
  checkPair,
  parseCertificates,
  tlsClient,
  whyNotValid,
} from "../http/tls.ts";
import type { NodeOptions, TlsFiles, UpstreamOptions } from "../node/options.ts";
import { parseNamed, problem } from "./place.ts";
import { parseToken, type SecretKind } from "./values.ts";

/** A token and a certificate with its chain are far smaller. */
const MOST_BYTES = 1024 * 1024;
const READABLE_BY_OTHERS = 0o004;
/** Where systems keep the CAs they trust: Debian, Red Hat, SUSE, Alpine. */
const SYSTEM_AUTHORITIES: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** @throws {LiveError} "config" unless the file holds what it must: "… does not exist; …". */
export function checkSecretFile(kind: SecretKind, path: string): void {
  if (kind === "token") readToken(path);
  else readPem(kind, path);
}

/** What opens a config's node, all of it or its status, and the certificate that it shows. */
export function nodeAccess(
  options: NodeOptions,
  needs: "status" | "token",
): { token?: string; cert?: string } {
  const { tokenFile, statusTokenFile, tls } = options;
  const status = needs === "status"
    ? options.statusToken ?? read("auth.status-token-file", statusTokenFile)
    : undefined;
  const token = status ?? options.token ?? read("auth.token-file", tokenFile);
  const cert = tls && parseNamed("tls.cert", () => readPem("certificate", tls.cert));
  return { ...(token !== undefined && { token }), ...(cert !== undefined && { cert }) };
}

/** What opens an upstream, and the CAs (PEM) that its certificate may be of. */
export function upstreamAccess(upstream: UpstreamOptions): { token?: string; ca?: string } {
  const token = upstream.token ?? read("upstream.token-file", upstream.tokenFile);
  const ca = upstream.ca === undefined ? undefined : readNamed("upstream.ca", "ca", upstream.ca);
  return { ...(token !== undefined && { token }), ...(ca !== undefined && { ca }) };
}

/** The content of a file of a flag. @throws {LiveError} "config". */
export function readNamed(flag: string, kind: "token" | "ca", path: string): string {
  return parseNamed(flag, () => kind === "token" ? readToken(path) : readPem(kind, path));
}

/**
 * A client that trusts the CAs of this system: those in $SSL_CERT_FILE, or where they usually are. Deno
 * can read them itself (DENO_TLS_CA_STORE), but where there are none plain HTTP fails then, too.
 */
export function systemClient(): Deno.HttpClient {
  try {
    return tlsClient(systemAuthorities());
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    return tlsClient(""); // one that Deno does not take: a refusal says what to do
  }
}

function systemAuthorities(): string {
  const named = Deno.env.get("SSL_CERT_FILE");
  for (const path of named === undefined ? SYSTEM_AUTHORITIES : [named]) {
    try {
      return usable(readText(path));
    } catch { /* the next, or Mozilla's alone */ }
  }
  return "";
}

/** Without those that cannot be read: one of hundreds must not spoil the others. */
function usable(pem: string): string {
  return (pem.match(/-----BEGIN[^-]*-----[^-]*-----END[^-]*-----/g) ?? []).filter((block) => {
    try {
      return parseCertificates(block).length > 0;
    } catch {
      return false;
    }
  }).join("\n");
}

/** All that a running node has read, and reads again. */
export class Secrets {
  readonly #log: Log;
  readonly #clock: Clock;
  /** The last good value, by what it is. */
  readonly #kept = new Map<string, unknown>();
  readonly #clients = new Map<string, Deno.HttpClient>();
  #systemClient: Deno.HttpClient | undefined;
  /** Of #kept, what was read since the last SIGHUP. */
  readonly #fresh = new Set<string>();
  readonly #upstreams = new Map<string, { readonly options: UpstreamOptions; access: Access }>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /**
   * Reads what the node asks of others, also again.
   * @throws {LiveError} "config" if it was not read before and cannot be used.
   */
  credentials(options: NodeOptions): Credentials {
    const tokens = this.#read("auth", () => this.#tokens(options));
    const { tls } = options;
    if (tls === undefined) return tokens;
    return { ...tokens, tls: this.#read("tls", () => this.#pair(tls)) };
  }

  /** What the client of this upstream sends and trusts; each call tells what was read last. */
  accessOf(options: UpstreamOptions): () => Access {
    const key = JSON.stringify([options.url, options.token, options.tokenFile, options.ca]);
    return () => {
      const known = this.#upstreams.get(key);
      if (known !== undefined) return known.access;
      const access = this.#access(options);
      this.#upstreams.set(key, { options, access });
      return access;
    };
  }

  /** Reads again what clients send and trust: the next request takes it. Never throws. */
  renewUpstreams(): void {
    this.#systemClient = undefined;
    this.#fresh.clear();
    for (const upstream of this.#upstreams.values()) {
      upstream.access = this.#access(upstream.options);
    }
  }

  #tokens({ token, tokenFile, statusToken, statusTokenFile }: NodeOptions): Credentials {
    const all = token ?? this.#token("auth.token-file", tokenFile);
    const status = statusToken ?? this.#token("auth.status-token-file", statusTokenFile);
    if (all !== undefined && all === status) {
      throw problem("auth: the status token is the token; make another, or remove its line");
    }
    return { ...(all !== undefined && { token: all }), ...(status && { statusToken: status }) };
  }

  #pair({ cert, key }: TlsFiles): CertificatePair {
    const pair = {
      cert: parseNamed("tls.cert", () => readPem("certificate", cert)),
      key: parseNamed("tls.key", () => readPem("key", key)),
    };
    this.#warnIfOpen("tls.key", key);
    parseNamed("tls.key", () => checkPair(pair));
    const why = whyNotValid(pair.cert, this.#clock.now());
    if (why === undefined) return pair;
    if (this.#kept.has("tls")) throw problem(`tls.cert: ${why}`);
    this.#log.error("NO replica will take this node's certificate", { cert, reason: why });
    return pair;
  }

  #access({ url, token, tokenFile, ca }: UpstreamOptions): Access {
    const sent = tokenFile === undefined ? token : this.#once(
      `token ${tokenFile}`,
      () => this.#token("upstream.token-file", tokenFile),
    );
    const access = sent === undefined ? {} : { token: sent };
    if (!url.startsWith("https:")) return access;
    const client = ca === undefined
      ? (this.#systemClient ??= systemClient())
      : this.#once(`ca ${ca}`, () => parseNamed("upstream.ca", () => this.#client(ca)));
    return { ...access, client };
  }

  /** One for each text of CAs; one that is not used any more costs nothing. */
  #client(path: string): Deno.HttpClient {
    const pem = readPem("ca", path);
    let client = this.#clients.get(pem);
    if (client === undefined) {
      client = about(path, () => tlsClient(pem));
      this.#clients.set(pem, client);
    }
    return client;
  }

  #token(key: string, path: string | undefined): string | undefined {
    const token = read(key, path);
    if (path !== undefined) this.#warnIfOpen(key, path);
    return token;
  }

  /** What `reads` gives; if it complains, what it gave before. */
  #read<T>(what: string, reads: () => T): T {
    try {
      const value = reads();
      this.#kept.set(what, value);
      return value;
    } catch (error) {
      if (!(error instanceof LiveError) || !this.#kept.has(what)) throw error;
      this.#log.error("NOT taken, what was read before stays", { reason: messageOf(error) });
      return this.#kept.get(what) as T;
    }
  }

  /** The same for a file that many upstreams share: it is read, and complained of, once. */
  #once<T>(what: string, reads: () => T): T {
    if (this.#fresh.has(what)) return this.#kept.get(what) as T;
    const value = this.#read(what, reads);
    this.#fresh.add(what);
    return value;
  }

  #warnIfOpen(key: string, path: string): void {
    if ((modeOf(path) & READABLE_BY_OTHERS) === 0) return;
    this.#log.warn("EVERY user of this machine can read this file: chmod o-r", { key, file: path });
  }
}

function read(key: string, path: string | undefined): string | undefined {
  return path === undefined ? undefined : parseNamed(key, () => readToken(path));
}

function readToken(path: string): string {
  const text = readText(path).replace(/\r?\n$/, "");
  return about(path, () => parseToken(text));
}

/** The text, once it is known to be what it must be. */
function readPem(kind: Exclude<SecretKind, "token">, path: string): string {
  const text = readText(path);
  about(path, () => kind === "key" ? checkKey(text) : parseCertificates(text));
  return text;
}

function readText(path: string): string {
  return about(path, () => {
    try {
      refuseDatabase(Deno.realPathSync(path));
      const { size, isDirectory } = Deno.statSync(path);
      if (isDirectory) throw problem("is a directory; give a file");
      if (size > MOST_BYTES) throw problem("is too large; give another file");
      return new TextDecoder().decode(Deno.readFileSync(path));
    } catch (error) {
      if (error instanceof LiveError) throw error;
      if (error instanceof Deno.errors.NotFound) throw problem("does not exist; write it");
      if (error instanceof Deno.errors.PermissionDenied) {
        throw problem("cannot be read by this user; change its owner, group or mode");
      }
      throw problem(`cannot be read, ${messageOf(error).split("\n")[0]}; change that`);
    }
  });
}

/** Opening a database of this process and closing it would drop SQLite's locks on it. */
function refuseDatabase(path: string): void {
  const isBeside = /-(wal|shm|journal)$/.test(path) || path.includes("-live/");
  if (isBeside || exists(`${path}-live`) || exists(`${path}-wal`)) {
    throw problem("is a database, or belongs to one; give another file");
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** 0 if it has gone since it was read. */
function modeOf(path: string): number {
  try {
    return Deno.statSync(path).mode ?? 0;
  } catch {
    return 0;
  }
}

/** A complaint about the content becomes one about the file. */
function about<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof LiveError)) throw error;
    throw problem(`"${path}" ${error.message}`);
  }
}
