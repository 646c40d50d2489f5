import { KEYS } from "../../../src/cli/keys.ts";
import {
  MOST_COLUMNS,
  STATES,
  type Topic,
  TOPICS,
  topicText,
  wrap,
} from "../../../src/cli/topics.ts";
import { ENDPOINTS } from "../../../src/http/endpoints.ts";
import { METRICS } from "../../../src/http/metrics.ts";
import { assert, assertEquals } from "../../support/assert.ts";

Deno.test("topicText() names all that the tables have, within the width", () => {
  const names: Readonly<Record<Topic, readonly string[]>> = {
    "config": KEYS.map(({ name }) => name),
    "metrics": METRICS.map(({ name }) => name),
    "endpoints": Object.values(ENDPOINTS).map(({ method, path }) => `${method} ${path}`),
    "states": Object.keys(STATES),
    "exit-codes": ["0", "1", "2", "70"],
  };
  for (const topic of Object.keys(TOPICS) as Topic[]) {
    for (const columns of [0, 80, 120, 1000]) {
      const lines = topicText(topic, columns).split("\n");
      for (const name of names[topic]) {
        assert(lines.some((line) => `${line} `.startsWith(`${name} `)), `${topic}: ${name}`);
      }
      const most = Math.min(Math.max(columns, 40), MOST_COLUMNS);
      // A name that is longer than the terminal is not cut.
      const bad = lines.filter((line) => line.length > most && line.trim().includes(" "));
      assertEquals(bad, [], `${topic} at ${columns}`);
    }
    assert(!topicText(topic, 80).includes("`"), "plain text");
  }
});

Deno.test("wrap() breaks at spaces only, and keeps two that stand together", () => {
  assertEquals(wrap("one two three", "  ", 9), ["  one two", "  three"]);
  assertEquals(wrap("a  b", "", 80), ["a  b"]);
  assertEquals(wrap("abcdefghij k", "", 4), ["abcdefghij", "k"]);
});
