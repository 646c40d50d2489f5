import { LiveError } from "../../../src/base/errors.ts";
import { type Epoch, txid } from "../../../src/base/types.ts";
import { positionJson, waitJson, waitRequest } from "../../../src/http/wait.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";

const EPOCH = "00000000000000e1" as Epoch;
const request = (query: Record<string, string>) => waitRequest((name) => query[name]);

Deno.test("waitRequest() reads what is asked, with defaults", () => {
  assertEquals(request({}), { timeoutMs: 10_000 });
  assertEquals(request({ txid: "000000000000002a", timeout: "0" }), {
    target: { txid: txid(42) },
    timeoutMs: 0,
  });
  assertEquals(request({ txid: `${EPOCH}/000000000000002a`, timeout: "1m30s", replicas: "2" }), {
    target: { epoch: EPOCH, txid: txid(42) },
    timeoutMs: 90_000,
    replicas: { count: 2, stage: "applied" },
  });
  assertEquals(request({ replicas: "1", for: "durable" }).replicas?.stage, "durable");
});

Deno.test("waitRequest() refuses what it cannot read with a sentence", () => {
  const cases: readonly [Record<string, string>, RegExp][] = [
    [{ txid: "2a" }, /must be 16 hex digits/],
    [{ txid: "e1/2a" }, /must be 16 hex digits/],
    [{ txid: `${EPOCH}/000000000000002a/1` }, /must be epoch\/txid/],
    [{ timeout: "10" }, /must be like 10s/],
    [{ timeout: "11m" }, /at most 10m/],
    [{ timeout: "-1s" }, /must be like 10s/],
    [{ replicas: "0" }, /from 1 to 1000/],
    [{ replicas: "1e3" }, /from 1 to 1000/],
    [{ replicas: "1001" }, /from 1 to 1000/],
    [{ for: "applied" }, /say how many/],
    [{ replicas: "1", for: "sent" }, /received, durable, applied/],
  ];
  for (const [query, pattern] of cases) {
    const error = assertThrows(() => request(query), pattern);
    assertEquals(error instanceof LiveError && error.code, "bad_request");
  }
});

Deno.test("positions are 16 hex digits in JSON", () => {
  const position = { epoch: EPOCH, txid: txid(42) };
  const shown = { epoch: EPOCH, txid: "000000000000002a", position: `${EPOCH}/000000000000002a` };
  assertEquals(positionJson(position), shown);
  assertEquals(waitJson({ result: "ok", position, replicas: 0 }), {
    result: "ok",
    ...shown,
    replicas: 0,
  });
  assertEquals(waitJson({ result: "timeout" }), { result: "timeout" });
});
