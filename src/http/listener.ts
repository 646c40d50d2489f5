/**
 * Where the node listens, in HTTP or HTTPS; another certificate is taken without an end to what runs.
 * May import: base/, node/options, sqlite/process, http/tls.
 *
 * Deno reads a certificate once. For another one the listening socket is closed and opened again, some
 * milliseconds in which a connection is refused. Requests that run, streams of days too, go on to
 * their end on the connection and with the certificate that they began with.
 *
 * Deno's server stops listening for good when one accept() fails, as it does when the process has no
 * file descriptor left. Connections that are there go on. So we look each second, and listen again.
 * @module
 */
import { eachSecond, type Env } from "../base/env.ts";
import { LiveError, messageOf } from "../base/errors.ts";
import type { ListenAddress } from "../node/options.ts";
import { listening } from "../sqlite/process.ts";
import type { CertificatePair } from "./tls.ts";

/**
 * `address` is the client's, "unknown" if it has none. `completed` resolves when the answer has left,
 * and rejects when it was cut off.
 */
export type Handler = (
  request: Request,
  address: string,
  completed: Promise<unknown>,
) => Promise<Response>;

/** Said again only if it has been well meanwhile. */
const LOST_AGAIN_MS = 60_000;

/** Until the old socket is closed, and in case somebody else has taken the port meanwhile. */
const RETRY_MS = { first: 2, most: 500 } as const;
const SAY_AFTER_TRIES = 20;

export class Listener {
  readonly #handler: Handler;
  readonly #env: Env;
  readonly #signal: AbortSignal;
  #server: Deno.HttpServer<Deno.NetAddr>;
  /** Ends #server. Not the signal of the node: Deno throws when a server that was shut down aborts. */
  #end = new AbortController();
  #tls: CertificatePair | undefined;
  #isListening: () => boolean = () => true;
  #lost = -Infinity;
  /** One renewal at a time. */
  #renewals: Promise<void> = Promise.resolve();

  /**
   * Listens until `signal` aborts.
   * @throws {LiveError} "config" if the address or the certificate cannot be used.
   */
  constructor(
    addr: ListenAddress,
    tls: CertificatePair | undefined,
    handler: Handler,
    env: Env,
    signal: AbortSignal,
  ) {
    this.#handler = handler;
    this.#env = env;
    this.#signal = signal;
    this.#tls = tls;
    this.#server = this.#first(addr);
    const looks = eachSecond(env.clock, () => {
      if (signal.aborted) looks[Symbol.dispose]();
      else this.#look();
    });
    signal.addEventListener("abort", () => this.#end.abort(), { once: true });
  }

  /** With the port that was chosen. */
  get address(): string {
    const { hostname, port } = this.#server.addr;
    return formatHost(hostname, port);
  }

  /** New connections get this certificate; with undefined, plain HTTP. Never rejects. */
  renew(tls: CertificatePair | undefined): Promise<void> {
    this.#renewals = this.#renewals.then(() => this.#renew(tls));
    return this.#renewals;
  }

  #first(addr: ListenAddress): Deno.HttpServer<Deno.NetAddr> {
    const { hostname, port } = addr;
    try {
      try {
        return this.#serve(addr, this.#tls);
      } catch (error) {
        if (hostname !== "::" || error instanceof Deno.errors.AddrInUse) throw error;
        return this.#serve({ hostname: "0.0.0.0", port }, this.#tls); // a machine without IPv6
      }
    } catch (error) {
      const reason = error instanceof Deno.errors.AddrInUse
        ? "another process listens there"
        : messageOf(error);
      throw new LiveError("config", `Cannot listen on ${formatHost(hostname, port)}: ${reason}`);
    }
  }

  #look(): void {
    if (!this.#isListening()) this.#renewals = this.#renewals.then(() => this.#listenAgain());
  }

  /** After a renewal that was under way it may be well again. */
  #listenAgain(): void {
    if (this.#signal.aborted || this.#isListening()) return;
    const { addr } = this.#server;
    const now = this.#env.clock.monotonic();
    if (now > this.#lost + LOST_AGAIN_MS) {
      this.#env.log.warn("cannot accept connections, listening again", {
        addr: formatHost(addr.hostname, addr.port),
        hint: "no file descriptor was left: more of them (LimitNOFILE), or a proxy in front",
      });
    }
    this.#lost = now;
    try {
      this.#server = this.#serve(addr, this.#tls);
    } catch (error) {
      this.#env.log.debug("cannot listen yet", { error: messageOf(error) });
    }
  }

  async #renew(tls: CertificatePair | undefined): Promise<void> {
    const { cert, key } = this.#tls ?? {};
    if (this.#signal.aborted || (tls?.cert === cert && tls?.key === key)) return;
    const { log, clock } = this.#env;
    const { addr } = this.#server;
    this.#end = new AbortController();
    // Closes the listening socket at once; its promise lasts as long as the longest stream.
    void this.#server.shutdown().catch(() => {});
    let wanted = tls;
    for (let tries = 1, wait: number = RETRY_MS.first; !this.#signal.aborted; tries++) {
      try {
        this.#server = this.#serve(addr, wanted);
        this.#tls = wanted;
        log.info("listening again", { addr: this.address, tls: wanted !== undefined });
        return;
      } catch (error) {
        const isTaken = error instanceof Deno.errors.AddrInUse;
        if (!isTaken && wanted !== this.#tls) {
          log.error("the new certificate CANNOT be used, the old one stays", {
            reason: messageOf(error),
          });
          wanted = this.#tls;
        } else if (tries === SAY_AFTER_TRIES) {
          log.error("NOBODY can connect: the address cannot be opened again, still trying", {
            addr: formatHost(addr.hostname, addr.port),
            reason: messageOf(error),
          });
        }
      }
      await clock.sleep(wait, this.#signal);
      wait = Math.min(wait * 2, RETRY_MS.most);
    }
  }

  #serve(addr: ListenAddress, tls: CertificatePair | undefined): Deno.HttpServer<Deno.NetAddr> {
    const { hostname, port } = addr;
    const server = Deno.serve({
      hostname,
      port,
      signal: this.#end.signal,
      onListen: () => {},
      ...(tls === undefined ? {} : { cert: tls.cert, key: tls.key }),
    }, (request, { remoteAddr, completed }) => {
      completed.catch(() => {}); // who cuts off an answer is no news
      const address = "hostname" in remoteAddr
        ? formatHost(remoteAddr.hostname, remoteAddr.port)
        : "unknown";
      return this.#handler(request, address, completed);
    });
    server.finished.catch(() => {}); // told only when the last connection has gone
    this.#isListening = listening(server.addr.port);
    return server;
  }
}

/** "[::1]:9090", "127.0.0.1:9090" */
export function formatHost(hostname: string, port: number): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}
