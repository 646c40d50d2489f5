import { bytesText, coloured, plain, statusText } from "../../../src/cli/status_view.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const STATUS = {
  version: "0.1.0",
  databases: [
    {
      path: "/data/db",
      role: "primary",
      state: "serving",
      txid: "000000000000002a",
      pageSize: 4096,
      pageCount: 1000,
      replicas: [
        {
          id: "1",
          address: "10.0.0.2:5000",
          connected: true,
          sent: "000000000000002a",
          received: "000000000000002a",
          durable: "0000000000000029",
          applied: "000000000000002a",
          silentMs: 120,
        },
        { id: "2", address: "10.0.0.3:5001", connected: false, silentMs: 65_000 },
      ],
    },
    {
      path: "/data/copy",
      role: "replica",
      state: "copying",
      upstream: {
        url: "http://a:9090",
        path: "/data/b",
        lag: { txids: 3, bytes: 20_000_000, ms: 1500 },
        progress: { doneBytes: 430, totalBytes: 1000, etaMs: 12_000 },
      },
      reason: "the disk is full",
      replicas: [],
    },
  ],
};

Deno.test("statusText() shows databases, reasons and replicas as tables", () => {
  assertEquals(
    statusText(STATUS, plain),
    `DATABASE    ROLE     STATE                 TXID  SIZE    LAG                UPSTREAM
/data/db    primary  serving               2a    4.1 MB  -                  -
/data/copy  replica  copying 43 % ETA 12s  -     -       3 tx, 20.0 MB, 2s  http://a:9090/data/b

/data/copy: the disk is full

replicas of /data/db
REPLICA        CONNECTED  SENT  RECEIVED  DURABLE  APPLIED  HEARD
10.0.0.2:5000  yes        2a    2a        29       2a       120ms ago
10.0.0.3:5001  no         -     -         -        -        1m5s ago
`,
  );
});

Deno.test("statusText() colours without moving columns, and only what has a meaning", () => {
  const text = statusText(STATUS, coloured);
  // deno-lint-ignore no-control-regex -- colours are control characters
  assertEquals(text.replace(/\x1b\[\d+m/g, ""), statusText(STATUS, plain));
  assert(text.includes("\x1b[32mserving\x1b[0m") && text.includes("\x1b[31mno\x1b[0m"));
});

Deno.test("statusText() lets nothing of another machine move the cursor, and misses nothing", () => {
  const hostile = { databases: [{ path: "/a\x1b[2J\n/b", state: "failed", reason: "\x07\x9b1m" }] };
  const text = statusText(hostile, plain);
  // deno-lint-ignore no-control-regex -- that is the test
  assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(text), JSON.stringify(text));
  assertEquals(statusText({}, plain), "DATABASE  ROLE  STATE  TXID  SIZE  LAG  UPSTREAM\n");
});

Deno.test("bytesText() uses three digits at most", () => {
  const cases: [bytes: number, text: string][] = [
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.0 KB"],
    [99_949, "99.9 KB"],
    [999_499, "999 KB"],
    [999_500, "1.0 MB"],
    [1.1e9, "1.1 GB"],
    [5e15, "5000 TB"],
  ];
  for (const [bytes, text] of cases) assertEquals(bytesText(bytes), text);
});
