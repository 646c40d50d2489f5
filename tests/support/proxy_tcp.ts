/**
 * A TCP proxy between a replica and its upstream that misbehaves when told to. May import: nothing.
 *
 *     pass      as if it were not there
 *     cut       connections are closed, new ones closed at once
 *     hole      connections stand and carry nothing, in both directions, until the mode changes
 *     throttle  so many bytes a second and direction, one by one
 *
 * Besides, once each: abandon() makes today's connections holes for ever (half-open: the other end
 * died without a word), damage() flips one bit of what comes by, or closes in the middle of it.
 * @module
 */

export type ProxyMode =
  | { readonly kind: "pass" }
  | { readonly kind: "cut" }
  | { readonly kind: "hole" }
  | { readonly kind: "throttle"; readonly bytesPerSecond: number };

/** "down" is from the upstream to the replica. */
export type Direction = "down" | "up";

export interface Damage {
  readonly kind: "flip" | "truncate";
  readonly direction: Direction;
  /** Bytes of that direction that come by unharmed first. */
  readonly after: number;
  /** Which bit of the byte, for a flip. */
  readonly bit?: number;
}

const BUFFER_BYTES = 16 * 1024;

class Link {
  abandoned = false;
  #closed = false;

  constructor(readonly client: Deno.Conn, readonly server: Deno.Conn) {}

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.client);
    closeQuietly(this.server);
  }
}

export class TcpProxy implements AsyncDisposable {
  readonly port: number;
  /** Connections made through it, and bytes carried. */
  connections = 0;
  bytes = 0;
  readonly #listener: Deno.TcpListener;
  readonly #target: () => Deno.ConnectOptions;
  readonly #links = new Set<Link>();
  readonly #waiting = new Set<() => void>();
  readonly #work = new Set<Promise<void>>();
  #mode: ProxyMode = { kind: "pass" };
  #damage: { left: number; readonly how: Damage } | undefined;
  #closed = false;

  /** Listens on a free port of 127.0.0.1, or on `port`; `target` is asked at each connection. */
  constructor(target: () => Deno.ConnectOptions, port = 0) {
    this.#target = target;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port });
    this.port = this.#listener.addr.port;
    this.#track(this.#accept());
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get mode(): ProxyMode {
    return this.#mode;
  }

  /** True once what damage() ordered has been done. */
  get damaged(): boolean {
    return this.#damage === undefined;
  }

  set(mode: ProxyMode): void {
    this.#mode = mode;
    if (mode.kind === "cut") this.#closeAll();
    this.#wakeAll();
  }

  /** Whatever is connected now carries nothing any more, whatever the mode. */
  abandon(): void {
    for (const link of this.#links) link.abandoned = true;
    this.#wakeAll();
  }

  /** Replaces an order that has not been carried out. */
  damage(how: Damage | undefined): void {
    this.#damage = how && { left: how.after, how };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    closeQuietly(this.#listener);
    this.#closeAll();
    this.#wakeAll();
    await Promise.all(this.#work);
  }

  #track(work: Promise<void>): void {
    this.#work.add(work);
    void work.finally(() => this.#work.delete(work));
  }

  async #accept(): Promise<void> {
    try {
      for await (const client of this.#listener) {
        if (this.#mode.kind === "cut" || this.#closed) closeQuietly(client);
        else this.#track(this.#connect(client));
      }
    } catch (error) {
      if (!this.#closed) throw error;
    }
  }

  async #connect(client: Deno.Conn): Promise<void> {
    let server: Deno.Conn;
    try {
      server = await Deno.connect(this.#target());
    } catch { // nobody listens there: the replica sees its connection closed
      return closeQuietly(client);
    }
    const link = new Link(client, server);
    if (this.#closed || this.#mode.kind === "cut") return link.close();
    this.connections++;
    this.#links.add(link);
    await Promise.all([
      this.#pump(link, client, server, "up"),
      this.#pump(link, server, client, "down"),
    ]);
    this.#links.delete(link);
  }

  /** Ends when either side has ended; in a hole the other side does not learn of that. */
  async #pump(link: Link, from: Deno.Conn, to: Deno.Conn, direction: Direction): Promise<void> {
    const buffer = new Uint8Array(BUFFER_BYTES);
    try {
      for (let read: number | null; (read = await from.read(buffer)) !== null;) {
        await this.#carry(link, to, buffer.subarray(0, read), direction);
      }
    } catch { /* reset, or closed by us: the same as its end */ }
    while (!link.closed && this.#silent(link)) await this.#pause();
    link.close();
  }

  async #carry(link: Link, to: Deno.Conn, bytes: Uint8Array, direction: Direction): Promise<void> {
    const length = this.#spoil(bytes, direction);
    for (let done = 0; done < length;) {
      while (this.#silent(link) && !link.closed) await this.#pause();
      if (link.closed) return;
      const mode = this.#mode;
      if (mode.kind !== "throttle") {
        await writeAll(to, bytes.subarray(done, length));
        this.bytes += length - done;
        break;
      }
      await writeAll(to, bytes.subarray(done, done + 1));
      this.bytes++;
      done++;
      await this.#pause(1000 / mode.bytesPerSecond);
    }
    if (length < bytes.length) link.close();
  }

  /** Does the damage if it is due within `bytes`; returns how many of them may go on. */
  #spoil(bytes: Uint8Array, direction: Direction): number {
    const damage = this.#damage;
    if (damage === undefined || damage.how.direction !== direction) return bytes.length;
    if (damage.left >= bytes.length) {
      damage.left -= bytes.length;
      return bytes.length;
    }
    this.#damage = undefined;
    if (damage.how.kind === "truncate") return damage.left;
    bytes[damage.left]! ^= 1 << ((damage.how.bit ?? 0) & 7);
    return bytes.length;
  }

  #silent(link: Link): boolean {
    return !this.#closed && (link.abandoned || this.#mode.kind === "hole");
  }

  /** Until something changes, or for `ms`. */
  #pause(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = ms === undefined ? undefined : setTimeout(done, ms);
      this.#waiting.add(done);
    });
  }

  #wakeAll(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  #closeAll(): void {
    for (const link of this.#links) link.close();
    this.#wakeAll();
  }
}

async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await to.write(bytes.subarray(done));
}

function closeQuietly(thing: { close(): void }): void {
  try {
    thing.close();
  } catch { /* closed already */ }
}
