import type { Epoch } from "../../../src/base/types.ts";
import { txid } from "../../../src/base/types.ts";
import type { Beat } from "../../../src/changes/records.ts";
import type { Report } from "../../../src/changes/source.ts";
import type { Access } from "../../../src/http/client.ts";
import {
  formatAnswers,
  formatReport,
  ListText,
  MAX_REPORTS_BYTES,
  parseAnswers,
  parseList,
  parseReport,
  type Told,
} from "../../../src/http/report.ts";
import { type Answers, type Reporter, Reports } from "../../../src/http/reports.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { fakeEnv, settle } from "../../support/fake_env.ts";

const reportAt = (id: number): Report => ({
  epoch: "00000000000000e1" as Epoch,
  received: txid(id),
  durable: txid(id),
  applied: txid(id),
  lagMs: 5,
});
const BEAT: Beat = {
  epoch: "00000000000000e1" as Epoch,
  txid: txid(9),
  hash: { high: 7, low: 8 },
  staleMs: 7,
};
const told = (id: number, path = `/db/${id}`): Told => ({
  path,
  replica: id.toString(16).padStart(16, "0"),
  report: reportAt(id),
});
const idOf = ({ replica }: Told): number => parseInt(replica, 16);

/** What it knows of lists: nothing, no sessions, or both; "lost": nobody knows what became of one. */
type Knows = "one" | "lists" | "sessions" | "lost";

/**
 * An upstream that answers when it is told to. `requests` are what came: the id of one, or what a list
 * has: ids, and [first, count] of what is as it was.
 */
function setUp(knows: Knows = "lists") {
  const requests: (number | (number | number[])[])[] = [];
  const sessions: string[] = [];
  const followed: string[] = [];
  const answers: (() => void)[] = [];
  const answered = (): Promise<void> => new Promise((resolve) => answers.push(resolve));
  const upstream = { knows, says: undefined as Answers | undefined };
  const beat = (nth: number): Beat => ({ ...BEAT, txid: txid(nth) });
  const told = (list: string) => {
    const items = parseList(list);
    requests.push(items.map((item) => "told" in item ? idOf(item.told) : [item.first, item.count]));
    return items.flatMap((item) => "told" in item ? [item] : []);
  };
  /** Of one database. */
  const reporter = (): Reporter => ({
    async reportAlone(one) {
      requests.push(idOf(one));
      await answered();
    },
    async reportTogether(list, session) {
      const all = told(list);
      sessions.push(session);
      await answered();
      if (upstream.knows === "one") return "unknown";
      if (upstream.knows === "lost") return "lost";
      const kept = upstream.knows === "sessions";
      const answers = all.map(({ told, nth }) => ({
        ...(kept ? { nth: nth! } : {}),
        chain: `of ${idOf(told)}`,
        beat: beat(idOf(told)),
      }));
      return upstream.says ?? { answers, kept };
    },
    follows: (chain) => void followed.push(chain),
  });
  const answer = async (): Promise<void> => {
    for (const resolve of answers.splice(0)) resolve();
    await settle();
  };
  const reporters = Array.from({ length: 10 }, reporter);
  const reports = new Reports(fakeEnv().random);
  return { requests, sessions, followed, reporters, reports, upstream, answer };
}

const never = new AbortController().signal;

/** Resolves with where the upstream says it is. */
function send(
  reports: Reports,
  access: Access,
  by: Reporter,
  one: Told,
  signal: AbortSignal,
): Promise<Beat | undefined> {
  return new Promise((resolve) => reports.send(access, by, one, signal, resolve));
}

Deno.test("Reports sends one alone and at once, what comes meanwhile together", async () => {
  const { requests, followed, reporters, reports, answer } = setUp();
  const access: Access = {};
  const sent: [number, number | undefined][] = [];
  for (const nth of [1, 2, 3, 4]) {
    void send(reports, access, reporters[nth]!, told(nth), never).then((beat) => {
      sent.push([nth, beat?.txid]);
    });
    await settle();
  }
  assertEquals([requests, sent], [[1], []]);
  await answer();
  assertEquals([requests, sent], [[1, [2, 3, 4]], [[1, undefined]]]);
  await answer();
  assertEquals(sent, [[1, undefined], [2, 2], [3, 3], [4, 4]], "and who answers says where it is");
  assertEquals(followed, ["of 2", "of 3", "of 4"]);
  void send(reports, access, reporters[5]!, told(5), never);
  await settle();
  assertEquals(requests.at(-1), 5, "it is idle again");
});

Deno.test("Reports sends together what comes at the same moment", async () => {
  const { requests, reporters, reports, answer } = setUp();
  const access: Access = {};
  const all = [1, 2, 3].map((nth) => send(reports, access, reporters[nth]!, told(nth), never));
  await settle();
  assertEquals(requests, [[1, 2, 3]]);
  await answer();
  await Promise.all(all);
});

Deno.test("Reports tells nobody whom it followed once it follows nobody any more", async () => {
  const { followed, reporters, reports, answer } = setUp();
  const access: Access = {};
  const promoted = new AbortController();
  for (const nth of [1, 2, 3]) {
    const signal = nth === 2 ? promoted.signal : never;
    void send(reports, access, reporters[nth]!, told(nth), signal);
  }
  await settle();
  promoted.abort(); // while the list is on its way
  await answer();
  assertEquals(followed, ["of 1", "of 3"]);
});

Deno.test("Reports keeps upstreams apart, so one that hangs is in nobody's way", async () => {
  const { requests, reporters, reports } = setUp();
  for (const nth of [1, 2]) void send(reports, { token: "a" }, reporters[nth]!, told(nth), never);
  await settle();
  assertEquals(requests, [1, 2]);
});

Deno.test("Reports sends each alone to an upstream that knows no lists", async () => {
  const { requests, reporters, reports, answer } = setUp("one");
  const access: Access = {};
  const all = [1, 2, 3].map((nth) => send(reports, access, reporters[nth]!, told(nth), never));
  await settle();
  for (let nth = 0; nth < 2; nth++) await answer();
  assertEquals(await Promise.all(all), [undefined, undefined, undefined]);
  assertEquals(requests, [[1, 2, 3], 1, 2, 3]);
});

Deno.test("Reports sends nothing of who has given up, and lets it go on", async () => {
  const { requests, reporters, reports, answer } = setUp();
  const access: Access = {};
  const gone = new AbortController();
  const all = [1, 2, 3, 4].map((nth) =>
    send(reports, access, reporters[nth]!, told(nth), nth < 3 ? gone.signal : never)
  );
  gone.abort();
  await settle();
  await answer();
  await Promise.all(all);
  assertEquals(requests, [[3, 4]]);
});

Deno.test("Reports takes what is told anew by who is just let go", async () => {
  const { requests, reporters, reports, answer } = setUp();
  const access: Access = {};
  const gone = new AbortController();
  for (const nth of [1, 2]) {
    reports.send(access, reporters[nth]!, told(nth), gone.signal, () => { // as on a new connection
      reports.send(access, reporters[nth]!, told(nth + 4), never, () => {});
    });
  }
  gone.abort();
  await settle();
  await answer();
  assertEquals(requests, [[5, 6]]);
});

Deno.test("Reports tells nothing twice in a session, and hears only what has changed", async () => {
  const { requests, sessions, followed, reporters, reports, upstream, answer } = setUp("sessions");
  const access: Access = {};
  const all = [told(1), told(2), told(3), told(4)];
  /** All of them report; returns where they learn the upstream is. */
  const report = async (which = all): Promise<(number | undefined)[]> => {
    const sent = which.map((one) => send(reports, access, reporters[idOf(one)]!, one, never));
    await settle();
    await answer();
    return (await Promise.all(sent)).map((beat) => beat?.txid);
  };
  assertEquals(await report(), [1, 2, 3, 4]);
  assertEquals(await report(), [1, 2, 3, 4], "as the last time");
  all[2] = told(3); // another report
  upstream.says = {
    answers: [{ nth: 2, chain: "another", beat: { ...BEAT, txid: txid(9) } }],
    kept: true,
  };
  assertEquals(await report(), [1, 2, 9, 4]);
  upstream.says = { answers: [{ nth: 2, chain: "another" }], kept: true };
  assertEquals(await report([all[3]!, all[2]!]), [4, undefined], "its stream has ended");
  assertEquals(
    requests,
    [[1, 2, 3, 4], [[0, 4]], [[0, 2], 3, [3, 1]], [[2, 2]]],
    "in the order of their numbers",
  );
  assertEquals(followed, ["of 1", "of 2", "of 3", "of 4", "another"], "who says what it said");
  const [id] = sessions[0]!.split("/");
  assertEquals(sessions, [0, 1, 2, 3].map((turn) => `${id}/${turn}`));
  requests.length = 0;
  upstream.says = undefined;
  upstream.knows = "lost";
  assertEquals(await report(), [undefined, undefined, undefined, undefined]);
  upstream.knows = "sessions";
  assertEquals(await report(), [1, 2, 3, 4], "from the beginning, in another session");
  const inOrder = all.map((one) => ({ chain: "", beat: { ...BEAT, txid: txid(idOf(one) + 1) } }));
  upstream.says = { answers: inOrder, kept: false };
  assertEquals(await report(), [2, 3, 4, 5], "it has no room for the session any more");
  upstream.says = undefined;
  assertEquals(await report(), [1, 2, 3, 4]);
  const whole = [1, 2, 3, 4];
  assertEquals(requests, [[[0, 4]], whole, [[0, 4]], whole]);
  assertEquals(sessions.slice(4).map((turn) => turn.split("/")[1]), ["4", "0", "1", "0"]);
  assertEquals(new Set(sessions.map((turn) => turn.split("/")[0])).size, 3);
});

const listOf = (all: readonly Told[]): ListText => {
  const list = new ListText();
  for (const [nth, one] of all.entries()) assert(list.add(nth, one));
  return list;
};

Deno.test("a list of reports is read as it was written", () => {
  const list = listOf([told(1), told(2)]);
  for (const nth of [2, 3, 4, 9, 7, 8]) assert(list.add(nth));
  assert(list.add(5, told(5)));
  assertEquals(parseList(String(list)), [
    { nth: 0, told: told(1) },
    { nth: 1, told: told(2) },
    { first: 2, count: 3 },
    { first: 9, count: 1 },
    { first: 7, count: 2 },
    { nth: 5, told: told(5) },
  ]);
  const { path, replica, report } = told(7);
  const old = JSON.stringify([{ path, replica, ...JSON.parse(formatReport(report)) }]);
  assertEquals(parseList(old), [{ told: told(7) }], "of an older replica");
  assertEquals(parseReport(formatReport(report)), report);
  assertEquals(String(new ListText()), "[]");
});

Deno.test("answers are read as they were written, those of older upstreams, too", () => {
  const answers = [{ chain: "a,b" }, { nth: 7, chain: "" }, { nth: 0, chain: "c", beat: BEAT }];
  assertEquals(parseAnswers(formatAnswers(answers, true)), answers);
  const chains = ["a,b", "", "c"];
  assertEquals(formatAnswers(answers, false), JSON.stringify(chains), "as older replicas know it");
  assertEquals(parseAnswers(JSON.stringify(chains)), chains.map((chain) => ({ chain })));
});

Deno.test("a list that is broken anywhere is refused whole", () => {
  const good = String(listOf([told(1)])).slice(1, -1);
  const bad = [
    "",
    "{}",
    "null",
    "[null]",
    "[7]",
    "[[7]]",
    "[[-1,1]]",
    "[[0,1.5]]",
    "[[1,9999.0,1],[1,10000]]",
    '[["0",1]]',
    "[[9999,2]]",
    "[[0,6000],[0,6000]]",
    `[${good},{}]`,
    `[${good.replace('"nth":0', '"nth":"0"')}]`,
    `[${good.replace('"nth":0', '"nth":10000')}]`,
    `[${good},${good.replace('"replica":"0', '"replica":"x')}]`,
    `[${good},${good.replace('"/db/1"', "7")}]`,
    `[${good},${good.replace("00000000000000e1", "e1")}]`,
  ];
  for (const text of bad) assertThrows(() => parseList(text), /Cannot read the report/);
});

Deno.test("answers that are broken are refused", () => {
  const good = formatAnswers([{ chain: "a", beat: BEAT }], true);
  const bad = [
    "",
    "{}",
    "[null]",
    good.replace(BEAT.epoch, "e1"),
    good.replace('"txid":"0', '"txid":"x'),
    good.replace('"hash":"0', '"hash":"'),
    good.replace('"staleMs":7', '"staleMs":-7'),
    good.replace('"staleMs":7', '"staleMs":"7"'),
    good.replace('"chain"', '"nth":-1,"chain"'),
  ];
  for (const text of bad) {
    assertThrows(() => parseAnswers(text), /The answer to reports/);
  }
});

Deno.test("a list is never longer than MAX_REPORTS_BYTES, however long paths are", () => {
  const bytes = (list: ListText): number => new TextEncoder().encode(String(list)).length;
  for (
    const path of ["/db", "/" + "x".repeat(900), "/" + "ü".repeat(4000), "/" + "\n".repeat(40_000)]
  ) {
    const list = new ListText();
    let count = 0;
    while (list.add(count, told(count, path))) count++;
    assert(count === 1 || bytes(list) <= MAX_REPORTS_BYTES);
    const more = listOf(Array.from({ length: count }, (_, nth) => told(nth, path)));
    assert(bytes(more) + bytes(listOf([told(count, path)])) > MAX_REPORTS_BYTES, "one more");
  }
  const list = new ListText();
  for (let nth = 9998; list.add(nth); nth -= 2);
  assert(bytes(list) <= MAX_REPORTS_BYTES && bytes(list) > MAX_REPORTS_BYTES / 2);
  const all = new ListText();
  for (let nth = 0; nth < 10_000; nth++) assert(all.add(nth));
  assertEquals(String(all), "[[0,10000]]");
});
