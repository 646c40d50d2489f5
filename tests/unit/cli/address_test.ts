import { hasOpenBind, parseAddr, parseUpstreamUrl } from "../../../src/cli/address.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { complaint } from "./parse.ts";

Deno.test("parseAddr() reads host and port", async (t) => {
  const cases: [text: string, hostname: string, port: number][] = [
    [":9090", "::", 9090],
    [":0", "::", 0],
    [":65535", "::", 65535],
    ["127.0.0.1:9090", "127.0.0.1", 9090],
    ["0.0.0.0:9090", "0.0.0.0", 9090],
    ["[::1]:9090", "::1", 9090],
    ["[::]:0", "::", 0],
    ["localhost:9090", "localhost", 9090],
    ["my-host.internal:80", "my-host.internal", 80],
  ];
  for (const [text, hostname, port] of cases) {
    await t.step(text, () => assertEquals(parseAddr(text), { hostname, port }));
  }
});

Deno.test("parseAddr() says what to write when it cannot read", async (t) => {
  const cases: [text: string, sentence: RegExp][] = [
    ["9090", /port without a colon; write ":9090"$/],
    ["", /is empty/],
    ["localhost", /has no port; write "localhost:9090"/],
    ["localhost:", /has no port; write "localhost:9090"/],
    [":", /has no port; write ":9090"/],
    [":65536", /no port that can be one, "65536"/],
    [":-1", /no port that can be one, "-1"/],
    [":http", /no port that can be one, "http"/],
    ["::1:9090", /IPv6 address without brackets; write "\[::1\]:9090"/],
    ["::1", /without brackets/],
    ["[::1]", /^must be host:port/],
    ["[zz]:1", /no host that can be one/],
    ["[]:1", /no host that can be one/],
    ["[127.0.0.1]:1", /no host that can be one/],
    ["*:9090", /cannot have the host \*; write ":9090"/],
    ["a b:1", /no host that can be one/],
    ["300.1.1.1:1", /no host that can be one/],
    ["http://localhost:9090", /must not be a URL/],
    ["tcp://:9090", /must not be a URL/],
  ];
  for (const [text, sentence] of cases) {
    await t.step(text, () => assertMatch(complaint(() => parseAddr(text)), sentence));
  }
});

Deno.test("hasOpenBind() is false when only this machine can connect", async (t) => {
  const cases: [addr: string, open: boolean][] = [
    [":9090", true],
    ["0.0.0.0:9090", true],
    ["10.0.0.1:9090", true],
    ["127.0.0.1:9090", false],
    ["127.1.2.3:9090", false],
    ["[::1]:9090", false],
    ["localhost:9090", false],
    ["127.example.com:9090", true],
    ["notlocalhost:9090", true],
  ];
  for (const [addr, open] of cases) {
    await t.step(addr, () => assertEquals(hasOpenBind(parseAddr(addr)), open));
  }
});

Deno.test("parseUpstreamUrl() keeps scheme, host, port and the path apart", async (t) => {
  const cases: [text: string, url: string, path?: string][] = [
    ["http://primary:9090", "http://primary:9090"],
    ["http://primary:9090/", "http://primary:9090"],
    ["https://primary", "https://primary"],
    ["HTTP://Primary:9090", "http://primary:9090"],
    ["http://[::1]:9090/data/db", "http://[::1]:9090", "/data/db"],
    ["http://h:9090/data/../x/./db", "http://h:9090", "/x/db"],
    ["http://h:9090//data//db", "http://h:9090", "/data/db"],
    ["http://h:9090/my%20db%3F", "http://h:9090", "/my db?"],
    ["https://h/there", "https://h", "/there"],
    ["http://http:9090/http", "http://http:9090", "/http"],
  ];
  for (const [text, url, path] of cases) {
    const want = path === undefined ? { url } : { url, path };
    await t.step(text, () => assertEquals(parseUpstreamUrl(text), want));
  }
});

Deno.test("parseUpstreamUrl() says what to write when it cannot read", async (t) => {
  const cases: [text: string, sentence: RegExp][] = [
    ["", /is empty/],
    ["primary:9090", /must be a URL, not "primary:9090"/],
    ["/data/db", /must be a URL/],
    ["ftp://h:1", /must be http or https/],
    ["http://", /has no host/],
    ["http://:9090", /has no host/],
    ["http:///data/db", /has no host/],
    ["http:h:9090", /must be a URL/],
    ["http://h:99999", /no host and port that can be one/],
    ["http://a b:1", /no host and port that can be one/],
    ["http://$HOST:9090", /no host and port that can be one/],
    ["http://h:9090\\x", /no host and port that can be one/],
    ["http://h:9090/%zz", /a % in its path/],
    ["http://h:9090?a=b", /must not have a \?/],
    ["http://h:9090/#x", /must not have a \? or #/],
    ["http://user:secret@h:9090", /must not contain a user or password/],
    ["http://@h:9090", /must not contain a user/],
  ];
  for (const [text, sentence] of cases) {
    await t.step(text, () => assertMatch(complaint(() => parseUpstreamUrl(text)), sentence));
  }
});

Deno.test("parseUpstreamUrl() never shows a password", async (t) => {
  for (const text of ["htp://me:secret@h", "http://h:1?k=secret", "//me:secret@h", "a?secret"]) {
    await t.step(text, () => {
      assertEquals(complaint(() => parseUpstreamUrl(text)).includes("secret"), false);
    });
  }
});
