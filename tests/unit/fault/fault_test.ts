import { ROOT, run } from "../../../scripts/tools.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";

/** Prints its seeds; `deno task test:fault --seed N` replays one. */
Deno.test("no fault of disk or network, at any labelled point, shows a state that never was", async () => {
  const args = ["run", "-A", "--no-check", `${ROOT}tests/fault/main.ts`, "--seeds", "200"];
  const { code, stdout } = await run(Deno.execPath(), args, { env: { NO_COLOR: "1" } });
  assertMatch(stdout, /seeds \d+ to \d+/);
  assertEquals(code, 0, stdout.slice(-4000));
});
