import fc from "fast-check";
import type { Bytes } from "../../../src/base/bytes.ts";
import { codeOf } from "../../../src/base/errors.ts";
import {
  decodeRecord,
  MAX_PAYLOAD_BYTES,
  RECORD_PAGE_BYTES,
  TYPE,
} from "../../../src/changes/records.ts";
import { hash64 } from "../../../src/pages/hash.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import {
  encodePages,
  pagesHold,
  type Sample,
  samples,
  tell,
} from "../../support/fixtures_records.ts";

/** A record of any type and payload whose checksum is right: what only another program would send. */
function sealed(type: number, payload: Uint8Array, checked = payload.length): Bytes {
  const bytes = new Uint8Array(16 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(4, type, true);
  bytes.set(payload, 16);
  const seed = { low: payload.length, high: type };
  const { high, low } = hash64(bytes.subarray(16, 16 + checked), seed);
  view.setUint32(8, low, true);
  view.setUint32(12, high, true);
  return bytes;
}

Deno.test("decodeRecord() gives back what was encoded, of every kind", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(samples, ({ bytes, want }) => {
      const record = decodeRecord(bytes);
      assertEquals(tell(record), want);
      assert(pagesHold(record));
      seen.add(record.type);
    }),
    { numRuns: 500 },
  );
  assertEquals([...seen].sort(), Object.keys(TYPE).sort());
});

Deno.test("decodeRecord() says upstream or checksum when any bit is flipped, or a page's hash does", () => {
  const all = fc.sample(samples, { numRuns: 40, seed: 1 });
  const small: Sample[] = all.filter(({ bytes }) => bytes.length < 700);
  assert(new Set(small.map(({ want }) => want.type)).size === 7);
  for (const { bytes, want } of small) {
    for (let bit = 32; bit < bytes.length * 8; bit++) { // the length is the decoder's
      const flipped = Uint8Array.from(bytes);
      flipped[bit >>> 3]! ^= 1 << (bit & 7);
      try {
        const record = decodeRecord(flipped);
        assert(record.type === "pages" && !pagesHold(record), `bit ${bit} of ${want.type}`);
        assert(bit >= (16 + 8 + 16 * record.count) * 8, "only a page's own bytes");
      } catch (error) {
        assert(["upstream", "checksum"].includes(codeOf(error) ?? ""), `bit ${bit}: ${error}`);
      }
    }
  }
});

Deno.test("decodeRecord() says upstream when the checksum is right and the payload is not", () => {
  const payload = fc.uint8Array({ maxLength: 100 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 9 }), payload, (type, bytes) => {
      if (type === TYPE.pages) return; // its checksum covers the table only: below
      try {
        decodeRecord(sealed(type, bytes));
      } catch (error) {
        assertEquals(codeOf(error), "upstream", String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("decodeRecord() refuses what no node of this version sends", async (t) => {
  const numbers = (...words: number[]): Uint8Array =>
    new Uint8Array(Uint32Array.from(words).buffer);
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const cases: [name: string, bytes: Bytes, pattern: RegExp][] = [
    ["type 0", sealed(0, new Uint8Array(8)), /unknown type 0/],
    ["type 8", sealed(8, new Uint8Array(8)), /unknown type 8/],
    ["type 255", sealed(255, new Uint8Array(8)), /unknown type 255/],
    ["an empty begin", sealed(TYPE.begin, new Uint8Array(0)), /type 2/],
    ["a commit that is cut", sealed(TYPE.commit, new Uint8Array(31)), /type 4/],
    [
      "a txid past the safe integers",
      sealed(TYPE.begin, numbers(0, 0x200000, 0, 0, 0, 0)),
      /type 2/,
    ],
    [
      "another protocol",
      sealed(TYPE.hello, numbers(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)), //
      /it speaks protocol 2, this node 1/,
    ],
    ["an error that is not JSON", sealed(TYPE.error, text("{")), /not JSON/],
    ["an error that is null", sealed(TYPE.error, text("null")), /not JSON/],
    [
      "fewer hashes than counted",
      sealed(TYPE.hashes, numbers(0, 0, 0, 0, 9, 0, 0, 2, 1, 1)), //
      /hashes record of a wrong length/,
    ],
    [
      "4 billion hashes",
      sealed(TYPE.hashes, numbers(0, 0, 0, 0, 9, 0, 0, 0xffffffff)), //
      /hashes record of a wrong length/,
    ],
    ["no page table", sealed(TYPE.pages, numbers(1)), /without a table/],
    ["4 billion pages", sealed(TYPE.pages, numbers(0xffffffff, 512)), /shorter than its table/],
    [
      "a page that is cut",
      sealed(
        TYPE.pages,
        new Uint8Array([
          ...numbers(1, 512, 1, 0, 0, 0),
          ...new Uint8Array(511),
        ]),
        24,
      ),
      /pages record of a wrong length/,
    ],
    [
      "a page and a byte",
      sealed(
        TYPE.pages,
        new Uint8Array([
          ...numbers(1, 512, 1, 0, 0, 0),
          ...new Uint8Array(513),
        ]),
        24,
      ),
      /pages record of a wrong length/,
    ],
  ];
  for (const [name, bytes, pattern] of cases) {
    await t.step(name, () => {
      assertEquals(codeOf(assertThrows(() => decodeRecord(bytes), pattern)), "upstream");
    });
  }
});

Deno.test("a record's largest payload is within the limit, at every page size", () => {
  for (let pageSize = 512; pageSize <= 65536; pageSize *= 2) {
    const count = RECORD_PAGE_BYTES / pageSize;
    const page = new Uint8Array(pageSize);
    const bytes = encodePages(
      pageSize,
      Array.from({ length: count }, (_, nth) => ({ pgno: nth + 1, page })),
    );
    assert(bytes.length - 16 <= MAX_PAYLOAD_BYTES);
    assertEquals(new DataView(bytes.buffer).getUint32(0, true), bytes.length - 16);
  }
});

Deno.test("a pages record's pages are views, so a large one is not copied", () => {
  const page = new Uint8Array(512).fill(7);
  const bytes = encodePages(512, [{ pgno: 3, page }]);
  const record = decodeRecord(bytes);
  assert(record.type === "pages" && record.page(0).buffer === bytes.buffer);
});
