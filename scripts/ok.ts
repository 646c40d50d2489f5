/**
 * Everything that must hold before a commit: format, lint, types, tidy, then `deno task test` as the
 * README tells a newcomer, then two minutes of soak with a fresh seed. Ends with `N passed, N failed`;
 * each of the first four, and the soak, counts as one.
 * May import: scripts/tools.
 * @module
 */
import { countLine, print, ROOT, run, runScript } from "./tools.ts";

const CHECKS: readonly (readonly [name: string, args: readonly string[]])[] = [
  ["format", ["fmt", "--check", "--quiet"]],
  ["lint", ["lint", "--quiet"]],
  ["types", ["task", "--quiet", "check"]],
  ["tidy", ["task", "--quiet", "tidy"]],
];

/** Runs the tests, shows what they print and returns the counts of their last line. */
async function runTests(): Promise<{ passed: number; failed: number }> {
  const child = new Deno.Command("sh", {
    args: ["scripts/deno", "task", "--quiet", "test"],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
  }).spawn();
  let tail = "";
  const text = new TextDecoder();
  for await (const chunk of child.stdout) {
    Deno.stdout.writeSync(chunk);
    tail = (tail + text.decode(chunk, { stream: true })).slice(-1000);
  }
  const { code } = await child.status;
  const counts = tail.trimEnd().match(/(?:^|\n)(\d+) passed, (\d+) failed$/);
  const passed = Number(counts?.[1] ?? 0);
  const failed = Number(counts?.[2] ?? 0);
  return code !== 0 && failed === 0 ? { passed, failed: 1 } : { passed, failed };
}

/** Prints its seed first, and what it found last. */
const SOAK = ["run", "-A", "--no-check", "tests/soak/main.ts", "--minutes", "2"] as const;

await runScript(async () => {
  let passed = 0, failed = 0;
  const check = async (name: string, args: readonly string[]): Promise<void> => {
    print(`${name} ...`);
    const { code } = await run(Deno.execPath(), args, { show: true });
    print(`${name} ... ${code === 0 ? "ok" : "FAILED"}`);
    if (code === 0) passed++;
    else failed++;
  };
  for (const [name, args] of CHECKS) await check(name, args);
  const tests = await runTests();
  passed += tests.passed;
  failed += tests.failed;
  await check("soak", SOAK);
  print(countLine(passed, failed));
  return failed === 0 ? 0 : 1;
});
