/**
 * Requests that nobody should send: a corpus, and what fast-check draws beside it. May import:
 * src/http/endpoints, tests/support.
 * @module
 */
import fc from "fast-check";
import { ENDPOINTS } from "../../src/http/endpoints.ts";

const PATHS = [...new Set(Object.values(ENDPOINTS).map(({ path }) => path)), "/stream", "/", "*"];
const HEAD = "\r\nhost: a\r\nconnection: close\r\n";

/** `secret` is a file that exists and is not served, `served` a database that is. */
export function corpus(served: string, secret: string): string[] {
  const id = "0123456789abcdef";
  const strange = [
    secret,
    `${served}-wal`,
    `${served}-live/state`,
    `${served}/../${secret.split("/").pop()}`,
    `${served}\0`,
    `file://${secret}`,
    "/etc/passwd",
    "../../../../etc/passwd",
    ".",
    "/",
    "",
    "\\\\host\\share",
    "a".repeat(20_000),
  ];
  const queries = strange.flatMap((path) => [
    `path=${encodeURIComponent(path)}&replica=${id}`,
    `path=${encodeURIComponent(path)}&path=${encodeURIComponent(served)}&replica=${id}`,
  ]);
  const encodings = [
    "%2e%2e%2f",
    "..%2f",
    "%252e%252e/",
    "%00",
    "%c0%ae%c0%ae/",
    "%zz",
    "%",
    "%u0041",
  ];
  for (const one of encodings) queries.push(`path=${one.repeat(4)}etc/passwd&replica=${id}`);
  const ours = `path=${encodeURIComponent(served)}&replica=${id}`;
  for (
    const rest of [
      "since=",
      "since=0/0",
      "since=ffffffffffffffff/ffffffffffffffff",
      `since=${id}/-1`,
      `since=${id}/9999999999999999999999`,
      "hash=zz",
      "protocol=0",
      "protocol=99999999999999999999",
      "blocks=0-4294967295",
      "blocks=4294967295-0",
      "blocks=1,1,1",
      `blocks=${"0,".repeat(10_000)}`,
      `replica=${"f".repeat(10_000)}`,
      "max-lag=-1s",
      "max-lag=99999999999999999999h",
    ]
  ) queries.push(`${ours}&${rest}`);
  const requests: string[] = [];
  for (const path of ["/v1/stream", "/v1/hashes", "/v1/report", "/v1/reports", "/v1/tree"]) {
    for (const query of queries) {
      for (const method of ["GET", "POST", "HEAD"]) {
        const body = method === "POST" ? "content-length: 3\r\n\r\nabc" : "\r\n";
        requests.push(`${method} ${path}?${query} HTTP/1.1${HEAD}${body}`);
      }
    }
  }
  for (const path of PATHS) {
    for (
      const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "X"]
    ) {
      requests.push(`${method} ${path} HTTP/1.1${HEAD}\r\n`);
    }
    requests.push(
      `GET ${path}/../../etc/passwd HTTP/1.1${HEAD}\r\n`,
      `GET ${path}%2f..%2f..%2fetc%2fpasswd HTTP/1.1${HEAD}\r\n`,
      `GET ${path}?${"a=b&".repeat(2000)} HTTP/1.1${HEAD}\r\n`,
      `GET http://]]${path} HTTP/1.1${HEAD}\r\n`,
      `GET ${path} HTTP/1.1\r\nhost: ]][[\r\nconnection: close\r\n\r\n`,
      `GET ${path} HTTP/1.0\r\n\r\n`,
      `GET ${path} HTTP/9.9\r\n\r\n`,
      `GET ${path}\0 HTTP/1.1${HEAD}\r\n`,
      `GET ${path} HTTP/1.1${HEAD}x: ${"y".repeat(200_000)}\r\n\r\n`,
      `GET ${path} HTTP/1.1${HEAD}${"x: y\r\n".repeat(2000)}\r\n`,
      `GET ${path} HTTP/1.1${HEAD}upgrade: websocket\r\nconnection: upgrade\r\n\r\n`,
      `GET ${path} HTTP/1.1${HEAD}range: bytes=0-99999999999999\r\n\r\n`,
      `GET ${path} HTTP/1.1${HEAD}authorization: Bearer ${"z".repeat(50_000)}\r\n\r\n`,
      `POST ${path}?${ours} HTTP/1.1${HEAD}content-length: 99999999999999999999\r\n\r\n`,
      `POST ${path}?${ours} HTTP/1.1${HEAD}content-length: -1\r\n\r\n`,
      `POST ${path}?${ours} HTTP/1.1${HEAD}content-length: 10\r\ncontent-length: 3\r\n\r\nabc`,
      `POST ${path}?${ours} HTTP/1.1${HEAD}content-length: 5000000\r\n\r\n${"{".repeat(100_000)}`,
      `POST ${path}?${ours} HTTP/1.1${HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n`,
      `POST ${path}?${ours} HTTP/1.1${HEAD}transfer-encoding: chunked\r\n\r\nffffffff\r\nabc`,
      `POST ${path}?${ours} HTTP/1.1${HEAD}transfer-encoding: chunked\r\n\r\n3\r\n{}x\r\n0\r\n\r\n`,
      `POST ${path}?${ours} HTTP/1.1${HEAD}content-length: 8\r\n\r\n\0\0\0\0\0\0\0\0`,
      `POST ${path}?${ours} HTTP/1.1${HEAD}content-length: 8\r\n\r\n\x01\0\0\0\x7f\x7f\x7f\x7f`,
    );
  }
  requests.push(
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", // a TLS hello
    "\r\n".repeat(1000),
    "GET",
    "\0".repeat(10_000),
    "SSH-2.0-x\r\n",
  );
  return requests;
}

/** Requests near those that are right, and bytes that are none. */
export function drawnRequests(served: string): fc.Arbitrary<Uint8Array> {
  const token = fc.oneof(
    fc.constantFrom(
      "..",
      "%2e",
      "%00",
      "%",
      "/",
      "?",
      "&",
      "=",
      ":",
      "\t",
      "\r\n",
      "0",
      "-1",
      served,
    ),
    fc.string({ unit: "binary", maxLength: 12 }),
  );
  const name = fc.constantFrom("path", "protocol", "since", "hash", "replica", "blocks", "max-lag");
  const value = fc.oneof(
    fc.constantFrom(encodeURIComponent(served), "0123456789abcdef", "1", "0-3,7", "10s"),
    token.map((text) => encodeURIComponent(text.toWellFormed())),
    token,
  );
  const query = fc.array(fc.tuple(name, value), { maxLength: 6 })
    .map((pairs) => pairs.map((pair) => pair.join("=")).join("&"));
  const header = fc.oneof(
    fc.constantFrom(
      "content-length: 5",
      "content-length: 5000000000",
      "transfer-encoding: chunked",
      "connection: close",
      "expect: 100-continue",
      "authorization: Bearer x",
      "content-encoding: gzip",
    ),
    fc.tuple(token, token).map((pair) => pair.join(": ")),
  );
  const request = fc.record({
    method: fc.oneof({ weight: 5, arbitrary: fc.constantFrom("GET", "POST", "HEAD") }, token),
    path: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...PATHS) }, token),
    query,
    headers: fc.array(header, { maxLength: 5 }),
    body: fc.oneof(
      fc.constant(""),
      fc.constant('5\r\n{"a":\r\n0\r\n\r\n'),
      fc.string({ unit: "binary" }),
    ),
  }).map(({ method, path, query, headers, body }) =>
    new TextEncoder().encode(
      `${method} ${path}?${query} HTTP/1.1\r\nhost: a\r\n${headers.join("\r\n")}\r\n\r\n${body}`,
    )
  );
  return fc.oneof({ weight: 6, arbitrary: request }, fc.uint8Array({ maxLength: 400 }));
}
