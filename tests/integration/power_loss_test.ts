import { scopedTest } from "../support/scope.ts";
import { primaryPowerLoss, replicaPowerLoss } from "../support/shim_power.ts";

scopedTest("a replica survives a power cut at any place", async (scope) => {
  await replicaPowerLoss(scope, { seed: 1, writeMs: 2000, images: 500, nodes: 16 });
});

for (const [nth, synchronous] of (["normal", "full"] as const).entries()) {
  scopedTest(
    `a primary survives a power cut at any place, synchronous=${synchronous}`,
    async (scope) => {
      const options = { seed: 2 + nth, writeMs: 1000, images: 250, nodes: 8 };
      await primaryPowerLoss(scope, { ...options, synchronous });
    },
  );
}
