/**
 * Root directories of other systems, entered as an ordinary user (unshare -r, chroot): one with glibc
 * and nothing else, one with a shell and dpkg's database. May import: tests/support, scripts/tools.
 * @module
 */
import { run, runOrFail } from "../../scripts/tools.ts";
import type { Scope } from "./scope.ts";

/** What glibc and gcc bring; an executable that needs more would not run on a minimal system. */
const KNOWN = /^(libc|libm|libdl|librt|libpthread|libgcc_s|ld-linux-[\w-]+)\.so\.\d+$/;

/** Copies the loader and the libraries that `program` needs to the same places below `root`. */
async function copyLibraries(program: string, root: string): Promise<void> {
  const listed = await runOrFail(`list what ${program} needs`, "ldd", [program]);
  for (const [, path] of listed.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)) {
    const name = path!.slice(path!.lastIndexOf("/") + 1);
    if (!KNOWN.test(name)) throw new Error(`${program} needs ${name}`);
    await copyInto(root, path!);
  }
}

async function copyInto(root: string, path: string): Promise<void> {
  await Deno.mkdir(`${root}${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
  await Deno.copyFile(path, `${root}${path}`);
}

export interface MinimalRoot {
  readonly root: string;
  /** Before a program inside: it sees /proc, and the test's directory at the same path as outside. */
  readonly wrapper: readonly string[];
}

/** No shell, no Node, no /etc: what `executable` is linked with and an empty /tmp. */
export async function minimalRoot(scope: Scope, executable: string): Promise<MinimalRoot> {
  const root = await scope.path("root/tmp").then((path) => path.slice(0, -"/tmp".length));
  for (const folder of ["tmp", "proc"]) await Deno.mkdir(`${root}/${folder}`, { recursive: true });
  await Deno.mkdir(`${root}${scope.folder}`, { recursive: true });
  await copyLibraries(executable, root);
  const script = `mount --rbind /proc "${root}/proc" && ` +
    `mount --bind "${scope.folder}" "${root}${scope.folder}" && exec chroot "${root}" "$0" "$@"`;
  return { root, wrapper: ["unshare", "-r", "-m", "sh", "-c", script] };
}

export interface PackageRoot {
  readonly root: string;
  /** Runs dpkg on it; what it prints on stdout. */
  dpkg(...args: string[]): Promise<string>;
  /** What the package's scripts asked of systemd, one line a call. */
  systemctlCalls(): Promise<string[]>;
}

/** A shell, an empty package database, and a systemctl that only notes what it is asked. */
export async function packageRoot(scope: Scope): Promise<PackageRoot> {
  const root = await scope.path("root/tmp").then((path) => path.slice(0, -"/tmp".length));
  for (const folder of ["info", "updates", "triggers"]) {
    await Deno.mkdir(`${root}/var/lib/dpkg/${folder}`, { recursive: true });
  }
  for (const folder of ["run/systemd/system", "usr/bin", "bin", "etc"]) {
    await Deno.mkdir(`${root}/${folder}`, { recursive: true });
  }
  await Deno.writeTextFile(`${root}/var/lib/dpkg/status`, "");
  const shell = await Deno.realPath("/bin/sh");
  await copyLibraries(shell, root);
  await Deno.copyFile(shell, `${root}/bin/sh`);
  const systemctl = `${root}/usr/bin/systemctl`;
  await Deno.writeTextFile(systemctl, '#!/bin/sh\necho "$*" >> /calls\n');
  await Deno.chmod(systemctl, 0o755);
  await Deno.writeTextFile(`${root}/calls`, "");
  const force = "--force-depends,bad-path,confold,unsafe-io,not-root";
  return {
    root,
    async dpkg(...args) {
      const all = ["-r", "dpkg", `--root=${root}`, `--log=${root}/dpkg.log`, force, ...args];
      const { code, stdout, stderr } = await run("unshare", all);
      if (code !== 0) throw new Error(`dpkg ${args.join(" ")}: ${stderr}`);
      return stdout;
    },
    async systemctlCalls() {
      return (await Deno.readTextFile(`${root}/calls`)).trimEnd().split("\n");
    },
  };
}
