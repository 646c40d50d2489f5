import type { Bytes } from "../../../src/base/bytes.ts";
import { LiveError } from "../../../src/base/errors.ts";
import { type DatabaseId, type Epoch, type Position, txid } from "../../../src/base/types.ts";
import { encodeHello } from "../../../src/changes/records.ts";
import type { ChangeSource } from "../../../src/changes/source.ts";
import { type Candidate, Upstreams } from "../../../src/node/upstreams.ts";
import { assertEquals, assertMatch, assertRejects } from "../../support/assert.ts";
import { fakeEnv, settle } from "../../support/fake_env.ts";

const OLD = "00000000000000e1" as Epoch;
const NEW = "00000000000000e2" as Epoch;

interface Says {
  readonly epoch?: Epoch;
  readonly ancestors?: readonly Position[];
  readonly error?: LiveError;
  /** It hangs until it is given up. */
  readonly hangs?: boolean;
  /** Its stream does not end by itself. */
  readonly stays?: boolean;
  readonly at?: number;
  /** Whether each hop above it is connected; undefined: it does not tell. */
  readonly above?: readonly boolean[];
}

/** An upstream that says a hello, and of whom each stream is counted. */
function candidate(url: string, says: { now: Says }, streams: string[]): Candidate {
  const hello = (): Bytes => {
    const { error, epoch = OLD, ancestors = [], at = 7 } = says.now;
    if (error !== undefined) throw error;
    const id = "00000000000000d1" as DatabaseId;
    const place = { id, epoch, ancestors, txid: txid(at), pageSize: 512, pageCount: 1 };
    return encodeHello({ ...place, hash: { high: 1, low: 2 } });
  };
  const source: ChangeSource = {
    async *changes(_request, signal) {
      await Promise.resolve();
      streams.push(url);
      yield hello();
      if (says.now.stays !== true || signal.aborted) return;
      await new Promise((done) => signal.addEventListener("abort", done));
    },
    async *hashes(_request, signal) {
      if (says.now.hangs === true) {
        await new Promise((done) => signal.addEventListener("abort", done));
        throw new LiveError("upstream", `${url} was silent`);
      }
      await Promise.resolve();
      yield hello();
    },
    report: () => Promise.resolve(undefined),
    tree: () => {
      const above = says.now.above?.map((connected) => ({ url: "x", path: "/data/db", connected }));
      return Promise.resolve(above);
    },
  };
  return { url, path: "/data/db", source };
}

function pair(first: Says, second: Says) {
  const env = fakeEnv();
  const streams: string[] = [];
  const [a, b] = [{ now: first }, { now: second }];
  const upstreams = new Upstreams([candidate("a", a, streams), candidate("b", b, streams)], env);
  /** Which one is followed in a new attempt. */
  const follow = async (): Promise<string> => {
    upstreams.renew();
    for await (const _ of upstreams.changes({}, new AbortController().signal)) { /* one hello */ }
    return streams.at(-1)!;
  };
  /** Follows, and says why that ended. */
  const stay = async (): Promise<{ readonly ended: Promise<unknown>; stop(): Promise<void> }> => {
    upstreams.renew();
    const stop = new AbortController();
    const ended = (async () => {
      for await (const _ of upstreams.changes({}, stop.signal)) { /* hello, and no more */ }
    })().catch((error: unknown) => error);
    await settle();
    return {
      ended,
      async stop() {
        stop.abort();
        assertEquals(await ended, undefined);
      },
    };
  };
  return { env, a, b, upstreams, follow, stay, streams };
}

const promoted: Says = { epoch: NEW, ancestors: [{ epoch: OLD, txid: txid(5) }] };
const down: Says = { error: new LiveError("upstream", "Cannot reach it") };

Deno.test("Upstreams follows the first that answers, in the order of the config", async () => {
  const { follow, a, upstreams } = pair({}, {});
  assertEquals(await follow(), "a");
  a.now = down;
  assertEquals(await follow(), "b");
  assertEquals(upstreams.name.url, "b");
  a.now = {};
  assertEquals(await follow(), "a");
});

Deno.test("Upstreams prefers a history that goes on from the other, wherever it stands", async () => {
  assertEquals(await pair({}, promoted).follow(), "b");
  assertEquals(await pair(promoted, {}).follow(), "a");
});

Deno.test("Upstreams asks no other one within an attempt", async () => {
  const { upstreams, a } = pair({}, {});
  const signal = new AbortController().signal;
  for await (const _ of upstreams.hashes({}, signal)) { /* it is chosen */ }
  a.now = down;
  await assertRejects(async () => {
    for await (const _ of upstreams.changes({}, signal)) { /* nothing comes */ }
  });
});

Deno.test("Upstreams passes over one that hangs, and says of each why none is followed", async () => {
  const { follow, env, b } = pair({ hangs: true }, {});
  const held = follow();
  await settle();
  await env.clock.advance(2000);
  assertEquals(await held, "b");
  b.now = down;
  const none = follow().catch((error) => error);
  await settle();
  await env.clock.advance(2000);
  assertMatch(String(await none), /No upstream can be followed: a was silent; Cannot reach it/);
  assertEquals(env.clock.waiting, 0);
});

const AT = { epoch: OLD, txid: txid(7) };

Deno.test("Upstreams leaves one that is cut off for one that is not, and stays there", async () => {
  const { upstreams, stay, follow, streams, a, b, env } = pair({ stays: true }, { above: [true] });
  const { ended } = await stay();
  upstreams.elsewhere(AT);
  assertMatch(String(await ended), /a is cut off from the primary, b is not/);
  a.now = {};
  assertEquals(streams, ["a"]);
  assertEquals(await follow(), "b");
  assertEquals(await follow(), "b", "though a answers, and is first");
  b.now = down;
  assertEquals(await follow(), "a");
  b.now = { above: [] };
  assertEquals(await follow(), "a", "the order of the config again");
  a.now = promoted;
  assertEquals([await follow(), env.clock.waiting], ["a", 0]);
});

Deno.test("Upstreams that found another one still prefers who was promoted", async () => {
  const { upstreams, stay, follow, a } = pair({ stays: true }, { above: [] });
  const { ended } = await stay();
  upstreams.elsewhere(AT);
  await ended;
  a.now = promoted;
  assertEquals(await follow(), "a");
});

Deno.test("Upstreams stays where no other one is better", async (t) => {
  const worse: [name: string, says: Says][] = [
    ["it does not answer", down],
    ["it is behind", { above: [], at: 6 }],
    ["it is cut off, too", { above: [true, false] }],
    ["it does not tell", {}],
    ["it has another history", { above: [], epoch: NEW }],
  ];
  for (const [name, says] of worse) {
    await t.step(name, async () => {
      const { upstreams, stay, env } = pair({ stays: true }, says);
      const { stop } = await stay();
      upstreams.elsewhere(AT);
      await settle();
      await stop();
      assertEquals(env.clock.waiting, 0);
    });
  }
});

Deno.test("Upstreams that looks elsewhere gives up one that hangs", async () => {
  const { upstreams, stay, env, b } = pair({ stays: true }, {});
  const { stop } = await stay();
  b.now = { hangs: true };
  upstreams.elsewhere(AT);
  await env.clock.advance(2000);
  await stop();
  assertEquals(env.clock.waiting, 0);
});

Deno.test("Upstreams looks elsewhere less and less often", async () => {
  const { upstreams, stay, env, b } = pair({ stays: true }, down);
  let asked = 0;
  Object.defineProperty(b, "now", { get: () => (asked++, down) });
  const { stop } = await stay();
  const looks: number[] = [];
  for (let second = 0; second < 200; second++) {
    asked = 0;
    upstreams.elsewhere(AT);
    await env.clock.advance(1000);
    if (asked > 0) looks.push(second);
  }
  assertEquals(looks, [0, 10, 30, 70, 130, 190]);
  await stop();
});
