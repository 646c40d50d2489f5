import { Waker } from "../../../src/node/waker.ts";
import { assertEquals } from "../../support/assert.ts";
import { fakeEnv, settle } from "../../support/fake_env.ts";
import { FakeWatch } from "../../support/fake_watch.ts";

function setUp() {
  const { log, lines } = fakeEnv();
  const watch = new FakeWatch();
  let opened = 0;
  let stirs = 0;
  const open = (): FakeWatch => {
    opened++;
    return watch;
  };
  const waker = new Waker(open, log, () => stirs++);
  const looks: string[] = [];
  const add = (name: string): () => void =>
    waker.add({ watch: (by) => (by as FakeWatch).add() }, () => looks.push(name));
  return { waker, watch, looks, lines, add, opened: () => opened, stirs: () => stirs };
}

Deno.test("Waker looks at what has something new, in one wait for all databases", async () => {
  const { waker, watch, looks, add } = setUp();
  for (const name of ["a", "b", "c"]) add(name);
  await settle();
  assertEquals(watch.waits, 1);
  watch.tell(2, 0);
  await settle();
  assertEquals(looks, ["c", "a"]);
  assertEquals(watch.waits, 2);
  await waker.stop();
});

Deno.test("Waker looks no more at a database that was taken away, told or not", async () => {
  const { waker, watch, looks, add } = setUp();
  const remove = add("a");
  add("b");
  watch.tell(0, 1); // on its way when a is taken away
  remove();
  remove();
  assertEquals([...watch.watched], [1], "nothing reads its memory once remove() has returned");
  await settle();
  assertEquals(looks, ["b"]);
  await waker.stop();
});

Deno.test("Waker says once why the system refuses a watch, also one that is refused later", async () => {
  const { waker, watch, lines, add } = setUp();
  add("a");
  assertEquals(lines.length, 0);
  watch.reason = "none left";
  for (let times = 0; times < 2; times++) {
    watch.tell(0);
    await settle();
  }
  add("b");
  assertEquals(lines.map(({ level, fields }) => [level, fields]), [
    ["warn", { reason: "none left" }],
  ]);
  await waker.stop();
});

Deno.test("Waker.stop() ends the wait, and nothing is looked at after", async () => {
  const { waker, watch, looks, add } = setUp();
  const remove = add("a");
  watch.tell(0);
  await waker.stop();
  await settle();
  assertEquals(looks, []);
  remove();
  add("b");
  assertEquals(watch.watched.has(1), false, "too late to be added");
});

Deno.test("Waker says that something happens, after each look and when it is told of a replica", async () => {
  const { waker, watch, add, stirs } = setUp();
  for (const name of ["a", "b"]) add(name);
  watch.tell(0, 1);
  await settle();
  assertEquals(stirs(), 1);
  waker.stirred();
  assertEquals(stirs(), 2);
  await waker.stop();
});

Deno.test("Waker opens nothing for a node without primaries", async () => {
  const { waker, opened } = setUp();
  await waker.stop();
  assertEquals(opened(), 0);
});
