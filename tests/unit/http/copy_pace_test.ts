import type { Bytes } from "../../../src/base/bytes.ts";
import { CopyPace, Guests } from "../../../src/http/limits.ts";
import { streamOf } from "../../../src/http/stream.ts";
import { COPY_BYTES_A_STREAM, LIMIT_DEFAULTS } from "../../../src/node/options.ts";
import { SILENCE_MS } from "../../../src/node/follow.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { FakeClock, settle } from "../../support/fake_env.ts";

const MB = 1_000_000;
const RECORD_BYTES = 262_144;

interface Copy {
  bytes: number;
  /** The longest time without a byte, ms. */
  silence: number;
}

/** So many copies that always have a record to send, until `signal` aborts. */
function copies(pace: CopyPace, clock: FakeClock, count: number, signal: AbortSignal): Copy[] {
  return Array.from({ length: count }, () => {
    const copy = { bytes: 0, silence: 0 };
    pace.enter();
    const send = async (): Promise<void> => {
      let last = clock.monotonic();
      for (let left = RECORD_BYTES; !signal.aborted; left = left === 0 ? RECORD_BYTES : left) {
        const piece = await pace.turn(left, signal);
        if (signal.aborted) return;
        copy.silence = Math.max(copy.silence, clock.monotonic() - last);
        last = clock.monotonic();
        copy.bytes += piece;
        left -= piece;
      }
    };
    void send();
    return copy;
  });
}

async function sent(bytesPerSecond: number, count: number, seconds: number): Promise<Copy[]> {
  const clock = new FakeClock();
  const stop = new AbortController();
  const all = copies(new CopyPace(bytesPerSecond, clock), clock, count, stop.signal);
  await clock.advance(seconds * 1000);
  stop.abort();
  await settle();
  assertEquals(clock.waiting, 0);
  return all;
}

const sum = (all: readonly Copy[]): number => all.reduce((bytes, one) => bytes + one.bytes, 0);

Deno.test("CopyPace lets all copies together send at the rate, each the same share", async () => {
  for (const [rate, count] of [[2 * MB, 1], [2 * MB, 3], [10 * MB, 1]] as const) {
    const all = await sent(rate, count, 5);
    const share = sum(all) / (5 * rate);
    assert(share > 0.95 && share < 1.15, `${rate}, ${count}: ${share}`); // the first piece is at once
    const each = all.map(({ bytes }) => bytes);
    assert(Math.max(...each) - Math.min(...each) <= RECORD_BYTES, `${each}`);
  }
});

Deno.test("CopyPace leaves no copy without a byte for as long as a replica waits", async () => {
  // The least that the config takes, and as many copies as there may be of a node with few streams.
  const streams = 200;
  const all = await sent(streams * COPY_BYTES_A_STREAM, streams, 4);
  for (const { silence, bytes } of all) {
    assert(bytes > 0 && silence < SILENCE_MS / 2, `${silence} ms, ${bytes} bytes`);
  }
});

Deno.test("CopyPace does not save up while nobody copies", async () => {
  const clock = new FakeClock();
  const pace = new CopyPace(MB, clock);
  await clock.advance(60_000);
  const stop = new AbortController();
  const [one] = copies(pace, clock, 1, stop.signal);
  await clock.advance(100);
  assert(one!.bytes <= 2 * RECORD_BYTES, `${one!.bytes} bytes in 100 ms`);
  stop.abort();
});

Deno.test("Guests paces a copy until it is done, and nothing where there is no limit", async () => {
  const clock = new FakeClock();
  const { signal } = new AbortController();
  const free = new Guests(LIMIT_DEFAULTS, clock);
  const anyone = free.enter(() => {});
  assertEquals(free.copy(anyone, signal), undefined);
  free.leave(anyone);
  const guests = new Guests({ ...LIMIT_DEFAULTS, copyBytes: 1000 }, clock);
  const reader = guests.enter(() => assert(false, "it is not slow"));
  const copy = guests.copy(reader, signal)!;
  assertEquals(await copy.turn(10_000), 500, "a piece");
  let count: number | undefined;
  void copy.turn(10_000).then((some) => count = some);
  await clock.advance(400);
  assertEquals(count, undefined, "the first piece is still leaving");
  await clock.advance(200);
  assertEquals(count, 500);
  copy.done();
  assertEquals(await copy.turn(10_000), 10_000);
  guests.leave(reader);
  assertEquals(clock.waiting, 0);
});

Deno.test("Guests ends a copy that waits for its turn before a live reader, if one must go", async () => {
  const clock = new FakeClock();
  const guests = new Guests({ ...LIMIT_DEFAULTS, queuedBytes: 100, copyBytes: 1000 }, clock);
  const ended: string[] = [];
  const copying = guests.enter(() => ended.push("copy"));
  const live = guests.enter(() => ended.push("live"));
  const copy = guests.copy(copying, new AbortController().signal)!;
  guests.holds(copying, {}, 80); // its last round
  assertEquals(await copy.turn(500), 500);
  void copy.turn(500);
  await clock.advance(10);
  guests.sent(live, new Uint8Array(30)); // it is taking it
  guests.holds(live, {}, 30);
  assertEquals(ended, ["copy"]);
  guests.leave(live);
  await clock.advance(1000);
});

Deno.test("streamOf() sends a record in the pieces that turn() allows, and none is lost", async () => {
  const record = (first: number, length: number): Bytes =>
    Uint8Array.from({ length }, (_, at) => (first + at) % 251);
  const records = [record(0, 10), record(100, 1), record(7, 5)];
  async function* source(): AsyncGenerator<Bytes> {
    yield* records;
  }
  const asked: number[] = [];
  const told: number[] = [];
  const stream = await streamOf(source(), new AbortController(), {
    asked: () => {},
    ended: () => {},
    sent: ({ length }) => told.push(length),
    turn: (bytes) => {
      asked.push(bytes);
      return Promise.resolve(Math.min(bytes, 4));
    },
  });
  const taken: number[] = [];
  for await (const piece of stream) taken.push(...piece);
  assertEquals(taken, records.flatMap((one) => [...one]));
  assertEquals(asked, [10, 6, 2, 1, 5, 1]);
  assertEquals(told, [4, 4, 2, 1, 4, 1]);
});

Deno.test("streamOf() is cut while it waits for its turn", async () => {
  async function* source(): AsyncGenerator<Bytes> {
    yield await Promise.resolve(new Uint8Array(10));
  }
  const clock = new FakeClock();
  const stop = new AbortController();
  let ended = 0;
  const stream = await streamOf(source(), stop, {
    asked: () => {},
    ended: () => ended++,
    sent: () => assert(false, "nothing leaves"),
    turn: async (bytes) => {
      await clock.sleep(60_000, stop.signal);
      return bytes;
    },
  });
  const read = stream.getReader().read().then(() => "bytes", () => "cut");
  await settle();
  stop.abort();
  assertEquals([await read, ended, clock.waiting], ["cut", 1, 0]);
});
