/**
 * Process chaos: `deno task soak --minutes M --seed N`. A primary, three replicas, writers and readers
 * of several SQLite versions, and a nemesis. Exit code 0, or 1 with a list of what must not be.
 * May import: tests/support, tests/soak.
 *
 * The run itself is in a mount namespace of its own (if the system allows that), so that two nodes can
 * have small file systems that are gone with it.
 * @module
 */
import { EXECUTABLE } from "../support/node.ts";
import { Ledger } from "./ledger.ts";
import { parseOptions, type SoakOptions, UsageError } from "./options.ts";
import { run } from "./run.ts";
import { asTable } from "./summary.ts";

const INNER = "LITESTREAM_LIVE_SOAK";
const NAMESPACES: readonly (readonly string[])[] = [
  ["--mount", "--propagation", "private"],
  ["--user", "--map-root-user", "--mount", "--propagation", "private"],
];

async function main(args: readonly string[]): Promise<number> {
  const chosen = crypto.getRandomValues(new Uint32Array(1))[0]!;
  const options = parseOptions(args, chosen);
  const inner = Deno.env.get(INNER);
  if (inner !== undefined) return await soak(options, inner === "disks");
  const print = printer(options);
  print(`seed ${options.seed}`);
  const again = ["run", "-A", import.meta.filename!, ...args, "--seed", String(options.seed)];
  for (const flags of NAMESPACES) {
    if (!await canMount(flags)) continue;
    return await inherit("unshare", [...flags, "--", Deno.execPath(), ...again], "disks");
  }
  print("no private mounts on this machine: no disk is filled");
  return await soak(options, false);
}

async function soak(options: SoakOptions, smallDisks: boolean): Promise<number> {
  const print = printer(options);
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, abort);
  const ledger = new Ledger(print);
  const folder = await Deno.makeTempDir({ prefix: "litestream-live-soak-" });
  const executable = `${folder}/litestream-live`;
  await Deno.copyFile(options.executable ?? EXECUTABLE, executable); // a build may replace it
  const { seed, minutes, keepGoing } = options;
  const { signal } = stop;
  const summary = await run({
    seed,
    minutes,
    keepGoing,
    executable,
    folder,
    smallDisks,
    ledger,
    signal,
  });
  if (options.json) Deno.stdout.writeSync(encode(`${JSON.stringify(summary)}\n`));
  else print(`\n${asTable(summary)}`);
  await Deno.remove(executable);
  if (summary.ok) {
    await Deno.remove(folder, { recursive: true });
    return 0;
  }
  print(`\nfiles and logs of this run: ${folder}\nagain: deno task soak --seed ${seed}`);
  return 1;
}

function printer({ json }: SoakOptions): (line: string) => void {
  return (line) => (json ? Deno.stderr : Deno.stdout).writeSync(encode(`${line}\n`));
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

async function canMount(flags: readonly string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command("unshare", {
      args: [...flags, "--", "mount", "-t", "tmpfs", "-o", "size=1m", "soak", "/tmp"],
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch { // there is no unshare
    return false;
  }
}

/** Runs the same program inside; it gets Ctrl-C by itself, other signals from here. */
async function inherit(program: string, args: readonly string[], inner: string): Promise<number> {
  const child = new Deno.Command(program, {
    args: [...args],
    env: { [INNER]: inner },
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  const pass = (): void => child.kill("SIGTERM");
  Deno.addSignalListener("SIGTERM", pass);
  Deno.addSignalListener("SIGINT", () => {});
  const { code } = await child.status;
  Deno.removeSignalListener("SIGTERM", pass);
  return code;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    Deno.stderr.writeSync(encode(`${error.message}\n`));
    Deno.exit(2);
  }
}
