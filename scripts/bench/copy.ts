/**
 * Work "copy": a replica's first copy of a large database, from the start of its process until a
 * reader can read it, against cp and fsync of the same file. The file is in the page cache for all.
 * May import: scripts/bench, scripts/tools, tests/support.
 * @module
 */
import { fileURLToPath } from "node:url";
import { sleep } from "../../tests/support/process.ts";
import { runOrFail } from "../tools.ts";
import { copyByLitestream } from "./litestream.ts";
import { type Memory, memoryOf } from "./proc.ts";
import { sameContent, type Stage } from "./stage.ts";
import { interleaved, type Measure, type Samples, type Work } from "./work.ts";

const LOOPBACK = fileURLToPath(new URL("loopback.py", import.meta.url));
/** Of the index, in every node: memory that is allowed to grow with the database. */
const BYTES_PER_PAGE = 20;
const PAGE_BYTES = 4096;
/** A node gives free memory back each minute. */
const REST_MS = 65_000;

async function timed(stage: Stage, name: string, work: (target: string) => Promise<void>) {
  const target = await stage.path(name);
  const began = performance.now();
  await work(target);
  const ms = performance.now() - began;
  await Deno.remove(target);
  return ms;
}

interface Plain {
  readonly cpMs: number;
  readonly loopbackMs: number;
  /** Only where it is named. */
  readonly litestreamMs?: number;
}

async function byOthers(stage: Stage, source: string): Promise<Plain> {
  const script = 'cp --reflink=never -- "$1" "$2" && sync -- "$2"';
  const cpMs = await timed(
    stage,
    "cp",
    async (target) => void await runOrFail("copy", "sh", ["-c", script, "sh", source, target]),
  );
  const loopbackMs = await timed(
    stage,
    "loopback",
    async (target) => void await runOrFail("copy", "python3", ["-B", LOOPBACK, source, target]),
  );
  const { litestream } = stage.options;
  if (litestream === undefined) return { cpMs, loopbackMs };
  return { cpMs, loopbackMs, litestreamMs: await copyByLitestream(stage, litestream, source) };
}

interface Ours {
  readonly ms: number;
  readonly primary: Memory;
  readonly replica: Memory;
}

async function byReplica(stage: Stage, source: string): Promise<Ours> {
  const primary = stage.primary("primary", source);
  await stage.ready(primary);
  const copy = await stage.path("copy");
  const replica = stage.replica("replica", copy, primary, source);
  const watcher = stage.helper("watch", { path: copy, live: true });
  await watcher.next("looking");
  const began = performance.now();
  replica.start();
  await watcher.next("watching", 600_000);
  const ms = performance.now() - began;
  await watcher.tell("stop");
  await sameContent({ source, copy, primary, replica });
  await sleep(stage.options.quick ? 0 : REST_MS);
  const memory = { primary: await memoryOf(primary), replica: await memoryOf(replica) };
  await replica.stop();
  await primary.stop();
  return { ms, ...memory };
}

function memoryMeasures(part: string, what: string, mostMb: number): Measure[] {
  return ["primary", "replica"].map((who) => ({
    key: `${who}-${part}`,
    title: `${who}: ${what}, less ${BYTES_PER_PAGE} B a page`,
    unit: "MB",
    target: { of: "median", most: mostMb },
  }));
}

export const copy: Work = {
  name: "copy",
  about: "first copy of a large database, start of the replica → readable",
  measures: [
    { key: "speed", title: "first copy", unit: "MB/s", target: { of: "ratio", least: 0.6 } },
    { key: "seconds", title: "first copy", unit: "s" },
    ...memoryMeasures("rest", "resident a minute later", 90),
    ...memoryMeasures("memory", "resident peak", 150),
  ],
  async once(stage, nth): Promise<Samples> {
    const source = await stage.database("source", stage.options.largeBytes);
    const { size } = await Deno.stat(source);
    await runOrFail("read the database", "sh", ["-c", 'cat -- "$1" > /dev/null', "sh", source]);
    const [{ cpMs, loopbackMs, litestreamMs }, ours] = await interleaved(
      nth,
      () => byOthers(stage, source),
      () => byReplica(stage, source),
    );
    const sample = (of: (ms: number) => number): Samples[string] => ({
      value: of(ours.ms),
      baselines: {
        "cp + fsync": of(cpMs),
        loopback: of(loopbackMs),
        ...(litestreamMs === undefined ? {} : { "Litestream 0.5": of(litestreamMs) }),
      },
    });
    const index = size / PAGE_BYTES * BYTES_PER_PAGE / 1e6;
    return {
      speed: sample((ms) => size / 1e6 / (ms / 1000)),
      seconds: sample((ms) => ms / 1000),
      "primary-rest": { value: ours.primary.now - index },
      "replica-rest": { value: ours.replica.now - index },
      "primary-memory": { value: ours.primary.peak - index },
      "replica-memory": { value: ours.replica.peak - index },
    };
  },
};
