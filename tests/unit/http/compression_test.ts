import type { Bytes } from "../../../src/base/bytes.ts";
import { Compressor, decompressed } from "../../../src/http/compression.ts";
import { assert, assertEquals, assertRejects } from "../../support/assert.ts";
import { SeededRandom } from "../../support/fake_env.ts";

/** A wire on which each chunk is given out when it is asked for. */
async function* wire(chunks: readonly Bytes[]): AsyncGenerator<Bytes> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

async function all(chunks: AsyncIterable<Bytes>): Promise<Bytes> {
  const bytes: number[] = [];
  for await (const chunk of chunks) for (const byte of chunk) bytes.push(byte);
  return new Uint8Array(bytes);
}

Deno.test("what was encoded can be read at once, record by record", async () => {
  using compressor = new Compressor();
  let push: (chunk: Bytes) => void = () => {};
  async function* live(): AsyncGenerator<Bytes> {
    for (let nth = 0; nth < 20; nth++) yield await new Promise<Bytes>((resolve) => push = resolve);
  }
  const reader = decompressed(live());
  let sent = 0;
  for (let nth = 0; nth < 20; nth++) {
    const record = new Uint8Array(100 + nth).fill(nth);
    let read = 0;
    let next = reader.next();
    await new Promise((resolve) => setTimeout(resolve, 1)); // the reader asks
    const chunk = await compressor.encode(record);
    sent += chunk.length;
    push(chunk);
    for (;;) {
      const { value } = await next;
      for (const byte of value!) assertEquals(byte, nth);
      read += value!.length;
      if (read === record.length) break;
      next = reader.next();
    }
  }
  assert(sent < 1000, `${sent} bytes for 2,190`);
  await reader.return(undefined);
});

Deno.test("any records, cut anywhere on the way, are the same after it", async () => {
  const random = new SeededRandom(7);
  using compressor = new Compressor();
  const records = Array.from(
    { length: 30 },
    (_, nth) =>
      nth % 3 === 0 ? random.bytes(random.below(70_000)) : new Uint8Array(random.below(70_000)),
  );
  const chunks: Bytes[] = [];
  for (const record of records) {
    const chunk = await compressor.encode(record);
    const cut = random.below(chunk.length + 1);
    chunks.push(chunk.subarray(0, cut), chunk.subarray(cut));
  }
  const there = await all(decompressed(wire(chunks.filter(({ length }) => length > 0))));
  assertEquals(there, await all(wire(records)));
});

Deno.test("what is not zstd is an error, and so is what the wire throws", async () => {
  await assertRejects(() => all(decompressed(wire([new Uint8Array(1000).fill(7)]))));
  async function* broken(): AsyncGenerator<Bytes> {
    using compressor = new Compressor();
    yield await compressor.encode(new Uint8Array(10));
    throw new Error("the wire broke");
  }
  await assertRejects(() => all(decompressed(broken())), /the wire broke/);
});

Deno.test("a chunk that grows to a gigabyte costs no more than is taken", async () => {
  using compressor = new Compressor();
  const zeros = new Uint8Array(64 * 1024 * 1024);
  async function* bomb(): AsyncGenerator<Bytes> {
    for (let nth = 0; nth < 16; nth++) yield await compressor.encode(zeros);
  }
  const before = Deno.memoryUsage().rss;
  const reader = decompressed(bomb());
  for (let nth = 0; nth < 10; nth++) assert((await reader.next()).value!.length <= 1024 * 1024);
  assert(Deno.memoryUsage().rss - before < 400 * 1024 * 1024);
  await reader.return(undefined);
});
