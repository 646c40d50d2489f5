import { type Epoch, txid } from "../../../src/base/types.ts";
import {
  type Branch,
  formatBranches,
  parseAbove,
  parseBranches,
} from "../../../src/changes/tree.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const EPOCH = "00000000000000e1" as Epoch;

function branch(address: string, replicas?: readonly Branch[]): Branch {
  const place = { epoch: EPOCH, applied: txid(7), silentMs: 3 };
  return { address, connected: true, ...place, ...(replicas && { replicas }) };
}

Deno.test("a tree of replicas comes out as it was told", () => {
  const tree = [branch("a", [branch("b"), { ...branch("c"), lagMs: 9, connected: false }])];
  assertEquals(parseBranches(formatBranches(tree)), tree);
  assertEquals(parseBranches("[]"), []);
});

Deno.test("a tree that is too large or too deep is cut where it is told", () => {
  const many = Array.from({ length: 500 }, (_, nth) => branch(`${nth}`));
  assertEquals(parseBranches(formatBranches(many)).length, 200);
  let deep = branch("end");
  for (let nth = 0; nth < 20; nth++) deep = branch(`${nth}`, [deep]);
  let depth = 0;
  for (let at = parseBranches(formatBranches([deep])); at.length > 0; depth++) {
    at = at[0]!.replicas ?? [];
  }
  assertEquals(depth, 7);
  const wide = [branch("a", many), branch("b", many)];
  assert(JSON.stringify(parseBranches(formatBranches(wide))).length < 128 * 1024);
});

Deno.test("a tree that a stranger sends is refused if it is none, too large or too deep", () => {
  const good = JSON.parse(formatBranches([branch("a")]))[0];
  let deep: unknown = [good];
  for (let nth = 0; nth < 7; nth++) deep = [{ ...good, replicas: deep }];
  for (
    const bad of [
      null,
      {},
      "[]",
      [null],
      [1],
      [{}],
      [{ ...good, address: "x".repeat(301) }],
      [{ ...good, address: 5 }],
      [{ ...good, epoch: "none" }],
      [{ ...good, applied: -1 }],
      [{ ...good, silentMs: "1" }],
      [{ ...good, silentMs: -1 }],
      [{ ...good, lagMs: 0.5 }],
      [{ ...good, replicas: {} }],
      Array(201).fill(good),
      Array(15).fill({ ...good, replicas: Array(15).fill(good) }),
      deep,
    ]
  ) {
    assertThrows(() => parseBranches(JSON.stringify(bad)), /Cannot read the tree/);
  }
  assertThrows(() => parseBranches("[".repeat(100_000)));
});

Deno.test("those above are read within bounds", () => {
  const one = { url: "http://a:9090", path: "/data/db", connected: true };
  assertEquals(parseAbove(JSON.stringify([{ ...one, more: 1 }])), [one]);
  for (const bad of [{}, Array(8).fill(one), [{ ...one, url: 1 }], [null]]) {
    assertThrows(() => parseAbove(JSON.stringify(bad)));
  }
});
