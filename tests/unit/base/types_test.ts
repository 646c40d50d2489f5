import { codeOf } from "../../../src/base/errors.ts";
import {
  type Epoch,
  formatPosition,
  formatTxid,
  lockPage,
  parseEpoch,
  parsePosition,
  parseTxid,
  samePosition,
  txid,
} from "../../../src/base/types.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const EPOCH = "00c0ffee00c0ffee" as Epoch;

Deno.test("txid() takes safe integers from 0 only", () => {
  for (const value of [0, 1, Number.MAX_SAFE_INTEGER]) assertEquals(txid(value) as number, value);
  for (const value of [-1, 0.5, NaN, Infinity, 2 ** 53]) assertThrows(() => txid(value), /txid/);
});

Deno.test("parseTxid() gives back what formatTxid() was given", () => {
  for (const value of [0, 42, 0xffffffff, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    assertEquals(formatTxid(txid(value)).length, 16);
    assertEquals(parseTxid(formatTxid(txid(value))) as number, value);
  }
  assertEquals(formatTxid(txid(42)), "000000000000002a");
});

Deno.test("parsers of positions say bad_request when the text is not one", async (t) => {
  const cases: [name: string, parse: () => unknown][] = [
    ["a short txid", () => parseTxid("2a")],
    ["a txid past the safe integers", () => parseTxid("0020000000000000")],
    ["capitals", () => parseTxid("000000000000002A")],
    ["an epoch of zeros", () => parseEpoch("0000000000000000")],
    ["a short epoch", () => parseEpoch("1")],
    ["no slash", () => parsePosition(EPOCH)],
    ["two slashes", () => parsePosition(`${EPOCH}/${EPOCH}/${EPOCH}`)],
    ["nothing", () => parsePosition("")],
  ];
  for (const [name, parse] of cases) {
    await t.step(
      name,
      () => assertEquals(codeOf(assertThrows(parse, /Cannot read/)), "bad_request"),
    );
  }
});

Deno.test("parsePosition() gives back what formatPosition() was given", () => {
  const position = { epoch: EPOCH, txid: txid(4711) };
  assertEquals(formatPosition(position), "00c0ffee00c0ffee/0000000000001267");
  assertEquals(parsePosition(formatPosition(position)), position);
});

Deno.test("samePosition() is false when either is unknown", () => {
  const position = { epoch: EPOCH, txid: txid(1) };
  assert(samePosition(position, { ...position }));
  assert(!samePosition(position, { ...position, txid: txid(2) }));
  assert(!samePosition(position, { ...position, epoch: "00c0ffee00c0ffef" as Epoch }));
  assert(!samePosition(undefined, position) && !samePosition(position, undefined));
  assert(!samePosition(undefined, undefined));
});

Deno.test("lockPage() is the page of byte 1 GiB", () => {
  const cases = [[512, 2097153], [1024, 1048577], [4096, 262145], [65536, 16385]] as const;
  for (const [pageSize, page] of cases) assertEquals(lockPage(pageSize) as number, page);
});
