/**
 * Work "copy": a replica's first copy of a large database, from the start of its process until a
 * reader can read it, against cp and fsync of the same file. The file is in the page cache for both.
 * May import: scripts/bench, scripts/tools.
 * @module
 */
import { runOrFail } from "../tools.ts";
import { sameContent, type Stage } from "./stage.ts";
import { interleaved, type Samples, type Work } from "./work.ts";

async function byCp(stage: Stage, source: string): Promise<number> {
  const target = await stage.path("cp");
  const script = 'cp --reflink=never -- "$1" "$2" && sync -- "$2"';
  const began = performance.now();
  await runOrFail("copy with cp", "sh", ["-c", script, "sh", source, target]);
  const ms = performance.now() - began;
  await Deno.remove(target);
  return ms;
}

async function byReplica(stage: Stage, source: string): Promise<number> {
  const primary = stage.primary("primary", source);
  primary.start();
  await primary.healthy(120_000);
  const copy = await stage.path("copy");
  const replica = stage.replica("replica", copy, primary, source);
  const watcher = stage.helper("watch", { path: copy, live: true });
  await watcher.next("looking");
  const began = performance.now();
  replica.start();
  await watcher.next("watching", 600_000);
  const ms = performance.now() - began;
  await sameContent({ source, copy, primary, replica });
  await replica.stop();
  await primary.stop();
  return ms;
}

export const copy: Work = {
  name: "copy",
  about: "first copy of a large database, start of the replica → readable",
  measures: [
    {
      key: "speed",
      title: "first copy",
      unit: "MB/s",
      target: { of: "median", least: 200 },
    },
    { key: "seconds", title: "first copy", unit: "s" },
  ],
  async once(stage, nth): Promise<Samples> {
    const source = await stage.database("source", stage.options.largeBytes);
    const megabytes = (await Deno.stat(source)).size / 1e6;
    await runOrFail("read the database", "sh", ["-c", 'cat -- "$1" > /dev/null', "sh", source]);
    const [cpMs, ourMs] = await interleaved(
      nth,
      () => byCp(stage, source),
      () => byReplica(stage, source),
    );
    const speed = (ms: number): number => megabytes / (ms / 1000);
    return {
      speed: { value: speed(ourMs), baselines: { "cp + fsync": speed(cpMs) } },
      seconds: { value: ourMs / 1000, baselines: { "cp + fsync": cpMs / 1000 } },
    };
  },
};
