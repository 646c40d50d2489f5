import type { Page } from "playwright-core";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { CHROMIUM, Visitor } from "../support/browser.ts";
import { primaryOf, replicaOf, startPair } from "../support/replication.ts";
import { type Scope, scopedTest, type TestOptions } from "../support/scope.ts";

const BROWSER: TestOptions = { ignore: CHROMIUM === undefined };

async function database(scope: Scope): Promise<string> {
  const path = await scope.path("primary/app.db");
  const writer = await scope.app();
  await writer.startWriter({ path, count: 50 });
  await writer.joinWriter();
  return path;
}

/** Waits until the page has this text. */
async function shows(page: Page, text: string | RegExp, ms = 15_000): Promise<void> {
  await page.getByText(text).first().waitFor({ timeout: ms });
}

scopedTest("GET / is one document that everybody may have, and tells nothing", async (scope) => {
  const path = await database(scope);
  const primary = scope.node("primary", { ...primaryOf(path), token: "data-t0ken" });
  primary.start();
  await primary.healthy();
  const response = await primary.get("/");
  const html = await response.text();
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "text/html; charset=utf-8");
  assertMatch(response.headers.get("content-security-policy")!, /script-src 'sha256-[\w+/=]+';/);
  assert(!html.includes("app.db") && !html.includes("data-t0ken"));
  assertMatch(html, /<script>"use strict";[^]*start\w*\(\);/);
});

scopedTest("the page shows a commit, and a replica that is killed as gone", async (scope) => {
  await database(scope);
  const pair = await startPair(scope);
  await using visitor = await Visitor.open();
  const page = await visitor.visit(pair.primary.url, 1200);
  await shows(page, "1 database live");
  await page.locator(".tree li", { hasText: "connected" }).first().waitFor();
  const app = await scope.open(pair.source);
  await app.exec("CREATE TABLE seen(a)");
  const { txid } = await pair.primary.database();
  await shows(page, `txid ${Number(txid).toLocaleString("en")}`);
  await pair.replica.kill();
  await shows(page, "1 database live, 1 replica gone", 8000);
  await shows(page, /replica 127\.0\.0\.1:\d+ gone/);
  await page.locator(".tree .node", { hasText: /gone.*silent for/ }).waitFor();
  const stroke = await page.evaluate<string>(
    "getComputedStyle(document.querySelector('.tree .gone path')).stroke",
  );
  const [red, green, blue] = (stroke.match(/\d+/g) ?? []).map(Number);
  assert(red! > 2 * green! && red! > 2 * blue!, `gone is red: ${stroke}`);
  await page.locator("summary").focus();
  await page.keyboard.press("Enter");
  assertEquals(await page.locator("details[open]").count(), 0, "the keyboard closes it");
  await pair.primary.kill();
  await shows(page, "The node does not answer");
  assertEquals(visitor.complaints, []);
  assertEquals([...visitor.asked], [pair.primary.url], "nobody else is asked");
}, BROWSER);

scopedTest("the page shows the whole tree, up and down, and which of it is gone", async (scope) => {
  await database(scope);
  const { source, copy, primary, replica } = await startPair(scope);
  const last = await scope.start("last", replicaOf(await scope.path("last/app.db"), replica, copy));
  await using visitor = await Visitor.open();
  const top = await visitor.visit(primary.url, 1200);
  const deepest = top.locator(".tree li li li .node");
  await deepest.getByText("connected").waitFor();
  const app = await scope.open(source);
  await app.exec("CREATE TABLE seen(a)");
  const { txid } = await primary.database();
  await deepest.getByText(`txid ${Number(txid).toLocaleString("en")}`).waitFor();
  const bottom = await visitor.visit(last.url, 390, "dark");
  await bottom.locator(".tree > li > .node").getByText(primary.url).waitFor();
  await bottom.locator(".tree li li li.own").getByText("this node").waitFor();
  assertEquals(await bottom.evaluate<number>("document.documentElement.scrollWidth"), 390);
  await last.kill();
  await deepest.getByText("gone").waitFor({ timeout: 5000 });
  await shows(top, "1 database live, 1 replica gone");
  assertEquals(visitor.complaints.filter((one) => !one.includes(last.url)), []);
}, BROWSER);

scopedTest("the page asks for the token, and keeps it for its tab alone", async (scope) => {
  const path = await database(scope);
  const auth = { token: "data-t0ken", "status-token": "status-t0ken" };
  const primary = scope.node("primary", { ...primaryOf(path), auth });
  primary.start();
  await primary.healthy();
  await using visitor = await Visitor.open();
  const page = await visitor.visit(primary.url, 390, "dark");
  await shows(page, "This node asks for a token");
  assertEquals(await page.locator("table").count(), 0);
  await page.keyboard.type("wrong");
  await page.keyboard.press("Enter");
  await shows(page, "The node refuses this token");
  await page.keyboard.type("status-t0ken");
  await page.keyboard.press("Enter");
  await shows(page, "1 database live");
  await page.reload();
  await shows(page, "1 database live");
  const wide = await page.evaluate<number>("document.documentElement.scrollWidth");
  assertEquals(wide, 390, "nothing is wider than a phone");
  await page.getByRole("button", { name: "Forget the token" }).click();
  await shows(page, "This node asks for a token");
  assertEquals(await page.evaluate("sessionStorage.length"), 0);
  assertEquals(visitor.complaints, []);
}, BROWSER);

scopedTest("the page of a replica says why it is not live, as text", async (scope) => {
  const path = await scope.path("replica/<img src=x onerror=alert(1)>.db");
  const upstream = { url: "http://127.0.0.1:1", path: "/<b>bold</b>.db" };
  const replica = await scope.start("replica", { dbs: [{ path, upstream }] }, false);
  await using visitor = await Visitor.open();
  await replica.until("listens", () => true);
  const page = await visitor.visit(replica.url, 360);
  await shows(page, /1 of 1 database not live yet/);
  await page.locator(".reason", { hasText: "Cannot reach" }).first().waitFor();
  await page.locator("h2", { hasText: "<img src=x" }).waitFor();
  assertEquals(await page.locator("img, #body b:has-text('bold')").count(), 0);
  assertEquals(visitor.complaints, []);
}, BROWSER);
