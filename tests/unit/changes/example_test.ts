import { type Bytes, xorWords } from "../../../src/base/bytes.ts";
import { type Epoch, txid } from "../../../src/base/types.ts";
import { decode } from "../../../src/changes/decoder.ts";
import { encodeBegin, encodeCommit } from "../../../src/changes/records.ts";
import { assertEquals } from "../../support/assert.ts";
import {
  encodePages,
  hashOfPage,
  pagesHold,
  tell,
  type Told,
} from "../../support/fixtures_records.ts";
import { EXAMPLE, EXAMPLE_TEXT, exampleHex } from "./example_hex.ts";

const PAGE_1 = new Uint8Array(512);
const PAGE_2 = new Uint8Array(512);
PAGE_2.set(new TextEncoder().encode(EXAMPLE_TEXT));
const HASH = xorWords(hashOfPage(PAGE_1, 1), hashOfPage(PAGE_2, 2));
const BEGIN = { from: txid(41), to: txid(42), pages: 1, pageCount: 2 };
const COMMIT = {
  epoch: "00c0ffee00c0ffee" as Epoch,
  txid: txid(42),
  hash: HASH,
  pageCount: 2,
  sent: 1,
};

async function* chunks(): AsyncGenerator<Bytes> {
  const bytes = exampleHex().match(/../g)!.map((digits) => parseInt(digits, 16));
  yield await Promise.resolve(Uint8Array.from(bytes));
}

Deno.test("decode() reads the example of docs/PROTOCOL.md", async () => {
  const told: Told[] = [];
  for await (const record of decode(chunks())) {
    assertEquals(pagesHold(record), true);
    told.push(tell(record));
  }
  const page = { pgno: 2, hash: hashOfPage(PAGE_2, 2), page: [...PAGE_2] };
  assertEquals(told, [
    { type: "begin", ...BEGIN },
    { type: "pages", count: 1, pageSize: 512, pages: [page] },
    { type: "commit", ...COMMIT },
  ]);
  assertEquals(EXAMPLE.map(({ name }) => name), told.map(({ type }) => type as string));
});

Deno.test("the example of docs/PROTOCOL.md is what this version sends", () => {
  const sent = [
    encodeBegin(BEGIN),
    encodePages(512, [{ pgno: 2, page: PAGE_2 }]),
    encodeCommit(COMMIT),
  ];
  const hex = sent.flatMap((bytes) => [...bytes]).map((byte) => byte.toString(16).padStart(2, "0"));
  assertEquals(exampleHex(), hex.join(""));
});
