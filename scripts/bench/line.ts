/**
 * Work "line": a replica behind a line of 20 Mbit/s with 40 ms each way, compressed and not: the first
 * copy of a database of text, and commits seen. The line is in this process.
 * May import: scripts/bench, tests/support.
 * @module
 */
import { SlowLine } from "../../tests/support/slow_line.ts";
import { paced } from "./latency.ts";
import type { Stage } from "./stage.ts";
import { interleaved, type Sample, type Samples, type Work } from "./work.ts";

const LINE = { bytesPerSecond: 20e6 / 8, delayMs: 40 } as const;
const COPY_BYTES = 32e6;
const RATE = 20;

interface Far {
  readonly copySeconds: number;
  readonly copyMb: number;
  readonly p50: number;
  readonly p99: number;
}

async function over(stage: Stage, compression: "zstd" | "none"): Promise<Far> {
  const bytes = Math.min(COPY_BYTES, stage.options.quick ? 5e5 : stage.options.largeBytes);
  const source = await stage.database(`${compression}-source`, bytes, "text");
  const primary = stage.primary(`${compression}-primary`, source);
  await stage.ready(primary);
  const { hostname, port } = new URL(primary.url);
  const line = stage.own(new SlowLine({ hostname, port: Number(port) }, LINE));
  const path = await stage.path(`${compression}-copy`);
  const upstream = { url: line.url, path: source, compression };
  const replica = stage.node(`${compression}-replica`, [{ path, upstream }]);
  const began = performance.now();
  await stage.ready(replica);
  const copySeconds = (performance.now() - began) / 1000;
  const copyMb = line.bytes / 1e6;
  const { p50, p99 } = await paced(stage, source, [path], RATE);
  await replica.stop();
  await primary.stop();
  return { copySeconds, copyMb, p50, p99 };
}

export const line: Work = {
  name: "line",
  about: "a line of 20 Mbit/s, 80 ms there and back: first copy of text, then 20 commits a second",
  measures: [
    { key: "copy", title: "first copy, zstd", unit: "s" },
    { key: "wire", title: "first copy, zstd: on the wire", unit: "MB" },
    { key: "p50", title: "commit → visible p50, zstd", unit: "ms" },
    { key: "p99", title: "commit → visible p99, zstd", unit: "ms" },
  ],
  async once(stage, nth): Promise<Samples> {
    const [none, zstd] = await interleaved(
      nth,
      () => over(stage, "none"),
      () => over(stage, "zstd"),
    );
    const sample = (key: keyof Far): Sample => ({
      value: zstd[key],
      baselines: { none: none[key] },
    });
    return {
      copy: sample("copySeconds"),
      wire: sample("copyMb"),
      p50: sample("p50"),
      p99: sample("p99"),
    };
  },
};
