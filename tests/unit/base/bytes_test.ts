import fc from "fast-check";
import {
  formatWords,
  parseWords,
  sameWords,
  viewOf,
  xorWords,
  ZERO_WORDS,
} from "../../../src/base/bytes.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const word = fc.nat({ max: 0xffffffff });
const words = fc.record({ high: word, low: word }, { noNullPrototype: true });

Deno.test("parseWords() gives back what formatWords() was given", () => {
  fc.assert(fc.property(words, (value) => {
    const text = formatWords(value);
    assertEquals(
      text,
      ((BigInt(value.high) << 32n) | BigInt(value.low)).toString(16).padStart(16, "0"),
    );
    assertEquals(parseWords(text), value);
  }));
});

Deno.test("parseWords() is undefined unless there are 16 hex digits", () => {
  const bad = [
    "",
    "0".repeat(15),
    "0".repeat(17),
    "G".repeat(16),
    "ABCDEF0123456789",
    " ".repeat(16),
  ];
  for (const text of bad) assertEquals(parseWords(text), undefined, text);
});

Deno.test("xorWords() is its own reverse and stays unsigned", () => {
  fc.assert(fc.property(words, words, (a, b) => {
    const both = xorWords(a, b);
    assert(both.high >= 0 && both.low >= 0);
    assertEquals(xorWords(both, b), a);
    assert(sameWords(xorWords(a, a), ZERO_WORDS));
    assertEquals(sameWords(a, b), a.high === b.high && a.low === b.low);
  }));
});

Deno.test("sameWords() differs when one word does", () => {
  assert(!sameWords({ high: 1, low: 2 }, { high: 1, low: 3 }));
  assert(!sameWords({ high: 2, low: 2 }, { high: 1, low: 2 }));
});

Deno.test("viewOf() sees the part that an array is of", () => {
  const part = new Uint8Array([9, 9, 1, 2, 3, 4, 9]).subarray(2, 6);
  assertEquals(viewOf(part).getUint32(0), 0x01020304);
  assertEquals(viewOf(part).byteLength, 4);
});
