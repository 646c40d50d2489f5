import { type Epoch, type Position, txid } from "../../../src/base/types.ts";
import { PositionFile } from "../../../src/node/position_file.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { type FakeEnv, fakeEnv } from "../../support/fake_env.ts";
import { inFolder } from "../../support/fixtures_sqlite.ts";

const EPOCH = "00000000000000e1" as Epoch;
const at = (id: number): Position => ({ epoch: EPOCH, txid: txid(id) });

function withFile(
  work: (
    file: PositionFile,
    read: () => string | undefined,
    env: FakeEnv,
    folder: string,
  ) => Promise<void>,
): Promise<void> {
  return inFolder(async (folder) => {
    const env = fakeEnv();
    const read = (): string | undefined => {
      try {
        return Deno.readTextFileSync(`${folder}/position`);
      } catch {
        return undefined;
      }
    };
    await work(new PositionFile(() => folder, env), read, env, folder);
  });
}

const line = (id: number): string => `${EPOCH}/${id.toString(16).padStart(16, "0")}\n`;

Deno.test("the first position is written at once, later ones 20 ms late, the last one always", () =>
  withFile(async (file, read, env) => {
    file.isAt(at(1));
    assertEquals([read(), env.clock.waiting], [line(1), 0]); // idle costs nothing
    for (const id of [2, 4]) {
      file.isAt(at(id));
      await env.clock.advance(19);
      file.isAt(at(id + 1));
      assertEquals(read(), line(id - 1));
      await env.clock.advance(1);
      assertEquals([read(), env.clock.waiting], [line(id + 1), 0]);
    }
    file.flush();
  }));

Deno.test("flush() leaves the last position, forget() none", () =>
  withFile(async (file, read, env) => {
    file.isAt(at(1));
    file.isAt(at(2));
    file.flush();
    assertEquals(read(), line(2));
    file.isAt(at(3));
    file.forget();
    assertEquals(read(), undefined);
    await env.clock.advance(5000);
    assertEquals([read(), env.clock.waiting], [undefined, 0]);
    file.isAt(at(3));
    assertEquals(read(), line(3));
    file.flush();
  }));

Deno.test("a position that cannot be written is trouble until it can", () =>
  withFile(async (file, read, env, folder) => {
    await Deno.mkdir(`${folder}/position.new`);
    file.isAt(at(1));
    assert(file.trouble?.startsWith(`cannot write "${folder}/position": `));
    await env.clock.advance(3000);
    assertEquals(env.lines.length, 1);
    await Deno.remove(`${folder}/position.new`);
    await env.clock.advance(1000);
    assertEquals([read(), file.trouble], [line(1), undefined]);
    file.flush();
  }));
