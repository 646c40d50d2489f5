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
}

/** An upstream that says a hello, and of whom each stream is counted. */
function candidate(url: string, says: { now: Says }, streams: string[]): Candidate {
  const hello = (): Bytes => {
    const { error, epoch = OLD, ancestors = [] } = says.now;
    if (error !== undefined) throw error;
    const id = "00000000000000d1" as DatabaseId;
    const place = { id, epoch, ancestors, txid: txid(7), pageSize: 512, pageCount: 1 };
    return encodeHello({ ...place, hash: { high: 1, low: 2 } });
  };
  const source: ChangeSource = {
    async *changes() {
      await Promise.resolve();
      streams.push(url);
      yield hello();
    },
    async *hashes(_request, signal) {
      if (says.now.hangs === true) {
        await new Promise((done) => signal.addEventListener("abort", done));
        throw new LiveError("upstream", `${url} was silent`);
      }
      await Promise.resolve();
      yield hello();
    },
    report: () => Promise.resolve(),
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
  return { env, a, b, upstreams, follow };
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
