import { scopedTest } from "../support/scope.ts";
import { primaryPowerLoss, replicaPowerLoss } from "../support/shim_power.ts";
import { demotionPowerLoss, promotionPowerLoss } from "../support/shim_standing.ts";

const LONG = { writeMs: 6000, nodes: 24 };
/** The largest pages make the largest images: fewer of them. */
const PAGE_SIZES = { 512: 3000, 1024: 3000, 4096: 3000, 65536: 600 };

for (const [nth, [size, images]] of Object.entries(PAGE_SIZES).entries()) {
  const pageSize = Number(size);
  scopedTest(`a replica survives a power cut at any place, pages of ${pageSize}`, async (scope) => {
    await replicaPowerLoss(scope, { ...LONG, images, seed: 100 + nth, pageSize });
  }, { limitMs: 600_000 });

  for (const synchronous of ["normal", "full"] as const) {
    const name =
      `a primary survives a power cut at any place, ${synchronous}, pages of ${pageSize}`;
    scopedTest(name, async (scope) => {
      await primaryPowerLoss(scope, {
        ...LONG,
        images,
        nodes: 8,
        seed: 200 + nth,
        pageSize,
        synchronous,
      });
    }, { limitMs: 600_000 });
  }
}

for (const seed of [301, 302, 303]) {
  for (const killed of [false, true]) {
    const which = `${killed ? ", after a kill in it" : ""}, seed ${seed}`;
    scopedTest(`a promotion survives a power cut at any place${which}`, async (scope) => {
      await promotionPowerLoss(scope, { seed, draws: 10, killed });
    }, { limitMs: 600_000 });
    scopedTest(`a demotion survives a power cut at any place${which}`, async (scope) => {
      await demotionPowerLoss(scope, { seed, draws: 10, killed });
    }, { limitMs: 600_000 });
  }
}
