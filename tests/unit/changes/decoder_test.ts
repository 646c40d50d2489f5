import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import type { Bytes } from "../../../src/base/bytes.ts";
import { codeOf } from "../../../src/base/errors.ts";
import { decode } from "../../../src/changes/decoder.ts";
import { encodeHeartbeat, MAX_PAYLOAD_BYTES } from "../../../src/changes/records.ts";
import { type Epoch, txid } from "../../../src/base/types.ts";
import { assert, assertEquals, assertRejects } from "../../support/assert.ts";
import {
  encodePages,
  pagesHold,
  type Sample,
  samples,
  tell,
  type Told,
} from "../../support/fixtures_records.ts";

/** `bytes` in pieces that end at `cuts`. */
async function* pieces(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Bytes> {
  let at = 0;
  for (
    const cut of [...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length]
  ) {
    yield await Promise.resolve(Uint8Array.from(bytes.subarray(at, cut)));
    at = cut;
  }
}

interface Outcome {
  readonly records: Told[];
  /** For each record: its pages have the hashes they came with. */
  readonly whole: boolean[];
  readonly error: unknown;
}

async function outcome(chunks: AsyncIterable<Bytes>): Promise<Outcome> {
  const records: Told[] = [];
  const whole: boolean[] = [];
  try {
    for await (const record of decode(chunks)) {
      records.push(tell(record));
      whole.push(pagesHold(record));
    }
    return { records, whole, error: undefined };
  } catch (error) {
    return { records, whole, error };
  }
}

function joined(all: readonly Sample[]): Bytes {
  const bytes = new Uint8Array(all.reduce((sum, one) => sum + one.bytes.length, 0));
  let at = 0;
  for (const one of all) {
    bytes.set(one.bytes, at);
    at += one.bytes.length;
  }
  return bytes;
}

const streams = fc.array(samples, { minLength: 1, maxLength: 6 });
const cuts = fc.array(fc.nat({ max: 6000 }), { maxLength: 12 });

const BEAT = {
  epoch: "00000000000000e1" as Epoch,
  txid: txid(1),
  hash: { high: 1, low: 2 },
  staleMs: 3,
  sent: txid(7),
};

Deno.test("decode() yields the records however the stream is cut into chunks", async () => {
  await fc.assert(
    fc.asyncProperty(streams, cuts, async (all, places) => {
      const { records, error } = await outcome(pieces(joined(all), places));
      assertEquals(error, undefined);
      assertEquals(records, all.map(({ want }) => want));
    }),
    { numRuns: 200 },
  );
});

Deno.test("decode() yields the records byte by byte", async () => {
  const all = fc.sample(samples, { numRuns: 12, seed: 3 });
  const bytes = joined(all);
  const { records } = await outcome(pieces(bytes, Array.from(bytes, (_, at) => at)));
  assertEquals(records, all.map(({ want }) => want));
});

/** Whatever came, each record is one that was sent, or its pages betray it; errors have a code. */
function assertNothingWrong({ records, whole, error }: Outcome, sent: readonly Told[]): void {
  for (const [nth, record] of records.entries()) {
    if (whole[nth]) assert(sent.some((one) => isDeepStrictEqual(one, record)), record.type);
    else assertEquals(record.type, "pages");
  }
  if (error === undefined) return;
  assert(["upstream", "checksum"].includes(codeOf(error) ?? ""), String(error));
}

Deno.test("decode() never yields a wrong record when the stream is damaged", async (t) => {
  const place = fc.nat({ max: 1_000_000 });
  const damages: [name: string, damage: (bytes: Bytes, at: number, value: number) => Bytes][] = [
    ["a bit", (bytes, at, value) => {
      bytes[at]! ^= 1 << (value & 7);
      return bytes;
    }],
    ["a byte", (bytes, at, value) => {
      bytes[at] = value;
      return bytes;
    }],
    ["cut", (bytes, at) => bytes.slice(0, at)],
    [
      "a piece left out",
      (bytes, at, value) =>
        Uint8Array.from([...bytes.slice(0, at), ...bytes.slice(at + 1 + value)]),
    ],
    [
      "a piece put in",
      (bytes, at, value) =>
        Uint8Array.from([
          ...bytes.slice(0, at),
          ...new Uint8Array(value).fill(value),
          ...bytes.slice(at),
        ]),
    ],
    [
      "a piece doubled",
      (bytes, at, value) =>
        Uint8Array.from([...bytes.slice(0, at), ...bytes.slice(Math.max(0, at - value))]),
    ],
    ["garbage from there on", (bytes, at, value) => {
      for (let byte = at; byte < bytes.length; byte++) {
        bytes[byte] = (byte * value * 2654435761) >>> 13;
      }
      return bytes;
    }],
  ];
  for (const [name, damage] of damages) {
    await t.step(name, async () => {
      let failed = 0;
      await fc.assert(
        fc.asyncProperty(
          streams,
          place,
          fc.nat({ max: 255 }),
          cuts,
          async (all, at, value, places) => {
            const bytes = joined(all);
            const damaged = damage(Uint8Array.from(bytes), at % bytes.length, value);
            const result = await outcome(pieces(damaged, places));
            assertNothingWrong(result, all.map(({ want }) => want));
            if (result.error !== undefined || result.whole.includes(false)) failed++;
          },
        ),
        { numRuns: 150 },
      );
      assert(failed > 30, `${failed} of 150 were noticed`);
    });
  }
});

Deno.test("decode() says upstream or checksum at garbage", async () => {
  const garbage = fc.uint8Array({ minLength: 1, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(garbage, cuts, async (bytes, places) => {
      const { records, error } = await outcome(pieces(bytes, places));
      assertEquals(records, []);
      assert(["upstream", "checksum"].includes(codeOf(error) ?? ""), `${error}`);
    }),
    { numRuns: 500 },
  );
});

Deno.test("decode() refuses a length over the limit before it waits for more", async () => {
  for (const length of [MAX_PAYLOAD_BYTES + 1, 0x7fffffff, 0xffffffff]) {
    const header = new Uint8Array(16);
    new DataView(header.buffer).setUint32(0, length, true);
    const endless = async function* (): AsyncGenerator<Bytes> {
      yield await Promise.resolve(header);
      throw new Error("it asked for more");
    };
    const error = await assertRejects(async () => {
      for await (const _ of decode(endless()));
    }, new RegExp(`a record of ${length} bytes`));
    assertEquals(codeOf(error), "upstream");
  }
});

Deno.test("decode() notices a changed length or type before it waits for more", async () => {
  const header = encodeHeartbeat(BEAT).slice(0, 16);
  for (let bit = 0; bit < 64; bit++) {
    const broken = Uint8Array.from(header);
    broken[bit >> 3]! ^= 1 << (bit & 7);
    const endless = async function* (): AsyncGenerator<Bytes> {
      yield await Promise.resolve(broken);
      throw new Error(`it asked for more after bit ${bit} was changed`);
    };
    const error = await assertRejects(async () => {
      for await (const _ of decode(endless()));
    }, /Broken stream/);
    assert(["upstream", "checksum"].includes(codeOf(error) ?? ""), `${error}`);
  }
});

Deno.test("decode() says so when the stream ends inside a record, also inside a header", async () => {
  const bytes = encodeHeartbeat(BEAT);
  for (let cut = 1; cut < bytes.length; cut++) {
    const { records, error } = await outcome(pieces(bytes.slice(0, cut), []));
    assertEquals([records.length, codeOf(error)], [0, "upstream"], `cut at ${cut}`);
  }
  assertEquals(
    (await outcome(pieces(new Uint8Array(0), []))).error,
    undefined,
    "no byte is no error",
  );
});

Deno.test("decode() passes on what the stream throws", async () => {
  async function* broken(): AsyncGenerator<Bytes> {
    yield await Promise.resolve(new Uint8Array(3));
    throw new TypeError("the connection was reset");
  }
  await assertRejects(async () => {
    for await (const _ of decode(broken()));
  }, /connection was reset/);
});

Deno.test("decode() keeps the start of a large record that came behind a small one", async () => {
  const beat = encodeHeartbeat(BEAT);
  const page = new Uint8Array(65536).fill(5);
  const large = encodePages(65536, [{ pgno: 1, page }, { pgno: 2, page }]);
  const bytes = Uint8Array.from([...beat, ...large, ...beat]);
  for (const cut of [beat.length + 1, beat.length + 100, beat.length + 60_000]) {
    const { records, whole, error } = await outcome(pieces(bytes, [cut]));
    assertEquals(records.map(({ type }) => type as string), ["heartbeat", "pages", "heartbeat"]);
    assertEquals([whole, error], [[true, true, true], undefined]);
  }
});

Deno.test("decode() reads records larger than its buffer, in small chunks and in one", async () => {
  const pages = (first: number) =>
    encodePages(
      4096,
      Array.from({ length: 64 }, (_, nth) => ({
        pgno: first + nth,
        page: new Uint8Array(4096).fill(first + nth),
      })),
    );
  const sent = [pages(1), pages(65), pages(129)];
  const bytes = new Uint8Array(sent.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const one of sent) {
    bytes.set(one, at);
    at += one.length;
  }
  const steps = (step: number): number[] =>
    Array.from({ length: Math.floor(bytes.length / step) }, (_, nth) => nth * step);
  for (const step of [1000, 65536, 100_000, bytes.length + 1]) {
    let pgno = 1;
    for await (const record of decode(pieces(bytes, steps(step)))) {
      assert(record.type === "pages" && record.count === 64 && pagesHold(record));
      for (let nth = 0; nth < record.count; nth++) assertEquals(record.pgno(nth), pgno++);
    }
    assertEquals(pgno, 193, `chunks of ${step}`);
  }
});
