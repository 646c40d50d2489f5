import {
  descend,
  formatAncestors,
  MAX_ANCESTORS,
  parseAncestors,
  placeIn,
  supersedes,
} from "../../../src/base/lineage.ts";
import { codeOf } from "../../../src/base/errors.ts";
import { type Epoch, type Position, txid } from "../../../src/base/types.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";

const at = (epoch: string, id: number): Position => ({
  epoch: epoch.padStart(16, "0") as Epoch,
  txid: txid(id),
});
const E3 = at("e3", 0).epoch;

Deno.test("placeIn() finds what both histories share, and nothing else", () => {
  const lineage = { epoch: E3, ancestors: [at("e2", 90), at("e1", 50)] };
  assertEquals(placeIn(at("e3", 95), lineage), at("e3", 95));
  assertEquals(placeIn(at("e2", 90), lineage), at("e3", 90));
  assertEquals(placeIn(at("e2", 91), lineage), undefined);
  assertEquals(placeIn(at("e1", 50), lineage), at("e3", 50));
  assertEquals(placeIn(at("e1", 51), lineage), undefined, "e2 went on without it");
  assertEquals(placeIn(at("e9", 1), lineage), undefined);
});

Deno.test("descend() shares with older histories no more than with the parent", () => {
  const older = [at("e2", 90), at("e1", 50)];
  assertEquals(descend(at("e3", 95), older), [at("e3", 95), at("e2", 90), at("e1", 50)]);
  // Promoted without a known place: nothing is shared for certain, the descent still is.
  const unknown = descend(at("e3", 0), older);
  assertEquals(unknown, [at("e3", 0), at("e2", 0), at("e1", 0)]);
  assertEquals(supersedes({ ancestors: unknown }, at("e1", 0).epoch), true);
  assertEquals(supersedes({ ancestors: unknown }, at("e9", 0).epoch), false);
  let line: readonly Position[] = [];
  for (let nth = 1; nth < 20; nth++) line = descend(at(`a${nth}`, nth), line);
  assertEquals(line.length, MAX_ANCESTORS);
});

Deno.test("parseAncestors() reads what formatAncestors() writes", () => {
  for (const ancestors of [[], [at("e1", 5)], [at("e2", 7), at("e1", 5)]]) {
    assertEquals(parseAncestors(formatAncestors(ancestors)), ancestors);
  }
  const many = formatAncestors(Array.from({ length: MAX_ANCESTORS + 1 }, () => at("e1", 1)));
  for (const text of ["x", "e1/5", many]) {
    assertEquals(codeOf(assertThrows(() => parseAncestors(text))), "bad_request", text);
  }
});
