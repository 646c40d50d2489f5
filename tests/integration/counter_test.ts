import { counterTest } from "../support/counter.ts";
import { scopedTest } from "../support/scope.ts";

scopedTest("readers see only whole states in order through 4 kills of each side", async (scope) => {
  await counterTest(scope, { kills: 4, paceMs: 0, cascade: false });
});

scopedTest(
  "readers of a chain see whole states in order through 3 kills of each",
  async (scope) => {
    await counterTest(scope, { kills: 3, paceMs: 1, cascade: true });
  },
);
