import { APSW_VERSIONS, apswFolder, havePip } from "../support/apsw.ts";
import { assertEquals } from "../support/assert.ts";
import { eventually } from "../support/process.ts";
import {
  assertConsistent,
  assertInSync,
  assertNoRepairs,
  assertUndisturbed,
  startPair,
} from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

const pip = await havePip();

for (const version of APSW_VERSIONS) {
  const sqlite = version.replace(/\.0$/, "");
  scopedTest(`SQLite ${sqlite} as application and reader is followed and served`, async (scope) => {
    const apsw = await apswFolder(version);
    const writer = await scope.app({ apsw });
    assertEquals(await writer.version(), sqlite);
    await writer.startWriter({ path: await scope.path("primary/app.db") });
    const pair = await startPair(scope);
    const reader = await scope.app({ apsw });
    await reader.startReader({ path: pair.copy, check_every: 50 });
    const stock = await scope.app();
    await stock.startReader({ path: pair.copy, check_every: 50 });
    await eventually("work done", async () => {
      const reports = [await reader.readerProgress(), await stock.readerProgress()];
      return ((await writer.writerProgress()).n > 3000 &&
        reports.every(({ count }) => count > 300)) || undefined;
    }, 40_000);
    assertUndisturbed(await writer.stopWriter());
    await assertInSync(pair);
    assertConsistent(await reader.stopReader());
    assertConsistent(await stock.stopReader());
    await assertNoRepairs(pair.replica);
  }, { limitMs: 240_000, ignore: !pip });
}
