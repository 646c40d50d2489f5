import type { Bytes } from "../../../src/base/bytes.ts";
import { type ErrorCode, httpStatus } from "../../../src/base/errors.ts";
import { lockPage, txid } from "../../../src/base/types.ts";
import { decode } from "../../../src/changes/decoder.ts";
import {
  MAX_PAYLOAD_BYTES,
  PROTOCOL_VERSION,
  type Record,
  RECORD_HEADER_BYTES,
  RECORD_PAGE_BYTES,
  TYPE,
} from "../../../src/changes/records.ts";
import { ENDPOINTS } from "../../../src/http/endpoints.ts";
import { SILENCE_MS } from "../../../src/node/follow.ts";
import { hash64 } from "../../../src/pages/hash.ts";
import { BLOCK_PAGES } from "../../../src/pages/page_index.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { EXAMPLE, exampleHex } from "../changes/example_hex.ts";

const PAGE = await Deno.readTextFile(new URL("../../../docs/PROTOCOL.md", import.meta.url));

interface Line {
  readonly bytes: readonly string[];
  /** What the bytes are; absent on a line that continues the one above. */
  readonly words?: string;
}

/** The lines of the page's one block of hex, without its headings. */
function exampleLines(): Line[] {
  const [, block] = PAGE.match(/\n```hex\n([^]*?)\n```\n/) ?? [];
  assert(block !== undefined, "there is a block of hex");
  return block.split("\n").filter((line) => !line.startsWith("#")).map((line) => {
    const match = line.match(/^((?:[0-9a-f]{2} )*[0-9a-f]{2})(?: {2,}(\S.*))?$/);
    assert(match !== null, `a line of bytes and words: ${line}`);
    const bytes = match[1]!.split(" ");
    return match[2] === undefined ? { bytes } : { bytes, words: match[2] };
  });
}

/** The rows of the table whose first head cell is `head`, cells without backticks. */
function table(head: string): string[][] {
  const start = PAGE.indexOf(`\n| ${head} `);
  assert(start >= 0, `there is a table of "${head}"`);
  const rows = PAGE.slice(start + 1).split("\n\n", 1)[0]!.trim().split("\n");
  return rows.slice(2).map((row) =>
    row.split("|").slice(1, -1).map((cell) => cell.trim().replaceAll("`", ""))
  );
}

async function* chunks(bytes: Bytes): AsyncGenerator<Bytes> {
  yield await Promise.resolve(bytes);
}

Deno.test("the example of docs/PROTOCOL.md is an answer with the fields it names", async () => {
  const hex = exampleLines().flatMap(({ bytes }) => bytes);
  const bytes = Uint8Array.from(hex, (digits) => parseInt(digits, 16));
  const records: Record[] = [];
  for await (const record of decode(chunks(bytes))) {
    if (record.type === "pages") {
      const page = record.page(0);
      assertEquals([record.count, record.pageSize, record.pgno(0)], [1, 512, 2]);
      assertEquals(new TextDecoder().decode(page.subarray(0, 21)), "one page of an answer");
      assertEquals(page.subarray(21).every((byte) => byte === 0), true, "zero to its end");
      assertEquals(record.hash(0), hash64(page.slice(), { high: 0, low: 2 }));
    }
    records.push(record);
  }
  const [begin, pages, commit] = records;
  assertEquals([records.length, pages?.type], [3, "pages"]);
  assertEquals(begin, { type: "begin", from: txid(41), to: txid(42), pages: 1, pageCount: 2 });
  assert(commit?.type === "commit");
  const { epoch, pageCount, sent } = commit;
  assertEquals([epoch, commit.txid, pageCount, sent], ["00c0ffee00c0ffee", 42, 2, 1]);
  assertEquals(commit.hash, { high: 0x073199c3, low: 0x043271cc });
});

Deno.test("the example of docs/PROTOCOL.md is the one that the encoder is tested with", () => {
  const lines = exampleLines();
  assertEquals(lines.flatMap(({ bytes }) => bytes).join(""), exampleHex());
  const words = lines.flatMap(({ words }) => words === undefined ? [] : [words]);
  const meanings = EXAMPLE.flatMap(({ fields }) => fields.map(({ meaning }) => meaning));
  assertEquals(words, meanings);
});

Deno.test("docs/PROTOCOL.md has the code's record types, version, statuses and limits", () => {
  assertEquals(
    table("Type").map(([number, name]) => [name, Number(number)]),
    Object.entries(TYPE),
  );
  assertEquals(Number(table("Version").at(-1)![0]), PROTOCOL_VERSION);
  for (const [code, status] of table("Code")) {
    assertEquals(httpStatus(code as ErrorCode), Number(status), code);
  }
  const limits = table("What").map(([, limit]) => parseInt(limit!.replaceAll(",", "")));
  assertEquals(limits.slice(0, 2), [MAX_PAYLOAD_BYTES, RECORD_PAGE_BYTES]);
  const said = [
    `begins with ${RECORD_HEADER_BYTES} bytes`,
    `gets no byte for ${SILENCE_MS / 1000} s`,
    `${BLOCK_PAGES} b + 1`,
    "2^30 / page size + 1",
  ];
  for (const words of said) assert(PAGE.replaceAll("\n", " ").includes(words), words);
  assertEquals(lockPage(4096), 2 ** 30 / 4096 + 1);
});

Deno.test("docs/PROTOCOL.md names every endpoint for replicas and its parameters", () => {
  const requests = table("Request").map(([request]) => request);
  const parameters = table("Parameter").map(([name]) => name!);
  for (const { method, path, query } of Object.values(ENDPOINTS)) {
    if (!path.startsWith("/v1/")) continue;
    assert(requests.includes(`${method} ${path}`), `${method} ${path}`);
    for (const name of Object.keys(query)) assert(parameters.includes(name), name);
  }
});
