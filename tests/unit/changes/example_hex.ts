/**
 * An answer as it goes over the wire, which docs/PROTOCOL.md shows and example_test.ts decodes: page 2
 * of a database of two 512-byte pages (page 1 is all zeros), newer than txid 41, as of txid 42.
 * @module
 */

export interface ExampleField {
  readonly hex: string;
  readonly meaning: string;
}

export interface ExampleRecord {
  readonly name: string;
  readonly fields: readonly ExampleField[];
}

/** What page 2 begins with; the rest of it is zeros. */
export const EXAMPLE_TEXT = "one page of an answer";

export const EXAMPLE: readonly ExampleRecord[] = [
  {
    name: "begin",
    fields: [
      { hex: "18 00 00 00", meaning: "24 payload bytes" },
      { hex: "02 09 0f 27", meaning: "type 2, begin, and the header check" },
      {
        hex: "55 0c 9d 0b 46 90 e0 a3",
        meaning: "xxh64 of the payload, seeded with the 8 bytes before",
      },
      { hex: "29 00 00 00 00 00 00 00", meaning: "from txid 41" },
      { hex: "2a 00 00 00 00 00 00 00", meaning: "to txid 42, as far as is known now" },
      { hex: "01 00 00 00", meaning: "1 page will come" },
      { hex: "02 00 00 00", meaning: "the database has 2 pages" },
    ],
  },
  {
    name: "pages",
    fields: [
      { hex: "18 02 00 00", meaning: "536 payload bytes: a table of 24 and one page" },
      { hex: "03 74 29 fa", meaning: "type 3, pages" },
      { hex: "e8 7a 17 79 3c 88 22 d3", meaning: "xxh64 of the table alone" },
      { hex: "01 00 00 00", meaning: "1 page" },
      { hex: "00 02 00 00", meaning: "of 512 bytes" },
      { hex: "02 00 00 00 00 00 00 00", meaning: "page number 2, 4 bytes zero" },
      { hex: "cd 04 1f af 05 8b 7a ee", meaning: "xxh64 of the page, seeded with its number" },
      {
        hex: "6f 6e 65 20 70 61 67 65 20 6f 66 20 61 6e 20 61 6e 73 77 65 72",
        meaning: "the page",
      },
      { hex: "00 ".repeat(491).trim(), meaning: "491 bytes zero, to its end" },
    ],
  },
  {
    name: "commit",
    fields: [
      { hex: "20 00 00 00", meaning: "32 payload bytes" },
      { hex: "04 7b f9 a8", meaning: "type 4, commit" },
      { hex: "a9 f4 26 b7 2f 62 cf f9", meaning: "xxh64 of the payload" },
      { hex: "ee ff c0 00 ee ff c0 00", meaning: "epoch 00c0ffee00c0ffee" },
      { hex: "2a 00 00 00 00 00 00 00", meaning: "txid 42" },
      { hex: "cc 71 32 04 c3 99 31 07", meaning: "hash of the database: XOR of its pages' hashes" },
      { hex: "02 00 00 00", meaning: "the database has 2 pages" },
      { hex: "01 00 00 00", meaning: "1 page came" },
    ],
  },
];

/** All of it, without spaces. */
export function exampleHex(): string {
  return EXAMPLE.flatMap(({ fields }) => fields.map(({ hex }) => hex.replaceAll(" ", ""))).join("");
}
