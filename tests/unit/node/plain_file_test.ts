import { codeOf } from "../../../src/base/errors.ts";
import { PlainFile } from "../../../src/node/plain_file.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../../support/assert.ts";
import { inFolder } from "../../support/fixtures_sqlite.ts";

Deno.test("a plain file is read to its end, and what is behind it is zero", () =>
  inFolder((folder) => {
    Deno.writeTextFileSync(`${folder}/a`, "abcdef");
    using file = PlainFile.open(`${folder}/a`);
    const into = new Uint8Array([9, 9, 9, 9]);
    assert(file.read(into, 1));
    assertEquals(new TextDecoder().decode(into), "bcde");
    assert(!file.read(into, 4));
    assertEquals([...into], [101, 102, 0, 0]);
    assertEquals(file.size(), 6);
  }));

Deno.test("a plain file's errors are those of operation, with its name", () =>
  inFolder((folder) => {
    const missing = assertThrows(() => PlainFile.open(`${folder}/none`));
    assertEquals(codeOf(missing), "not_ready");
    assertMatch(String(missing), /Cannot read ".*\/none": /);
    using file = PlainFile.open(folder); // a directory opens, and cannot be read
    assertEquals(codeOf(assertThrows(() => file.read(new Uint8Array(1), 0))), "disk");
  }));
