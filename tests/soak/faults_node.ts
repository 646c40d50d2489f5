/**
 * What happens to a node: its process, its disk, its files. May import: tests/support,
 * tests/soak/{schedule,worker,world}.
 * @module
 */
import { eventually, sleep } from "../support/process.ts";
import type { Member } from "./fleet.ts";
import type { Fault, LinkKind, NodeKind, NodeName } from "./schedule.ts";
import { backUp } from "./settle.ts";
import { runOnce } from "./worker.ts";
import { downstreamOf, type Effect, type World } from "./world.ts";

type Make = (world: World, fault: Fault, member: Member) => Effect;

/** A node asks once a second whether its file is still the one at the path. */
const NOTICES_A_MOVE_MS = 2500;
/** Python writes a line; it is read later. */
const LATE_ERRORS_MS = 1000;
/** Two hops, each with pauses of up to 5 s. */
const FOLLOWS_MS = 13_500;
const AGE_OF_BACKUP_MS = 100;
const POSITION_LIMIT_MS = 20_000;

/** The replicas that an upstream's silence disconnects; c's own upstream goes on living. */
function followersOf(name: NodeName): readonly NodeName[] {
  return name === "primary" ? ["a", "b"] : name === "b" ? ["c"] : [];
}

const kill: Make = (_world, _fault, member) => ({
  touches: downstreamOf(member.name),
  breaks: followersOf(member.name),
  begin: async () => {
    await member.kill();
    return () => started(member);
  },
});

const stop: Make = (_world, _fault, member) => ({
  touches: downstreamOf(member.name),
  begin: async () => {
    await member.stop();
    return () => started(member);
  },
});

const freeze: Make = (_world, _fault, member) => ({
  touches: downstreamOf(member.name),
  breaks: followersOf(member.name),
  begin: () => {
    member.freeze();
    return Promise.resolve(() => {
      member.thaw();
      return Promise.resolve();
    });
  },
});

/** A replica cannot go on, and says so; the primary says it when its log grows and grows. */
const diskFull: Make = ({ crew }, _fault, member) => ({
  touches: member.name === "primary" ? ["primary"] : downstreamOf(member.name),
  begin: async () => {
    crew.diskIsFull(member.name, true);
    const free = await member.fillDisk();
    return async () => {
      await free();
      await sleep(LATE_ERRORS_MS);
      crew.diskIsFull(member.name, false);
    };
  },
});

/**
 * Readers are kept away until the node has brought the file up to date: what it holds without its log
 * is an older state, perhaps half checkpointed, and nobody can know that.
 */
const walDeleted: Make = ({ crew }, _fault, member) => ({
  touches: downstreamOf(member.name),
  begin: async () => {
    await crew.tellReaders(member.name, { do: "close" });
    await member.kill();
    return async () => {
      for (const suffix of ["-wal", "-shm"]) await removeIfThere(`${member.path}${suffix}`);
      await started(member);
      await member.node.until(
        "knows its position",
        ({ txid, state }) => txid !== undefined && state === "streaming",
        { limitMs: POSITION_LIMIT_MS },
      );
      await crew.tellReaders(member.name, { do: "run", reset: true });
    };
  },
});

const foreignCheckpoint: Make = ({ ledger }, _fault, member) => ({
  touches: downstreamOf(member.name),
  begin: async () => {
    await member.kill();
    const { errors } = await runOnce({ role: "checkpoint", path: member.path });
    for (const { code, message } of errors) {
      ledger.violation(`a foreign checkpoint of ${member.name}: SQLite ${code} "${message}"`);
    }
    return () => started(member);
  },
});

/**
 * The application stops, its file becomes an older one, it starts again. Either the node is down and
 * the file overwritten by the backup of the last settle; or the file is renamed over it, the node down
 * or not, and that is another database for the node until its pages say otherwise: so it is a backup
 * of a moment ago, before which nothing was moved about, else replicas refuse it, rightly. The application writes
 * again when replicas have found that out: it changes every page within seconds.
 */
const restore: Make = (world, fault, member) => ({
  touches: downstreamOf(member.name),
  begin: async () => {
    const { crew, fleet, ledger } = world;
    let inPlace = fault.chance > 0.6 && world.backup !== undefined;
    const before = inPlace ? undefined : await freshBackup(world);
    await crew.tellWriters({ do: "close" });
    await crew.tellReaders(member.name, { do: "close" });
    if (before !== undefined && crew.upheavals > before) inPlace = true;
    const nodeRuns = !inPlace && fault.chance < 0.3;
    if (!nodeRuns) await member.kill();
    const how = `${inPlace ? "overwritten" : "renamed"}, node ${nodeRuns ? "up" : "down"}`;
    ledger.event(`restore: ${how}`);
    ledger.count(`restore, ${how}`);
    const fresh = `${member.folder}/restored.db`;
    await Deno.copyFile(world.backup!, fresh);
    await runOnce({ role: "bump", path: fresh, g: ++world.generation });
    for (const suffix of ["-wal", "-shm"]) await removeIfThere(`${member.path}${suffix}`);
    if (inPlace) {
      await Deno.copyFile(fresh, member.path);
      await Deno.remove(fresh);
    } else await Deno.rename(fresh, member.path);
    if (nodeRuns) await sleep(NOTICES_A_MOVE_MS);
    return async () => {
      if (!nodeRuns) await started(member);
      await crew.tellReaders(member.name, { do: "run" });
      await eventually("replicas follow the restored file", async () => {
        const { epoch } = await member.node.database();
        const found = await Promise.all(fleet.replicas.map(({ node }) => node.database()));
        return found.every((replica) => replica.epoch === epoch) || undefined;
      }, FOLLOWS_MS).catch((error) => ledger.violation(error.message));
      await crew.tellWriters({ do: "run" });
    };
  },
});

/** Writers go on for a moment after it; returns what `upheavals` was. */
async function freshBackup(world: World): Promise<number> {
  const { crew } = world;
  await crew.tellWriters({ do: "pause" });
  await backUp(world);
  const before = crew.upheavals;
  await crew.tellWriters({ do: "run" });
  await sleep(AGE_OF_BACKUP_MS);
  return before;
}

/** The primary says that its log grows; replicas of it are as before. */
const longReader: Make = ({ ledger }, fault, member) => ({
  touches: [member.name],
  begin: () => {
    const reading = runOnce({ role: "hold", path: member.path, ms: fault.ms });
    return Promise.resolve(async () => {
      const { errors, violations } = await reading;
      for (const { code, message } of errors) {
        ledger.violation(`a long reader of ${member.name}: SQLite ${code} "${message}"`);
      }
      for (const sentence of violations) ledger.violation(`${member.name}: ${sentence}`);
    });
  },
});

function started(member: Member): Promise<void> {
  member.start();
  return Promise.resolve();
}

async function removeIfThere(path: string): Promise<void> {
  await Deno.remove(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

type OfNode = Exclude<NodeKind, LinkKind>;

export const NODE_FAULTS: Readonly<Record<OfNode, Make>> = {
  kill,
  stop,
  freeze,
  "disk-full": diskFull,
  "wal-deleted": walDeleted,
  "foreign-checkpoint": foreignCheckpoint,
  restore,
  "long-reader": longReader,
};
