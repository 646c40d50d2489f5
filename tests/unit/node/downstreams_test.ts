import { type Epoch, txid, ZERO_TXID } from "../../../src/base/types.ts";
import { Downstreams, SILENT_MS } from "../../../src/node/downstreams.ts";
import { assertEquals } from "../../support/assert.ts";
import { fakeEnv } from "../../support/fake_env.ts";

const EPOCH = "00000000000000e1" as Epoch;
const NEXT = "00000000000000e2" as Epoch;

function setup() {
  const env = fakeEnv();
  const downstreams = new Downstreams(env);
  const connected = (): string[] =>
    downstreams.status().filter((one) => one.connected).map(({ id }) => id);
  return { env, downstreams, connected };
}

Deno.test("Downstreams shows what a replica reports, and what was sent to it", async () => {
  const { env, downstreams } = setup();
  downstreams.connect("a", "10.0.0.1:5", EPOCH);
  downstreams.sent("a", EPOCH, txid(9));
  await env.clock.advance(700);
  const report = { epoch: EPOCH, received: txid(8), durable: txid(6), applied: txid(7) };
  downstreams.report("a", report);
  assertEquals("lagMs" in downstreams.status()[0]!, false, "it does not tell");
  downstreams.report("a", { ...report, lagMs: 40 });
  await env.clock.advance(300);
  assertEquals(downstreams.status(), [{
    id: "a",
    address: "10.0.0.1:5",
    connected: true,
    epoch: EPOCH,
    sent: txid(9),
    received: txid(8),
    durable: txid(6),
    applied: txid(7),
    lagMs: 40,
    silentMs: 300,
  }]);
});

Deno.test("Downstreams tells beside its stream only whom it has a stream to", async () => {
  const { env, downstreams } = setup();
  assertEquals([downstreams.tell("a"), downstreams.beatAt("a")], [false, -Infinity]);
  const ended = downstreams.connect("a", "10.0.0.1:5", EPOCH);
  assertEquals(downstreams.beatAt("a"), -Infinity);
  await env.clock.advance(700);
  assertEquals([downstreams.tell("a"), downstreams.beatAt("a")], [true, 700]);
  ended();
  await env.clock.advance(100);
  assertEquals([downstreams.tell("a"), downstreams.beatAt("a")], [false, 700]);
});

Deno.test("Downstreams shows a replica as not connected when it is silent, until it speaks", async () => {
  const { env, downstreams, connected } = setup();
  downstreams.connect("a", "x", EPOCH);
  await env.clock.advance(SILENT_MS - 1);
  assertEquals(connected(), ["a"]);
  await env.clock.advance(1);
  assertEquals(connected(), []);
  assertEquals(downstreams.status()[0]?.silentMs, SILENT_MS);
  downstreams.report("a", { epoch: EPOCH, received: txid(1), durable: txid(1), applied: txid(1) });
  assertEquals(connected(), ["a"]);
});

Deno.test("Downstreams keeps a replica that went away, with its last positions", () => {
  const { downstreams, connected } = setup();
  const end = downstreams.connect("a", "x", EPOCH);
  downstreams.sent("a", EPOCH, txid(5));
  end();
  assertEquals(connected(), []);
  assertEquals(downstreams.status().map(({ id, sent }) => [id, sent as number]), [["a", 5]]);
  downstreams.connect("a", "y", EPOCH);
  assertEquals(downstreams.status().map(({ address, sent }) => [address, sent as number]), [[
    "y",
    5,
  ]]);
});

Deno.test("Downstreams counts two streams of one replica, as when it reconnects", () => {
  const { downstreams, connected } = setup();
  const first = downstreams.connect("a", "x", EPOCH);
  const second = downstreams.connect("a", "y", EPOCH);
  first();
  assertEquals(connected(), ["a"]);
  second();
  assertEquals(connected(), []);
});

Deno.test("Downstreams takes the epoch from whoever tells it last", () => {
  const { downstreams } = setup();
  downstreams.connect("a", "x", EPOCH);
  downstreams.sent("a", NEXT, txid(1));
  assertEquals(downstreams.status()[0]?.epoch, NEXT);
  downstreams.report("a", {
    epoch: EPOCH,
    received: ZERO_TXID,
    durable: ZERO_TXID,
    applied: ZERO_TXID,
  });
  assertEquals(downstreams.status()[0]?.epoch, EPOCH);
});

Deno.test("Downstreams enters nobody who never asked for a stream", () => {
  const { downstreams } = setup();
  downstreams.sent("a", EPOCH, txid(5));
  downstreams.report("a", { epoch: EPOCH, received: txid(1), durable: txid(1), applied: txid(1) });
  assertEquals(downstreams.status(), []);
});

Deno.test("Downstreams remembers at most 1000, and forgets none that is connected", () => {
  const { downstreams } = setup();
  downstreams.connect("stays", "x", EPOCH);
  for (let nth = 0; nth < 1500; nth++) downstreams.connect(`r${nth}`, "x", EPOCH)();
  const ids = downstreams.status().map(({ id }) => id);
  assertEquals([ids.length, ids[0], ids[1], ids.at(-1)], [1000, "stays", "r501", "r1499"]);
});
