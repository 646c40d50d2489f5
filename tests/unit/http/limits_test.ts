import fc from "fast-check";
import { codeOf } from "../../../src/base/errors.ts";
import { BodyReader, readBody } from "../../../src/http/body.ts";
import { Guests, type Reader } from "../../../src/http/limits.ts";
import { encodeRuns, RunsDecoder } from "../../../src/http/ranges.ts";
import { streamOf } from "../../../src/http/stream.ts";
import { LIMIT_DEFAULTS } from "../../../src/node/options.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../../support/assert.ts";
import { fakeEnv, settle } from "../../support/fake_env.ts";

const LIMITS = { ...LIMIT_DEFAULTS, streams: 2, requests: 3, queuedBytes: 100, stallMs: 10_000 };

Deno.test("Guests counts streams and requests, and gives a place back once", () => {
  const guests = new Guests(LIMITS, fakeEnv().clock);
  for (const [kind, most] of [["stream", 2], ["request", 3]] as const) {
    const places = Array.from({ length: most }, () => guests[kind]());
    assertEquals(codeOf(assertThrows(() => guests[kind]())), "busy");
    places[0]!();
    places[0]!(); // twice is once
    guests[kind]();
    assertThrows(() => guests[kind]());
  }
});

Deno.test("Guests ends a reader that takes nothing, not one that we keep waiting", async () => {
  const { clock } = fakeEnv();
  const guests = new Guests(LIMITS, clock);
  const ended: string[] = [];
  const stalled = guests.enter(() => ended.push("stalled"));
  const waits = guests.enter(() => ended.push("waits for us"));
  const slow = guests.enter(() => ended.push("slow"));
  guests.sent(stalled, new Uint8Array(1));
  guests.sent(waits, new Uint8Array(1));
  guests.asked(waits);
  for (let ms = 0; ms < 60_000; ms += 5000) {
    guests.sent(slow, new Uint8Array(1));
    await clock.advance(5000);
    guests.asked(slow);
  }
  assertEquals(ended, ["stalled"]);
  guests.leave(waits);
  guests.leave(slow);
  assertEquals([clock.waiting, guests.now.queuedBytes], [0, 0]);
});

Deno.test("Guests ends the slowest when too much is kept, and counts what is shared once", async () => {
  const { clock } = fakeEnv();
  const guests = new Guests(LIMITS, clock);
  const ended: number[] = [];
  const enter = async (nth: number, pieces: object, bytes: number): Promise<Reader> => {
    const reader = guests.enter(() => ended.push(nth));
    guests.holds(reader, pieces, bytes);
    guests.sent(reader, new Uint8Array(1));
    await clock.advance(1);
    return reader;
  };
  const shared = {};
  for (let nth = 0; nth < 50; nth++) await enter(nth, shared, 60);
  assertEquals([ended, guests.now.queuedBytes], [[], 60]);
  const last = await enter(50, {}, 50);
  // Everybody who shares is slower than the one whose own answer is too much.
  assertEquals(ended, Array.from({ length: 50 }, (_, nth) => nth));
  assertEquals(guests.now.queuedBytes, 50);
  guests.leave(last);
  assertEquals([guests.now.queuedBytes, clock.waiting], [0, 0]);
});

Deno.test("streamOf() ends its source when it is cut while its reader takes nothing", async () => {
  const events: string[] = [];
  const stop = new AbortController();
  const records = (async function* () {
    try {
      for (;;) yield await Promise.resolve(new Uint8Array(10));
    } finally {
      events.push("source ended");
    }
  })();
  const body = await streamOf(records, stop, {
    sent: () => events.push("sent"),
    asked: () => events.push("asked"),
    ended: () => events.push("ended"),
  });
  const reader = body.getReader();
  await reader.read();
  stop.abort();
  await settle();
  assertEquals(events, ["asked", "sent", "ended", "source ended"]);
  await assertRejects(() => reader.read(), /given up/);
});

function bytes(
  pull: (to: ReadableByteStreamController) => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({ type: "bytes", pull });
}

Deno.test("BodyReader reads all of a body into buffers that grow and shrink", async () => {
  const sizes = [10, 4096, 70_000, 200_000, 1, 2, 3, 4, 5, 6];
  let sent = 0;
  const body = bytes((to) => {
    const size = sizes[sent];
    if (size === undefined) return to.close(), to.byobRequest?.respond(0);
    to.enqueue(new Uint8Array(size).fill(++sent));
  });
  const reader = new BodyReader(body);
  const got: number[] = [];
  const buffers: number[] = [];
  for (let chunk; (chunk = await reader.read()) !== undefined;) {
    got.push(...chunk);
    buffers.push(chunk.buffer.byteLength);
  }
  assertEquals(got, sizes.flatMap((size, nth) => Array<number>(size).fill(nth + 1)));
  assertEquals([buffers[0], Math.max(...buffers), buffers.at(-1)], [4096, 65_536, 4096]);
  await reader.cancel();
});

Deno.test("readBody() gives up a body that is too long, too slow or broken off", async (t) => {
  const limits = { bytes: 10, ms: 1000 };
  const cases: [name: string, body: ReadableStream<Uint8Array>, pattern: RegExp][] = [
    ["too long", bytes((to) => to.enqueue(new Uint8Array(6))), /more than 10 bytes/],
    ["too slow", bytes(() => {}), /did not come within 1000 ms/],
    ["broken off", bytes((to) => to.error(new Error("reset"))), /broke off/],
  ];
  for (const [name, body, pattern] of cases) {
    await t.step(name, async () => {
      const { clock } = fakeEnv();
      const reading = assertRejects(() => readBody(body, limits, clock, () => {}), pattern);
      await clock.advance(1000);
      assertEquals(codeOf(await reading), "bad_request");
      assertEquals(clock.waiting, 0);
    });
  }
});

Deno.test("RunsDecoder reads what encodeRuns() wrote, however it is cut, without pages beyond", () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { maxLength: 60 })
    .map((all) => all.sort((a, b) => a - b));
  const cuts = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 20 });
  fc.assert(fc.property(numbers, cuts, fc.integer({ min: 0, max: 250 }), (all, sizes, most) => {
    const bytes = encodeRuns(all);
    const decoder = new RunsDecoder(most);
    for (let at = 0, nth = 0; at < bytes.length; nth++) {
      const size = sizes[nth % sizes.length]!;
      decoder.take(bytes.subarray(at, at + size));
      at += size;
    }
    assertEquals(decoder.end(), all.filter((pgno) => pgno <= most));
  }));
});

Deno.test("RunsDecoder takes any bytes as a list or throws bad_request, and no more than there is", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat({ max: 1000 }), (bytes, most) => {
    const decoder = new RunsDecoder(most);
    try {
      decoder.take(bytes);
      const all = decoder.end();
      assert(all.length <= most && all.every((pgno, nth) => pgno > (all[nth - 1] ?? 0)));
    } catch (error) {
      assertEquals(codeOf(error), "bad_request");
    }
    assert(decoder.length <= most);
  }));
});
