import type { Epoch } from "../../../src/base/types.ts";
import { txid } from "../../../src/base/types.ts";
import type { Beat } from "../../../src/changes/records.ts";
import type { Report } from "../../../src/changes/source.ts";
import type { Access } from "../../../src/http/client.ts";
import {
  fits,
  formatAnswers,
  formatReport,
  formatReports,
  MAX_REPORTS_BYTES,
  parseAnswers,
  parseReport,
  takeReports,
  type Telling,
  telling,
  type Told,
} from "../../../src/http/report.ts";
import { type Reporter, Reports } from "../../../src/http/reports.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { settle } from "../../support/fake_env.ts";

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
const told = (nth: number, path = `/db/${nth}`): Telling =>
  telling({ path, replica: nth.toString(16).padStart(16, "0"), report: reportAt(nth) });

/** An upstream that answers when it is told to; `requests` are what came, lists as lists. */
function setUp({ knowsLists = true } = {}) {
  const requests: (number | number[])[] = [];
  const followed: string[] = [];
  const answers: (() => void)[] = [];
  const idOf = ({ replica }: Told): number => parseInt(replica, 16);
  const answered = (): Promise<void> => new Promise((resolve) => answers.push(resolve));
  const beat = (nth: number): Beat => ({ ...BEAT, txid: txid(nth) });
  const reporter: Reporter = {
    async reportAlone(one) {
      requests.push(idOf(one));
      await answered();
    },
    async reportTogether(all) {
      requests.push(all.map(idOf));
      await answered();
      if (!knowsLists) return undefined;
      return all.map((one) => ({ chain: `of ${idOf(one)}`, beat: beat(idOf(one)) }));
    },
    follows: (chain) => void followed.push(chain),
  };
  const answer = async (): Promise<void> => {
    for (const resolve of answers.splice(0)) resolve();
    await settle();
  };
  return { requests, followed, reporter, answer };
}

const never = new AbortController().signal;

Deno.test("Reports sends one alone and at once, what comes meanwhile together", async () => {
  const { requests, followed, reporter, answer } = setUp();
  const reports = new Reports();
  const access: Access = {};
  const sent: [number, number | undefined][] = [];
  for (const nth of [1, 2, 3, 4]) {
    void reports.send(access, reporter, told(nth), never).then((beat) => {
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
  void reports.send(access, reporter, told(5), never);
  await settle();
  assertEquals(requests.at(-1), 5, "it is idle again");
});

Deno.test("Reports sends together what comes at the same moment", async () => {
  const { requests, reporter, answer } = setUp();
  const reports = new Reports();
  const access: Access = {};
  const all = [1, 2, 3].map((nth) => reports.send(access, reporter, told(nth), never));
  await settle();
  assertEquals(requests, [[1, 2, 3]]);
  await answer();
  await Promise.all(all);
});

Deno.test("Reports tells nobody whom it followed once it follows nobody any more", async () => {
  const { followed, reporter, answer } = setUp();
  const reports = new Reports();
  const access: Access = {};
  const promoted = new AbortController();
  for (const nth of [1, 2, 3]) {
    void reports.send(access, reporter, told(nth), nth === 2 ? promoted.signal : never);
  }
  await settle();
  promoted.abort(); // while the list is on its way
  await answer();
  assertEquals(followed, ["of 1", "of 3"]);
});

Deno.test("Reports keeps upstreams apart, so one that hangs is in nobody's way", async () => {
  const { requests, reporter } = setUp();
  const reports = new Reports();
  for (const nth of [1, 2]) void reports.send({ token: "a" }, reporter, told(nth), never);
  await settle();
  assertEquals(requests, [1, 2]);
});

Deno.test("Reports sends each alone to an upstream that knows no lists", async () => {
  const { requests, reporter, answer } = setUp({ knowsLists: false });
  const reports = new Reports();
  const access: Access = {};
  const all = [1, 2, 3].map((nth) => reports.send(access, reporter, told(nth), never));
  await settle();
  for (let nth = 0; nth < 2; nth++) await answer();
  assertEquals(await Promise.all(all), [undefined, undefined, undefined]);
  assertEquals(requests, [[1, 2, 3], 1, 2, 3]);
});

Deno.test("Reports sends nothing of who has given up, and lets it go on", async () => {
  const { requests, reporter, answer } = setUp();
  const reports = new Reports();
  const access: Access = {};
  const gone = new AbortController();
  const all = [1, 2, 3, 4].map((nth) =>
    reports.send(access, reporter, told(nth), nth < 3 ? gone.signal : never)
  );
  gone.abort();
  await settle();
  await answer();
  await Promise.all(all);
  assertEquals(requests, [[3, 4]]);
});

Deno.test("a list of reports is read as it was written, and databases that are not here are left out", () => {
  const taken: [string, string, Report][] = [];
  const databaseAt = (path: string) => ({
    options: { path },
    chain: [`id of ${path}`, "above"],
    downstreams: { report: (id: string, report: Report) => void taken.push([path, id, report]) },
    beat: (id: string) => id === told(3).replica ? BEAT : undefined, // the others have no stream
  });
  const list = formatReports([told(1), told(2), told(3)]);
  const databases = [databaseAt("/db/3"), databaseAt("/db/1")];
  const answers = takeReports(list, databases, false);
  const chains = ["id of /db/1,above", "", "id of /db/3,above"];
  assertEquals(formatAnswers(answers, false), JSON.stringify(chains), "as older ones know it");
  assertEquals(parseAnswers(JSON.stringify(chains)), chains.map((chain) => ({ chain })));
  taken.length = 0;
  const more = formatAnswers(takeReports(list, databases, true), true);
  const [one, two, three] = chains.map((chain) => ({ chain }));
  assertEquals(parseAnswers(more), [one!, two!, { ...three!, beat: BEAT }]);
  assertEquals(taken, [["/db/1", told(1).replica, reportAt(1)], [
    "/db/3",
    told(3).replica,
    reportAt(3),
  ]]);
  assertEquals(parseReport(formatReport(reportAt(7))), reportAt(7));
});

Deno.test("a list that is broken anywhere is refused whole", () => {
  const taken: string[] = [];
  const database = {
    options: { path: "/db/1" },
    chain: [],
    downstreams: { report: (id: string) => void taken.push(id) },
    beat: () => undefined,
  };
  const good = formatReports([told(1)]).slice(1, -1);
  const bad = [
    "",
    "{}",
    "null",
    "[null]",
    "[7]",
    `[${good},{}]`,
    `[${good},${good.replace('"replica":"0', '"replica":"x')}]`,
    `[${good},${good.replace('"/db/1"', "7")}]`,
    `[${good},${good.replace("00000000000000e1", "e1")}]`,
  ];
  for (const text of bad) {
    assertThrows(() => takeReports(text, [database], true), /Cannot read the report/);
  }
  assertEquals(taken, []);
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
  ];
  for (const text of bad) {
    assertThrows(() => parseAnswers(text), /The answer to reports/);
  }
});

Deno.test("a list has room for what fits() says, however long paths are", () => {
  for (
    const path of ["/db", "/" + "x".repeat(900), "/" + "ü".repeat(4000), "/" + "\n".repeat(40_000)]
  ) {
    const all = Array.from({ length: 500 }, (_, nth) => told(nth, path));
    const count = fits(all);
    const bytes = (list: readonly Telling[]): number =>
      new TextEncoder().encode(formatReports(list)).length;
    assert(count === 1 || bytes(all.slice(0, count)) <= MAX_REPORTS_BYTES);
    assert(bytes(all.slice(0, count + 1)) > MAX_REPORTS_BYTES, "one more had no room");
  }
  const short = Array.from({ length: 400 }, (_, nth) => told(nth, `/data/${nth}.db`));
  for (let length = 100; length <= short.length; length++) {
    const count = fits(short.slice(0, length));
    assert(formatReports(short.slice(0, count)).length <= MAX_REPORTS_BYTES, `${length}`);
    assert(count === length || formatReports(short.slice(0, count + 1)).length > MAX_REPORTS_BYTES);
  }
  assertEquals(fits([]), 0);
  assertEquals(fits([told(1), told(2)]), 2);
});
