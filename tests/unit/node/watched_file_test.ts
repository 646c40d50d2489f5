import type { Bytes } from "../../../src/base/bytes.ts";
import { LiveError } from "../../../src/base/errors.ts";
import { WatchedFile } from "../../../src/node/watched_file.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";
import { FakeFile } from "../../support/fake_file.ts";

/** Bytes 100 to 199 cannot be read while `broken`. */
class BrokenFile extends FakeFile {
  broken = true;
  override read(into: Bytes, offset: number): boolean {
    if (this.broken && offset < 200 && offset + into.length > 100) {
      throw new LiveError("disk", "Cannot read: disk I/O error");
    }
    return super.read(into, offset);
  }
}

function broken(): { disk: BrokenFile; file: WatchedFile } {
  const disk = new BrokenFile(new Uint8Array(400));
  const file = new WatchedFile(disk);
  assertThrows(() => file.read(new Uint8Array(100), 100), /I.O error/);
  return { disk, file };
}

Deno.test("a read that failed is trouble, whatever is read elsewhere", () => {
  const { file } = broken();
  file.read(new Uint8Array(100), 0);
  file.read(new Uint8Array(100), 200);
  assertEquals(file.trouble, "Cannot read: disk I/O error");
});

Deno.test("a read that failed is tried again, and the trouble ends when it succeeds", () => {
  const { disk, file } = broken();
  file.retry();
  assertEquals(file.trouble, "Cannot read: disk I/O error");
  disk.broken = false;
  file.retry();
  assertEquals(file.trouble, undefined);
});

Deno.test("a read that failed is no trouble after the file was cut there", () => {
  const { disk, file } = broken();
  disk.broken = false;
  disk.truncate(50);
  file.retry();
  assertEquals(file.trouble, undefined);
});

Deno.test("a file without trouble reads nothing by itself", () => {
  const disk = new BrokenFile();
  new WatchedFile(disk).retry();
  assertEquals(disk.calls, []);
});
