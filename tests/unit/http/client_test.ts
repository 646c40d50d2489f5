import type { Bytes } from "../../../src/base/bytes.ts";
import { HttpSource } from "../../../src/http/client.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { fakeEnv, SeededRandom } from "../../support/fake_env.ts";

/** What a node that sends these pieces is read as; each piece is copied before the next is asked for. */
async function read(pieces: readonly Bytes[]): Promise<{ bytes: Bytes; buffers: number[] }> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => {
    let nth = 0;
    const pull = async (controller: ReadableStreamDefaultController<Bytes>): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, nth % 7 === 0 ? 1 : 0));
      if (nth === pieces.length) controller.close();
      else controller.enqueue(pieces[nth++]!);
    };
    return new Response(new ReadableStream({ pull }));
  });
  try {
    const url = `http://127.0.0.1:${server.addr.port}`;
    const source = new HttpSource({ url, path: "/data/db", compression: "none" }, fakeEnv());
    const got: number[] = [];
    const buffers: number[] = [];
    for await (const piece of source.changes({}, new AbortController().signal)) {
      for (const byte of piece) got.push(byte);
      buffers.push(piece.buffer.byteLength);
    }
    return { bytes: Uint8Array.from(got), buffers };
  } finally {
    await server.shutdown();
  }
}

function joined(pieces: readonly Bytes[]): Bytes {
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

Deno.test("HttpSource hands over every byte once, whatever size they come in", async () => {
  const random = new SeededRandom(7);
  const sizes = [1, 60, 4095, 4096, 4097, 16_384, 65_536, 65_537, 200_000];
  const pieces = Array.from({ length: 40 }, (_, nth) => random.bytes(sizes[nth % sizes.length]!));
  const { bytes, buffers } = await read(pieces);
  assertEquals(bytes, joined(pieces));
  assert(Math.max(...buffers) === 65_536, "a long answer is read in large pieces");
});

Deno.test("HttpSource reads heartbeats into a small buffer, also after a long answer", async () => {
  const random = new SeededRandom(8);
  const pieces = [random.bytes(300_000), ...Array.from({ length: 20 }, () => random.bytes(60))];
  const { bytes, buffers } = await read(pieces);
  assertEquals(bytes, joined(pieces));
  assertEquals(buffers.at(-1), 4096);
});
