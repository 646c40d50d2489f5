import { parseArguments } from "../../../scripts/demo.ts";
import { DemoNode, quoted } from "../../../scripts/demo/cluster.ts";
import {
  plainLine,
  Screen,
  summaryLines,
  tableLines,
  type View,
} from "../../../scripts/demo/view.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../../support/assert.ts";

const VIEW: View = {
  seconds: 65.9,
  written: 1234,
  doing: "Ctrl-C ends it",
  copies: [
    { name: "replica", rows: 1234, last: 0.912, p50: 0.8, p99: 2.5, max: 12.34 },
    {
      name: "replica2",
      rows: 0,
      last: undefined,
      p50: undefined,
      p99: undefined,
      max: undefined,
    },
  ],
};

Deno.test("parseArguments() of demo takes seconds and --no-color", () => {
  assertEquals(parseArguments([]), { colours: true });
  assertEquals(parseArguments(["--no-color", "--seconds", "5"]), { seconds: 5, colours: false });
  assertEquals(parseArguments(["--seconds=0.5"]), { seconds: 0.5, colours: true });
  assertThrows(() => parseArguments(["--seconds"]), /Cannot use "" as --seconds/);
  assertThrows(() => parseArguments(["--seconds=0"]), /above 0/);
  assertThrows(() => parseArguments(["5"]), /Cannot use "5": say --seconds N/);
});

Deno.test("tableLines() of demo shows each copy, and nothing where nothing was seen", () => {
  assertEquals(tableLines(VIEW, { colours: false, width: 80 }), [
    "                      orders   last lag        p50        p99        max",
    "  written              1,234",
    "  in replica           1,234   0.912 ms   0.800 ms    2.50 ms    12.3 ms",
    "  in replica2              0          –          –          –          –",
    "  1:05  Ctrl-C ends it",
  ]);
});

Deno.test("tableLines() of demo never wraps, and colours do not count", () => {
  for (const width of [1, 20, 80]) {
    for (const line of tableLines(VIEW, { colours: true, width })) {
      const [nothing, coloured, end] = line.split("\x1b[");
      assertEquals([nothing, end], ["", "0m"]);
      assertMatch(coloured!, /^\d+m/);
      assert(coloured!.replace(/^\d+m/, "").length <= Math.max(1, width - 1));
    }
  }
});

Deno.test("plainLine() is one line a second of a log, without colours", () => {
  assertEquals(
    plainLine(VIEW),
    "1:05  written 1,234  replica 1,234 (lag 0.912 ms, p50 0.800 ms, max 12.3 ms)  " +
      "replica2 0 (lag –, p50 –, max –)",
  );
});

Deno.test("summaryLines() has p50, p99 and max of each copy", () => {
  assertEquals(summaryLines(VIEW), [
    "1,234 orders in 66 s",
    "replica: 1,234 orders seen, lag p50 0.800 ms, p99 2.50 ms, max 12.3 ms",
    "replica2: 0 orders seen, lag p50 –, p99 –, max –",
  ]);
});

Deno.test("Screen draws over what it drew and gives the cursor back", () => {
  let written = "";
  {
    using screen = new Screen((text) => {
      written += text;
    });
    screen.draw(["one", "two"]);
    screen.draw(["three"]);
  }
  assertEquals(
    written,
    "\x1b[?25lone\x1b[K\ntwo\x1b[K\n\x1b[J\x1b[2A\rthree\x1b[K\n\x1b[J\x1b[?25h",
  );
});

Deno.test("DemoNode.yaml() is what a user would write", () => {
  const primary = new DemoNode("primary", "/tmp/x");
  const replica = new DemoNode("replica", "/tmp/x", primary);
  const port = (node: DemoNode): string => new URL(node.url).port;
  assertEquals(
    replica.yaml(),
    `addr: 127.0.0.1:${port(replica)}
dbs:
  - path: /tmp/x/replica/shop.db
    upstream:
      url: http://127.0.0.1:${port(primary)}
      path: /tmp/x/primary/shop.db
`,
  );
  assertEquals(quoted("/tmp/a b"), '"/tmp/a b"');
});
