import { counterTest } from "../support/counter.ts";
import { scopedTest } from "../support/scope.ts";

const LIMIT = { limitMs: 300_000 };

scopedTest(
  "readers see only whole states in order through 20 kills of each side",
  async (scope) => {
    await counterTest(scope, { kills: 20, paceMs: 0, cascade: false });
  },
  LIMIT,
);

scopedTest(
  "readers of a chain see whole states in order through 20 kills of each",
  async (scope) => {
    await counterTest(scope, { kills: 20, paceMs: 1, cascade: true });
  },
  LIMIT,
);
