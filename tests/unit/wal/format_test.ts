import fc from "fast-check";
import { codeOf } from "../../../src/base/errors.ts";
import {
  addToSum,
  checkFrame,
  decodePageSize,
  encodeWalHeader,
  type FrameChain,
  frameOffset,
  isPageSize,
  parseWalHeader,
  sealFrame,
} from "../../../src/wal/format.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { SeededRandom } from "../../support/fake_env.ts";
import { referenceSum, walBytes } from "../../support/fixtures_wal.ts";

const PAGE_SIZES = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536] as const;
const u32 = fc.nat({ max: 0xffffffff });

function flipped(bytes: Uint8Array, bit: number): Uint8Array<ArrayBuffer> {
  const copy = Uint8Array.from(bytes);
  copy[bit >>> 3]! ^= 1 << (bit & 7);
  return copy;
}

Deno.test("addToSum() is the checksum of SQLite's description in both byte orders", () => {
  const start = fc.record({ s1: u32, s2: u32 }, { noNullPrototype: true });
  const input = fc.uint8Array({ minLength: 8, maxLength: 80 });
  fc.assert(
    fc.property(start, input, fc.boolean(), fc.nat({ max: 7 }), (from, raw, bigEndian, shift) => {
      const length = raw.length & ~7;
      const bytes = new Uint8Array(shift + length); // aligned or not: the fast and the plain way
      bytes.set(raw.subarray(0, length), shift);
      const sum = { ...from };
      addToSum(sum, bytes, shift, length, bigEndian);
      const { s1, s2 } = referenceSum(
        { s1: BigInt(from.s1), s2: BigInt(from.s2) },
        raw.subarray(0, length),
        bigEndian,
      );
      assertEquals(sum, { s1: Number(s1), s2: Number(s2) });
    }),
  );
});

Deno.test("parseWalHeader() gives back what encodeWalHeader() was given", () => {
  const fields = fc.record({
    pageSize: fc.constantFrom(...PAGE_SIZES),
    sequence: u32,
    salt1: u32,
    salt2: u32,
  }, { noNullPrototype: true });
  fc.assert(fc.property(fields, (given) => {
    const { bytes, sum, bigEndian } = encodeWalHeader(given);
    assertEquals(parseWalHeader(bytes), { ...given, sum, bigEndian });
  }));
});

Deno.test("parseWalHeader() accepts only a whole header", async (t) => {
  const good = encodeWalHeader({ pageSize: 4096, sequence: 3, salt1: 1, salt2: 2 }).bytes;
  await t.step("a bit flipped anywhere", () => {
    for (let bit = 0; bit < 32 * 8; bit++) {
      assertEquals(parseWalHeader(flipped(good, bit)), undefined, `bit ${bit}`);
    }
  });
  await t.step("a file of 31 bytes", () => {
    assertEquals(parseWalHeader(good.slice(0, 31)), undefined);
  });
  await t.step("zeros", () => assertEquals(parseWalHeader(new Uint8Array(32)), undefined));
  await t.step("a header behind other bytes", () => {
    const file = new Uint8Array(40);
    file.set(good, 8);
    assertEquals(parseWalHeader(file.subarray(8))?.pageSize, 4096);
  });
  await t.step("another version with the right checksum is an error", () => {
    const other = Uint8Array.from(good);
    new DataView(other.buffer).setUint32(4, 3007001);
    const { s1, s2 } = referenceSum({ s1: 0n, s2: 0n }, other.subarray(0, 24), false);
    new DataView(other.buffer).setUint32(24, Number(s1));
    new DataView(other.buffer).setUint32(28, Number(s2));
    assertEquals(codeOf(assertThrows(() => parseWalHeader(other), /version 3007001/)), "corrupt");
  });
});

Deno.test("parseWalHeader() honours checksums over big-endian words", () => {
  for (const bigEndian of [false, true]) {
    const header = walBytes({ pageSize: 512, salt1: 5, salt2: 6, bigEndian, frames: [] });
    const parsed = parseWalHeader(header);
    assertEquals([parsed?.bigEndian, parsed?.salt1, parsed?.salt2], [bigEndian, 5, 6]);
    // The same bytes claiming the other order are no header.
    assertEquals(parseWalHeader(flipped(header, 3 * 8)), undefined);
  }
});

const chainOf = (pageSize: number, bigEndian = false): FrameChain => ({
  pageSize,
  salt1: 0xfedcba98,
  salt2: 0x01234567,
  bigEndian,
  sum: { s1: 0xdeadbeef, s2: 0x12345678 },
});

Deno.test("checkFrame() gives back what sealFrame() was given, at every page size", async (t) => {
  for (const pageSize of PAGE_SIZES) {
    for (const bigEndian of [false, true]) {
      await t.step(`${pageSize} ${bigEndian ? "big" : "little"}-endian`, () => {
        const random = new SeededRandom(pageSize);
        const frames = random.bytes(2 * (24 + pageSize));
        const writing = chainOf(pageSize, bigEndian);
        sealFrame(writing, frames, 0, { pgno: 0xfffffffe, commit: 0 });
        sealFrame(writing, frames, 24 + pageSize, { pgno: 7, commit: 9 });
        const reading = chainOf(pageSize, bigEndian);
        assertEquals(checkFrame(reading, frames, 0), { pgno: 0xfffffffe, commit: 0 });
        assertEquals(checkFrame(reading, frames, 24 + pageSize), { pgno: 7, commit: 9 });
        assertEquals(reading.sum, writing.sum);
      });
    }
  }
});

Deno.test("checkFrame() is undefined and leaves the chain when any bit is flipped", () => {
  const pageSize = 512;
  const frame = new SeededRandom(9).bytes(24 + pageSize);
  sealFrame(chainOf(pageSize), frame, 0, { pgno: 3, commit: 4 });
  for (let bit = 0; bit < frame.length * 8; bit++) {
    const chain = chainOf(pageSize);
    assertEquals(checkFrame(chain, flipped(frame, bit), 0), undefined, `bit ${bit}`);
    assertEquals(chain, chainOf(pageSize));
  }
  assert(checkFrame(chainOf(pageSize), frame, 0) !== undefined, "the frame itself is right");
});

Deno.test("checkFrame() is undefined when the frame is right but not of this chain", async (t) => {
  const pageSize = 512;
  const frame = new SeededRandom(9).bytes(24 + pageSize);
  sealFrame(chainOf(pageSize), frame, 0, { pgno: 3, commit: 4 });
  const cases: [name: string, chain: FrameChain][] = [
    ["another salt1", { ...chainOf(pageSize), salt1: 1 }],
    ["another salt2", { ...chainOf(pageSize), salt2: 1 }],
    ["another frame before it", { ...chainOf(pageSize), sum: { s1: 0xdeadbeef, s2: 1 } }],
    ["the other byte order", chainOf(pageSize, true)],
  ];
  for (const [name, chain] of cases) {
    await t.step(name, () => assertEquals(checkFrame(chain, frame, 0), undefined));
  }
  await t.step("page number 0", () => {
    sealFrame(chainOf(pageSize), frame, 0, { pgno: 0, commit: 4 });
    assertEquals(checkFrame(chainOf(pageSize), frame, 0), undefined);
  });
});

Deno.test("frameOffset() counts from 1, behind the header", () => {
  assertEquals(frameOffset(1, 4096), 32);
  assertEquals(frameOffset(3, 512), 32 + 2 * 536);
  assertEquals(frameOffset(1_000_001, 65536), 32 + 1_000_000 * 65560); // past 2^32
});

Deno.test("decodePageSize() and isPageSize() know SQLite's page sizes", () => {
  for (const pageSize of PAGE_SIZES) assert(isPageSize(pageSize));
  for (const other of [0, 1, 256, 511, 513, 4097, 131072, -512, NaN]) assert(!isPageSize(other));
  assertEquals([decodePageSize(1), decodePageSize(512), decodePageSize(32768)], [
    65536,
    512,
    32768,
  ]);
});
