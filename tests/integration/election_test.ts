import { fileURLToPath } from "node:url";
import { assertEquals } from "../support/assert.ts";
import { EXECUTABLE, type LiveNode } from "../support/node.ts";
import { Child, eventually } from "../support/process.ts";
import {
  assertSameContent,
  assertSamePosition,
  assertUndisturbed,
  primaryOf,
  replicaOf,
} from "../support/replication.ts";
import { scopedTest } from "../support/scope.ts";

const EXAMPLE = fileURLToPath(new URL("../../examples/failover.sh", import.meta.url));

scopedTest(
  "examples/failover.sh promotes one replica when the holder of the lock dies",
  async (scope) => {
    const source = await scope.path("old/app.db");
    const writer = await scope.app();
    await writer.startWriter({ path: source, count: 200 });
    assertUndisturbed(await writer.joinWriter());
    const old = await scope.start("old", primaryOf(source));
    const lock = `${scope.folder}/lock`;
    const path = `${EXECUTABLE.slice(0, EXECUTABLE.lastIndexOf("/"))}:/usr/bin:/bin`;
    const candidate = (node: LiveNode): Child =>
      scope.own(
        new Child({
          program: "/bin/sh",
          args: [EXAMPLE, lock, node.configPath],
          clearEnv: true,
          env: { PATH: path },
        }),
      );
    const promoted = (child: Child): boolean =>
      child.stdout.kept.some((line) => /^promoted/.test(line));

    const first = candidate(old); // a primary already: it takes the lock
    await eventually("the primary holds the lock", () => promoted(first) || undefined);
    const nodes: LiveNode[] = [];
    const copies: string[] = [];
    for (const name of ["a", "b"]) {
      const copy = await scope.path(`${name}/app.db`);
      copies.push(copy);
      nodes.push(await scope.start(name, replicaOf(copy, old, source)));
    }
    const candidates = nodes.map(candidate);
    for (const node of nodes) await assertSamePosition(old, node);
    assertEquals(candidates.map(promoted), [false, false], "the lock is held");

    await old.kill();
    await first.kill();
    const winner = await eventually("one is promoted", () => {
      const at = candidates.findIndex(promoted);
      return at < 0 ? undefined : at;
    });
    const loser = 1 - winner;
    assertEquals((await nodes[winner]!.database()).role, "primary");
    assertEquals((await nodes[loser]!.database()).role, "replica");
    nodes[loser]!.reload(replicaOf(copies[loser]!, nodes[winner]!, copies[winner]!));
    await writer.startWriter({ path: copies[winner]!, count: 20 });
    assertUndisturbed(await writer.joinWriter());
    await assertSamePosition(nodes[winner]!, nodes[loser]!);
    await assertSameContent(copies[winner]!, [copies[loser]!]);
    assertEquals(promoted(candidates[loser]!), false);
  },
);
