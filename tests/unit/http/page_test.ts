import { createHash } from "node:crypto";
import fc from "fast-check";
import { ROOT } from "../../../scripts/tools.ts";
import { makePage } from "../../../src/http/page.ts";
import {
  ageText,
  bytesText,
  type DatabaseJson,
  databaseMark,
  eventText,
  type History,
  historyMs,
  lagOf,
  linePath,
  remember,
  replicaMark,
  scaleTop,
  summary,
} from "../../../src/http/page_model.ts";
import { bodyView, type View } from "../../../src/http/page_view.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";

const page = makePage();
const policy = page.headers["content-security-policy"]!;
const inside = (tag: string): string[] =>
  [...page.html.matchAll(new RegExp(`<${tag}>([^]*?)</${tag}>`, "g"))].map(([, text]) => text!);

Deno.test("the page's policy allows its own script and style, and nothing else", () => {
  for (const [tag, directive] of [["script", "script-src"], ["style", "style-src"]] as const) {
    const [text, ...more] = inside(tag);
    assertEquals(more, []);
    const digest = createHash("sha256").update(text!).digest("base64");
    assert(policy.split("; ").includes(`${directive} 'sha256-${digest}'`), tag);
  }
  assertMatch(policy, /^default-src 'none'; /);
  assert(!/unsafe|\*|https?:/.test(policy), policy);
});

Deno.test("the page asks nobody but its node", () => {
  const urls = page.html.match(/\b(?:https?|wss?):\/\/[^\s"'`)]+/g) ?? [];
  assertEquals([...new Set(urls)].filter((url) => !url.startsWith("http://www.w3.org/")), []);
  assertEquals(page.html.match(/@import|url\(|<(?:script|img|iframe|link)[^>]*\bsrc=/g), null);
  assertEquals(page.html.match(/ (?:style|on\w+)=/g), null, "the policy would not allow it");
});

Deno.test("the page's script is whole: every function that its modules define is sent", async () => {
  const [script] = inside("script");
  new Function(script!); // it can be parsed
  for (const name of ["page_app", "page_model", "page_view"]) {
    const source = await Deno.readTextFile(`${ROOT}src/http/${name}.ts`);
    const outside = source.split("\n").filter((line) => /^(?:const|let|var|class)\b/.test(line));
    assertEquals(outside, [], `${name}: only functions are sent`);
    for (const [, name] of source.matchAll(/^(?:export )?(?:async )?function (\w+)/gm)) {
      assert(new RegExp(`function ${name}\\(`).test(script!), `${name} is not sent`);
    }
  }
  assert(!/innerHTML|insertAdjacent|document\.write|\beval\b/.test(script!));
});

const A = "00000000000000aa";
const hex = (value: number): string => value.toString(16).padStart(16, "0");

function database(change: Partial<DatabaseJson> = {}): DatabaseJson {
  const replica = { id: "1", address: "10.0.0.2:1", connected: true, epoch: A, silentMs: 10 };
  return {
    path: "/a.db",
    role: "primary",
    state: "serving",
    epoch: A,
    txid: hex(10),
    replicas: [{ ...replica, applied: hex(8), lagMs: 20 }],
    ...change,
  };
}

const node = (...databases: DatabaseJson[]) => ({ version: "1", uptimeMs: 1, databases });

Deno.test("databaseMark() and summary() name the worst", async (t) => {
  const lag = { txids: 0, bytes: 0, ms: 6000 };
  const upstream = { url: "http://a", path: "/a.db", connected: true, lag };
  const cases: [change: Partial<DatabaseJson>, shape: string, word: RegExp][] = [
    [{}, "ok", /^serving$/],
    [{ state: "failed", trouble: "x" }, "bad", /^failed$/],
    [{ state: "copying" }, "busy", /^copying$/],
    [{ trouble: "cannot sync" }, "warn", /trouble/],
    [{ state: "streaming", role: "replica", upstream }, "warn", /late/],
  ];
  for (const [change, shape, word] of cases) {
    await t.step(word.source, () => {
      const mark = databaseMark(database(change));
      assertEquals<string>(mark.shape, shape);
      assertMatch(mark.word, word);
      assertEquals<string>(summary(node(database(), database(change))).shape, shape);
    });
  }
  const [replica] = database().replicas;
  const gone = database({ replicas: [{ ...replica!, connected: false, silentMs: 9000 }] });
  assertEquals(summary(node(gone)).word, "1 database live, 1 replica gone");
  assertEquals(replicaMark(gone, gone.replicas[0]!), { shape: "gone", word: "gone" });
  const late = database({ replicas: [replica!, { ...replica!, lagMs: 5001 }] });
  const { lagMs: _, ...silent } = replica!; // of a version that does not tell
  assertEquals(replicaMark(late, late.replicas[1]!), { shape: "warn", word: "connected, late" });
  assertEquals(
    [database(), gone, late, database({ replicas: [silent] })].map(lagOf),
    [20, undefined, 5001, undefined],
  );
});

Deno.test("remember() knows rates, gaps, another epoch, and forgets after five minutes", () => {
  const history: History = new Map();
  remember(history, node(database()), 0);
  remember(history, node(database({ txid: hex(60) })), 1000);
  remember(history, undefined, 2000);
  remember(history, node(database({ txid: hex(99) })), 3000);
  remember(history, node(database({ txid: hex(3), epoch: "bb" })), 4000);
  const rates = history.get("/a.db")!.map(({ rate }) => rate);
  assertEquals(rates, [undefined, 50, undefined, undefined, undefined]);
  remember(history, node(database()), 3500 + historyMs());
  assertEquals(history.get("/a.db")!.length, 2);
  remember(history, node(), 4000 + historyMs());
  assertEquals(history.size, 0, "a database that is not there any more");
});

Deno.test("remember() knows bytes a second, but not over a restart of the node or a gap", () => {
  const history: History = new Map();
  const at = (walBytes: number): DatabaseJson => database({ counters: { walBytes } });
  remember(history, node(at(1000)), 0);
  remember(history, node(at(5000)), 2000);
  remember(history, node(at(10)), 3000);
  remember(history, undefined, 4000);
  remember(history, node(at(20)), 5000);
  const bytes = history.get("/a.db")!.map(({ bytes }) => bytes);
  assertEquals(bytes, [undefined, 2000, undefined, undefined, undefined]);
});

Deno.test("a page that is open for days keeps five minutes", () => {
  const history: History = new Map();
  for (let second = 0; second < 2000; second++) {
    remember(history, second % 7 === 0 ? undefined : node(database()), second * 1000);
  }
  assertEquals(history.get("/a.db")!.length, 301);
});

Deno.test("linePath() stays in its box and leaves out what is not known", () => {
  const box = { now: historyMs(), top: 10, width: 300, height: 60 };
  const points = [[0, 0], [1000, undefined], [historyMs(), 20]] as const;
  const path = linePath(points.map(([at, value]) => ({ at, value })), box);
  assertEquals(path, "M0.0 60.0h.1M300.0 0.0h.1");
  fc.assert(fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (value) => {
    const top = scaleTop([value, undefined], 10);
    assert(top >= value && top >= 10 && top <= Math.max(10, 2.6 * value), `${top} for ${value}`);
  }));
});

Deno.test("the page's numbers are for people", () => {
  assertEquals([400, 9960, 61_000, 125_000, 7_500_000, 90_000_000].map(ageText), [
    "0.4 s",
    "10 s",
    "61 s",
    "2 min",
    "2 h 5 min",
    "1 d 1 h",
  ]);
  assertEquals([0, 1023, 1536, 5 * 2 ** 30].map(bytesText), ["0 B", "1023 B", "1.5 KiB", "5 GiB"]);
});

Deno.test("eventText() is a sentence for every kind", () => {
  const time = "2026-01-01T00:00:00.000Z";
  const cases: [event: Record<string, unknown>, want: string][] = [
    [
      { event: "state", from: "streaming", state: "connecting", reason: "no route" },
      "streaming → connecting: no route",
    ],
    [{ event: "replica", address: "10.0.0.2:1", change: "gone" }, "replica 10.0.0.2:1 gone"],
    [{ event: "repair", pages: 1 }, "1 page repaired"],
    [{ event: "something new" }, "something new"],
  ];
  for (const [event, want] of cases) {
    assertEquals(eventText({ event: String(event["event"]), time, ...event }), want);
  }
});

function textOf(view: View): string {
  return typeof view === "string" ? view : view.children.map(textOf).join(" ");
}

Deno.test("bodyView() tells path, state, replicas and reasons, and draws only what is open", () => {
  const many = Array.from({ length: 20 }, (_, nth) => database({ path: `/${nth}.db` }));
  const model = {
    history: new Map(),
    events: [],
    eventsNote: undefined,
    now: 0,
    answeredAt: 0,
    problem: undefined,
    opened: new Set(["/3.db"]),
  };
  const few = bodyView({ ...model, status: node(database({ reason: "no disk" })) });
  const text = few.map(textOf).join(" ");
  for (const want of ["/a.db", "serving", "10.0.0.2:1", "2 behind", "no disk"]) {
    assert(text.includes(want), want);
  }
  const all = bodyView({ ...model, status: node(...many) }).map(textOf).join(" ");
  assertEquals(all.split("Transactions a second").length - 1, 1);
});
