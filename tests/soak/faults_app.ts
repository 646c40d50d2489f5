/**
 * What happens to the application and to readers. May import: tests/support,
 * tests/soak/{schedule,worker,world}.
 * @module
 */
import { assert } from "../support/assert.ts";
import { SeededRandom } from "../support/chaos_random.ts";
import { sleep } from "../support/process.ts";
import type { AppKind, Fault, NodeName, WriterName } from "./schedule.ts";
import type { Worker } from "./worker.ts";
import type { Effect, World } from "./world.ts";

type Make = (world: World, fault: Fault) => Effect;

/** Time until it writes again, and a little more: then it is killed again. */
const LIVES_MS: readonly [number, number] = [200, 600];
const DEAD_MS: readonly [number, number] = [0, 100];

function writerOf({ crew }: World, fault: Fault): Worker {
  const writer = crew.writers.get(fault.target as WriterName);
  assert(writer !== undefined, `no writer ${fault.target}`);
  return writer;
}

function readerOf({ crew }: World, fault: Fault): Worker {
  const readers = crew.readers.get(fault.target as NodeName);
  assert(readers !== undefined, `no readers of ${fault.target}`);
  return readers[Math.floor(fault.chance * readers.length)]!;
}

/** Killed again and again, wherever it is: also inside a commit, a checkpoint, a VACUUM. */
const appKill: Make = (world, fault) => ({
  touches: [],
  begin: () => {
    const writer = writerOf(world, fault);
    const random = new SeededRandom(Math.floor(fault.chance * 2 ** 32));
    let healing = false;
    const killing = (async () => {
      while (!healing) {
        await writer.kill();
        world.ledger.count("kills of the application");
        await sleep(random.int(...DEAD_MS));
        writer.start();
        await sleep(random.int(...LIVES_MS));
      }
    })();
    return Promise.resolve(async () => {
      healing = true;
      await killing;
    });
  },
});

const readerKill: Make = (world, fault) => ({
  touches: [],
  begin: async () => {
    const reader = readerOf(world, fault);
    await reader.kill();
    world.ledger.count("kills of a reader");
    return () => {
      reader.start();
      return Promise.resolve();
    };
  },
});

/** Whoever stands in a transaction holds the log up; the primary may say so. */
function freeze(workerOf: (world: World, fault: Fault) => Worker): Make {
  return (world, fault) => ({
    touches: ["primary"],
    begin: () => {
      const worker = workerOf(world, fault);
      worker.freeze();
      return Promise.resolve(() => {
        worker.thaw();
        return Promise.resolve();
      });
    },
  });
}

export const APP_FAULTS: Readonly<Record<AppKind, Make>> = {
  "app-kill": appKill,
  "app-freeze": freeze(writerOf),
  "reader-kill": readerKill,
  "reader-freeze": freeze(readerOf),
};
