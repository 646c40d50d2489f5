/**
 * Work "repair": 100 pages of a stopped replica's file go bad; how long until it has the primary's
 * content again, and what that costs on the wire. The baseline is the same start with a file that is
 * as it was. May import: scripts/bench.
 * @module
 */
import { sameContent, type Stage } from "./stage.ts";
import { type Samples, type Work } from "./work.ts";

const PAGES = 100;
const PAGE_BYTES = 4096;

/** Spread over the file, page 1 left alone. */
async function damage(path: string, pages: number): Promise<void> {
  using file = await Deno.open(path, { write: true });
  const count = (await file.stat()).size / PAGE_BYTES;
  const noise = crypto.getRandomValues(new Uint8Array(PAGE_BYTES));
  for (let nth = 0; nth < pages; nth++) {
    const page = 1 + Math.floor((count - 1) * nth / pages);
    await file.seek(page * PAGE_BYTES, Deno.SeekMode.Start);
    await file.write(noise);
  }
}

export const repair: Work = {
  name: "repair",
  about: `${PAGES} pages of a stopped replica's large file are overwritten; start → same content`,
  measures: [
    { key: "seconds", title: "start → same content", unit: "s" },
    { key: "received", title: "received", unit: "MB" },
  ],
  async once(stage: Stage): Promise<Samples> {
    const pair = await stage.pair("live", stage.options.largeBytes);
    const again = async (): Promise<number> => {
      const began = performance.now();
      pair.replica.start();
      await sameContent(pair, 120_000);
      return (performance.now() - began) / 1000;
    };
    await pair.replica.stop();
    const unharmed = await again();
    await pair.replica.stop();
    await damage(pair.copy, PAGES);
    const seconds = await again();
    const { counters } = await pair.replica.database();
    return {
      seconds: { value: seconds, baselines: { unharmed } },
      received: { value: counters.receivedBytes / 1e6 },
    };
  },
};
