import type { Epoch } from "../../../src/base/types.ts";
import { txid } from "../../../src/base/types.ts";
import type { Beat } from "../../../src/changes/records.ts";
import type { Report } from "../../../src/changes/source.ts";
import type { Item, Numbered, Told } from "../../../src/http/report.ts";
import { parseTurn, Sessions } from "../../../src/http/sessions.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { fakeEnv } from "../../support/fake_env.ts";

const EPOCH = "00000000000000e1" as Epoch;
const ID = "00000000000000aa";

const told = (id: number, at = 0): Told => ({
  path: `/db/${id}`,
  replica: `${id}`,
  report: { epoch: EPOCH, received: txid(at), durable: txid(at), applied: txid(at), lagMs: 0 },
});
const first = (id: number, at = 0): Item => ({ nth: id, told: told(id, at) });

/** Databases /db/1 to /db/3; to number 3 there is no stream. */
function setUp() {
  const { clock } = fakeEnv();
  const sessions = new Sessions(clock);
  const taken: [path: string, id: string, applied: number][] = [];
  const at = new Map([1, 2, 3].map((id) => [`/db/${id}`, 7]));
  const databases = new Map([...at.keys()].map((path) => [path, {
    options: { path },
    chain: [`id of ${path}`, "above"],
    downstreams: {
      report: (id: string, { applied }: Report) => void taken.push([path, id, applied]),
    },
    beat: (id: string): Beat | undefined => {
      if (id === "3") return undefined;
      return { epoch: EPOCH, txid: txid(at.get(path)!), hash: { high: 1, low: 2 }, staleMs: 0 };
    },
  }]));
  const turns = new Map<string, number>();
  const take = (items: readonly Item[], id = ID, beats = true, nth = turns.get(id) ?? 0) => {
    const answer = sessions.take(items, databases, beats, id === "" ? undefined : { id, nth });
    turns.set(id, answer.kept ? nth + 1 : 0);
    return answer;
  };
  return { clock, at, databases, taken, take };
}

const numbers = (answers: readonly Numbered[]): (number | undefined)[] =>
  answers.map(({ nth }) => nth);

Deno.test("Sessions answers what has changed, and takes what is named by a number", () => {
  const { at, taken, take, databases } = setUp();
  const all = take([first(1, 4), first(2, 5), first(3, 6)]);
  assertEquals(all.kept, true);
  assertEquals(all.answers.map(({ nth, chain, beat }) => [nth, chain, beat?.txid as number]), [
    [1, "id of /db/1,above", 7],
    [2, "id of /db/2,above", 7],
    [3, "id of /db/3,above", undefined],
  ]);
  const [one, two, three] = taken.splice(0);
  assertEquals([one, two, three], [["/db/1", "1", 4], ["/db/2", "2", 5], ["/db/3", "3", 6]]);
  assertEquals(take([{ first: 1, count: 3 }]), { answers: [], kept: true });
  assertEquals(taken.splice(0), [one, two, three], "each was heard of");
  at.set("/db/2", 8);
  assertEquals(numbers(take([{ first: 1, count: 3 }]).answers), [2]);
  at.set("/db/2", 9);
  at.set("/db/1", 9);
  assertEquals(numbers(take([first(2, 8), { first: 3, count: 1 }]).answers), [2]);
  assertEquals(numbers(take([{ first: 1, count: 2 }]).answers), [1], "it had not been asked for");
  assertEquals(taken.at(-1), ["/db/2", "2", 8], "what it told last");
  databases.delete("/db/1");
  assertEquals(take([{ first: 1, count: 2 }]).answers, [{ nth: 1, chain: "" }]);
});

Deno.test("Sessions takes nothing of a list that names what was not told in this session", () => {
  const { taken, take, clock } = setUp();
  take([first(1)]);
  taken.length = 0;
  const lists: Item[][] = [[first(2), { first: 1, count: 2 }], [first(1, 9), {
    first: 0,
    count: 1,
  }]];
  for (const list of lists) assertThrows(() => take(list), /Nothing was told as number/);
  assertThrows(() => take([{ first: 1, count: 1 }], "00000000000000bb"), /as number 1/);
  assertThrows(() => take([{ first: 1, count: 1 }], ""), /as number 1/);
  assertEquals(taken, []);
  assertEquals(take([{ first: 1, count: 1 }]).kept, true, "what there was is there");
  return clock.advance(10_001).then(() => {
    assertThrows(() => take([{ first: 1, count: 1 }]), /List 2 of this session/);
  });
});

Deno.test("Sessions keeps nothing for who does not ask for it, or gives no numbers", () => {
  const { take } = setUp();
  const items: Item[] = [{ told: told(1) }, { told: told(2) }];
  for (const [id, beats] of [[ID, true], ["", true], [ID, false]] as const) {
    const { answers, kept } = take(items, id, beats);
    assertEquals([kept, numbers(answers)], [false, [undefined, undefined]]);
    assertEquals(answers.some(({ beat }) => beat !== undefined), beats);
  }
  assertEquals(take([first(1), { told: told(2) }]).kept, false, "or not of all");
});

Deno.test("Sessions keeps no more than so much, and answers all the same", () => {
  const { take, clock } = setUp();
  const long = (nth: number): Item => ({ nth, told: { ...told(1), path: "x".repeat(500_000) } });
  let kept = 0;
  while (take([long(1)], `session ${kept}`).kept) kept++;
  assert(kept >= 10 && kept < 20, `${kept}`);
  assertEquals(take([first(1)], "another").kept, true, "a short one has room");
  const { answers } = take([{ first: 1, count: 1 }, long(2)], "session 0");
  assertEquals(answers, [{ chain: "" }, { chain: "" }], "in order, as without a session");
  assertThrows(() => take([{ first: 1, count: 1 }], "session 0"), /as number 1/);
  assertEquals(take([long(1)], "session 0").kept, true, "its room is free");
  return clock.advance(10_001).then(() => assertEquals(take([long(1)], "new").kept, true));
});

Deno.test("Sessions takes lists in their turn: one that comes twice ends the session", () => {
  const { at, taken, take } = setUp();
  take([first(1), first(2)]);
  at.set("/db/1", 8);
  assertEquals(numbers(take([{ first: 1, count: 2 }]).answers), [1]); // a proxy asks, and asks again
  taken.length = 0;
  assertThrows(() => take([{ first: 1, count: 2 }], ID, true, 1), /List 1 of this session/);
  assertThrows(() => take([{ first: 1, count: 2 }], ID, true, 2), /List 2 of this session/);
  assertThrows(() => take([first(1)], "00000000000000bb", true, 1), /List 1 of this session/);
  assertEquals(taken, []);
  assertEquals(numbers(take([first(1)], ID, true, 0).answers), [1], "it is another session now");
});

Deno.test("parseTurn() reads what a replica's process says, and nothing else", () => {
  assertEquals(parseTurn(`${ID}/0`), { id: ID, nth: 0 });
  assertEquals(parseTurn(`${ID}/123456789012345`), { id: ID, nth: 123456789012345 });
  for (const text of ["", ID, `${ID}/`, `/${ID}`, `${ID}/-1`, `${ID}/1e3`, `${ID}0/1`, "x/1"]) {
    assertThrows(() => parseTurn(text), /Cannot read session=.*must be like/);
  }
});
