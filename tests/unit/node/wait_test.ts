import { type Epoch, type Position, txid } from "../../../src/base/types.ts";
import { Waiters } from "../../../src/base/waiters.ts";
import { Downstreams } from "../../../src/node/downstreams.ts";
import { type WaitAnswer, waitFor, type WaitRequest } from "../../../src/node/wait.ts";
import { assertEquals } from "../../support/assert.ts";
import { fakeEnv, settle } from "../../support/fake_env.ts";

const EPOCH = "00000000000000e1" as Epoch;
const NEXT = "00000000000000e2" as Epoch;
const OTHER = "00000000000000e3" as Epoch;

/** A replica whose position moves when it is told, with replicas of its own. */
class Fixture {
  readonly env = fakeEnv();
  readonly moves = new Waiters(this.env.clock);
  readonly downstreams = new Downstreams(this.env, () => this.moves.wake());
  readonly stop = new AbortController();
  position: Position | undefined = at(5);
  past: readonly Epoch[] = [];
  parents: readonly Position[] = [];
  looks = 0;

  newest(): Position | undefined {
    this.looks++;
    return this.position;
  }
  ancestors(): readonly Position[] {
    return this.parents;
  }
  isPast(epoch: Epoch): boolean {
    return this.past.includes(epoch);
  }
  replicas() {
    return this.downstreams.status();
  }

  move(position: Position | undefined): void {
    this.position = position;
    this.moves.wake();
  }

  report(id: string, durable: number, applied: number, epoch = EPOCH): void {
    const [d, a] = [txid(durable), txid(applied)];
    this.downstreams.connect(id, "x", epoch);
    this.downstreams.report(id, { epoch, received: a, durable: d, applied: a });
  }

  wait(request: Partial<WaitRequest>): { answer: WaitAnswer | undefined } {
    const held: { answer: WaitAnswer | undefined } = { answer: undefined };
    void waitFor(this, { timeoutMs: 1000, ...request }, this.env, this.stop.signal)
      .then((answer) => held.answer = answer);
    return held;
  }
}

function at(id: number, epoch = EPOCH): Position {
  return { epoch, txid: txid(id) };
}

Deno.test("waitFor() is over at once when it is there, also without an epoch or a txid", async () => {
  const fixture = new Fixture();
  for (const target of [at(5), at(3), { txid: txid(5) }, undefined]) {
    const held = fixture.wait(target === undefined ? {} : { target });
    await settle();
    assertEquals(held.answer, { result: "ok", position: at(5) });
  }
  assertEquals(fixture.env.clock.waiting, 0);
});

Deno.test("waitFor() ends when the transaction arrives, and looks only when something moved", async () => {
  const fixture = new Fixture();
  const held = fixture.wait({ target: at(7) });
  await fixture.env.clock.advance(500);
  assertEquals(fixture.looks, 1);
  fixture.move(at(6));
  await settle();
  assertEquals(held.answer, undefined);
  fixture.move(at(8));
  await settle();
  assertEquals(held.answer, { result: "ok", position: at(8) });
});

Deno.test("waitFor() ends by its time, by nothing for ever, and when nobody listens any more", async () => {
  const fixture = new Fixture();
  const [timed, now, left] = [
    fixture.wait({ target: at(7) }),
    fixture.wait({ target: at(7), timeoutMs: 0 }),
    fixture.wait({ target: at(7), timeoutMs: 5000 }),
  ];
  await settle();
  assertEquals(now.answer, { result: "timeout", position: at(5) });
  await fixture.env.clock.advance(999);
  assertEquals(timed.answer, undefined);
  await fixture.env.clock.advance(1);
  assertEquals(timed.answer, { result: "timeout", position: at(5) });
  fixture.stop.abort();
  await settle();
  assertEquals(left.answer?.result, "timeout");
  assertEquals(fixture.env.clock.waiting, 0);
});

Deno.test("waitFor() waits for a database that is not ready yet", async () => {
  const fixture = new Fixture();
  fixture.position = undefined;
  const [named, any, never] = [
    fixture.wait({ target: at(2) }),
    fixture.wait({}),
    fixture.wait({ timeoutMs: 10 }),
  ];
  fixture.past = [EPOCH];
  await fixture.env.clock.advance(20);
  assertEquals(never.answer, { result: "timeout" });
  fixture.move(at(2));
  await settle();
  for (const held of [named, any]) {
    assertEquals(held.answer, { result: "ok", position: at(2) });
  }
});

Deno.test("waitFor() tells that an epoch is over to who names it, and only if it is known", async () => {
  const fixture = new Fixture();
  const [named, unnamed, coming] = [
    fixture.wait({ target: at(7) }),
    fixture.wait({ target: { txid: txid(7) } }),
    fixture.wait({ target: at(9, OTHER) }),
  ];
  await settle();
  fixture.past = [NEXT, EPOCH];
  fixture.move(at(6, NEXT));
  await settle();
  assertEquals(named.answer, { result: "epoch-changed", position: at(6, NEXT) });
  assertEquals(unnamed.answer, undefined);
  fixture.move(at(7, NEXT));
  await settle();
  assertEquals(unnamed.answer, { result: "ok", position: at(7, NEXT) });
  assertEquals(coming.answer, undefined); // a history that this node has not heard of yet
  fixture.move(at(9, OTHER));
  await settle();
  assertEquals(coming.answer, { result: "ok", position: at(9, OTHER) });
});

Deno.test("waitFor() counts replicas that have it, in this epoch", async () => {
  const fixture = new Fixture();
  fixture.report("a", 4, 5);
  fixture.report("b", 9, 9, NEXT);
  const applied = fixture.wait({ replicas: { count: 1, stage: "applied" } });
  const durable = fixture.wait({ replicas: { count: 1, stage: "durable" } });
  const two = fixture.wait({ replicas: { count: 2, stage: "applied" }, target: at(5) });
  await settle();
  assertEquals(applied.answer, { result: "ok", position: at(5), replicas: 1 });
  assertEquals(durable.answer, undefined);
  fixture.report("a", 5, 5);
  await settle();
  assertEquals(durable.answer, { result: "ok", position: at(5), replicas: 1 });
  assertEquals(two.answer, undefined);
  await fixture.env.clock.advance(1000);
  assertEquals(two.answer, { result: "timeout", position: at(5), replicas: 1 });
});

Deno.test("waitFor() without a txid means what was newest when it began", async () => {
  const fixture = new Fixture();
  const held = fixture.wait({ replicas: { count: 1, stage: "applied" } });
  await settle();
  fixture.move(at(50));
  fixture.report("a", 5, 5);
  await settle();
  assertEquals(held.answer, { result: "ok", position: at(50), replicas: 1 });
});

Deno.test("waitFor() finds what a promoted node took over, and tells what it did not", async () => {
  const fixture = new Fixture();
  const [taken, lost] = [fixture.wait({ target: at(7) }), fixture.wait({ target: at(8) })];
  await settle();
  fixture.past = [EPOCH];
  fixture.parents = [at(7)]; // it was promoted with the transaction 7 of the old epoch
  fixture.move(at(7, NEXT));
  await settle();
  assertEquals(taken.answer, { result: "ok", position: at(7, NEXT) });
  assertEquals(lost.answer, { result: "epoch-changed", position: at(7, NEXT) });
});
