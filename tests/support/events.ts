/**
 * /events as a client reads it, line by line. May import: tests/support.
 * @module
 */
import { assertEquals } from "./assert.ts";
import type { LiveNode } from "./node.ts";
import { within } from "./process.ts";

/** What tests look at of a line. */
export interface EventLine {
  readonly event: string;
  readonly path?: string;
  readonly commits?: number;
  readonly bytes?: number;
  readonly change?: string;
  readonly state?: string;
  readonly from?: string;
  readonly databases?: readonly {
    readonly path: string;
    readonly replicas: readonly { readonly connected: boolean }[];
  }[];
}

export class EventLines implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #rest = "";

  private constructor(readonly headers: Headers, body: ReadableStream<string>) {
    this.#reader = body.getReader();
  }

  static async open(
    node: LiveNode,
    query: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<EventLines> {
    const response = await fetch(`${node.url}/events${query}`, { headers: { ...headers } });
    if (response.status !== 200) await response.body?.cancel();
    assertEquals(response.status, 200);
    return new EventLines(response.headers, response.body!.pipeThrough(new TextDecoderStream()));
  }

  /** Also of server-sent events; undefined once the node has ended it. */
  async next(): Promise<EventLine | undefined> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end < 0) {
        const { value } = await this.#reader.read().catch(() => ({ value: undefined }));
        if (value === undefined) return undefined;
        this.#rest += value;
        continue;
      }
      const line = this.#rest.slice(0, end).replace(/^data: /, "");
      this.#rest = this.#rest.slice(end + 1);
      if (line.startsWith("{")) return JSON.parse(line);
    }
  }

  /** All lines up to the first that `fits`. */
  async until(fits: (line: EventLine) => boolean, limitMs = 45_000): Promise<EventLine[]> {
    const lines: EventLine[] = [];
    const work = async (): Promise<EventLine[]> => {
      for (let line; (line = await this.next()) !== undefined;) {
        lines.push(line);
        if (fits(line)) return lines;
      }
      throw new Error("the events ended");
    };
    const seen = (): string => `no such event, but ${JSON.stringify(lines.slice(-20))}`;
    return await within(limitMs, work(), seen);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}
