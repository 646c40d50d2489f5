/**
 * HTTP as no client speaks it: bytes over a TCP socket, sockets that are kept open. May import:
 * tests/support/process.
 * @module
 */
import { within } from "./process.ts";

export interface Address {
  readonly hostname: string;
  readonly port: number;
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** "127.0.0.1:9090" */
export function addressOf(hostAndPort: string): Address {
  const { hostname, port } = new URL(`http://${hostAndPort}`);
  return { hostname, port: Number(port) };
}

/**
 * Sends `bytes`, then nothing more; returns the beginning of what came back within `waitMs`, "" if
 * nothing did. A connection that is reset is an answer, too.
 */
export async function talk(
  address: Address,
  bytes: Uint8Array | string,
  waitMs: number,
): Promise<string> {
  const socket = await Deno.connect(address);
  const timer = setTimeout(() => closeQuietly(socket), waitMs);
  const chunk = new Uint8Array(4096);
  let length = 0;
  try {
    await writeAll(socket, typeof bytes === "string" ? encode(bytes) : bytes);
    length = await socket.read(chunk) ?? 0;
  } catch { /* reset, or closed by us: no answer */ }
  clearTimeout(timer);
  closeQuietly(socket);
  return new TextDecoder().decode(chunk.subarray(0, length));
}

/** A socket on which a request was begun and whose answer is not read until somebody does. */
export class HeldSocket implements Disposable {
  readonly #socket: Deno.TcpConn;

  private constructor(socket: Deno.TcpConn) {
    this.#socket = socket;
  }

  static async open(address: Address, text = ""): Promise<HeldSocket> {
    const socket = await Deno.connect(address);
    if (text !== "") await writeAll(socket, encode(text));
    return new HeldSocket(socket);
  }

  /** The next bytes as text; undefined once the other side has closed. */
  async read(limitMs = 10_000): Promise<string | undefined> {
    const chunk = new Uint8Array(65_536);
    const reading = this.#socket.read(chunk).catch(() => null); // reset
    const length = await within(
      limitMs,
      reading,
      () => "the node sends nothing and does not close",
    );
    return length === null ? undefined : new TextDecoder().decode(chunk.subarray(0, length));
  }

  /** Reads until the other side closes; returns how many bytes came. */
  async drain(limitMs = 10_000): Promise<number> {
    let bytes = 0;
    for (let text; (text = await this.read(limitMs)) !== undefined;) bytes += text.length;
    return bytes;
  }

  [Symbol.dispose](): void {
    closeQuietly(this.#socket);
  }
}

async function writeAll(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await socket.write(bytes.subarray(done));
}

function closeQuietly(thing: { close(): void }): void {
  try {
    thing.close();
  } catch { /* closed already */ }
}

/** Resident bytes of a process. */
export function residentBytes(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(text.match(/^VmRSS:\s+(\d+) kB/m)?.[1] ?? 0) * 1024;
}
