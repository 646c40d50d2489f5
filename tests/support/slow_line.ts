/**
 * A line between two machines that are far from each other: a TCP proxy with so many bytes a second in
 * each direction and so much delay one way. May import: nothing.
 * @module
 */

export interface Line {
  readonly bytesPerSecond: number;
  /** One way. */
  readonly delayMs: number;
}

interface Parcel {
  readonly bytes: Uint8Array;
  /** When it arrives, ms. */
  readonly due: number;
}

const BUFFER_BYTES = 16 * 1024;

export class SlowLine implements AsyncDisposable {
  /** Bytes carried in both directions. */
  bytes = 0;
  readonly #line: Line;
  readonly #target: Deno.ConnectOptions;
  readonly #listener: Deno.TcpListener;
  readonly #open = new Set<Deno.Conn>();
  readonly #work: Promise<void>[] = [];
  readonly #ended = new AbortController();
  /** Until when each direction of the line is taken: all connections share it. */
  readonly #taken = { up: 0, down: 0 };

  constructor(target: Deno.ConnectOptions, line: Line) {
    this.#target = target;
    this.#line = line;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#work.push(this.#accept());
  }

  /** 0.0.0.0 is this machine, and no name of it that a node knows: it times the way. */
  get url(): string {
    return `http://0.0.0.0:${this.port}`;
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    closeQuietly(this.#listener);
    for (const conn of this.#open) closeQuietly(conn);
    await Promise.allSettled(this.#work);
  }

  async #accept(): Promise<void> {
    try {
      for await (const client of this.#listener) this.#work.push(this.#connect(client));
    } catch { /* closed */ }
  }

  async #connect(client: Deno.Conn): Promise<void> {
    this.#open.add(client);
    try {
      const server = await Deno.connect(this.#target);
      this.#open.add(server);
      await Promise.all([this.#carry(client, server, "up"), this.#carry(server, client, "down")]);
      closeQuietly(server);
      this.#open.delete(server);
    } catch { /* nobody listens there */ }
    closeQuietly(client);
    this.#open.delete(client);
  }

  async #carry(from: Deno.Conn, to: Deno.Conn, direction: "up" | "down"): Promise<void> {
    const parcels: Parcel[] = [];
    let wake = (): void => {};
    let over = false;
    const deliver = async (): Promise<void> => {
      for (;;) {
        const parcel = parcels.shift();
        if (parcel === undefined) {
          if (over) return;
          await new Promise<void>((resolve) => wake = resolve);
          continue;
        }
        await this.#until(parcel.due);
        for (let done = 0; done < parcel.bytes.length;) {
          done += await to.write(parcel.bytes.subarray(done));
        }
        this.bytes += parcel.bytes.length;
      }
    };
    const delivery = deliver().catch(() => closeQuietly(from));
    const buffer = new Uint8Array(BUFFER_BYTES);
    try {
      for (let read: number | null; (read = await from.read(buffer)) !== null;) {
        const { bytesPerSecond, delayMs } = this.#line;
        const free = Math.max(performance.now(), this.#taken[direction]) +
          1000 * read / bytesPerSecond;
        this.#taken[direction] = free;
        parcels.push({ bytes: buffer.slice(0, read), due: free + delayMs });
        wake();
        await this.#until(free); // what does not fit waits with the sender
      }
    } catch { /* closed */ }
    over = true;
    wake();
    await delivery;
    closeQuietly(to);
  }

  #until(due: number): Promise<void> {
    const ms = due - performance.now();
    if (ms <= 0 || this.#ended.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#ended.signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#ended.signal.addEventListener("abort", done);
    });
  }
}

function closeQuietly(closable: { close(): void }): void {
  try {
    closable.close();
  } catch { /* closed already */ }
}
