/**
 * tests/fault/shim.c under the processes of a test: what they write is recorded, and calls of theirs
 * fail on demand. Needs a C compiler. May import: tests/support.
 * @module
 */
import { fileURLToPath } from "node:url";
import { EXECUTABLE } from "./node.ts";
import { Child } from "./process.ts";
import type { Scope } from "./scope.ts";

const SOURCE = fileURLToPath(new URL("../fault/shim.c", import.meta.url));
const DISK = fileURLToPath(new URL("../fault/shim_disk.py", import.meta.url));

/** The same numbers as in shim.c. */
const ON = {
  open: 1,
  write: 2,
  sync: 3,
  truncate: 4,
  link: 5,
  unlink: 6,
  mkdir: 7,
  read: 8,
} as const;
const ERRNO = { short: 0, EIO: 5, ENOSPC: 28, kill: 4096, hang: 0xffff } as const;
const RULE = { bytes: 256, path: 224, most: 512 } as const;
const MAGIC = 0x4d494853;
const MARK = 50;
const NEVER = 0xffffffff;

export type Call = keyof typeof ON;
/**
 * "short": half of a write is done, and a write of one byte fails with ENOSPC. "hang": the call does not
 * return until the rule is ended, and then succeeds. "kill": the process ends, as by kill -9.
 */
export type Failure = keyof typeof ERRNO;

export interface Rule {
  /** Absolute, links resolved. */
  readonly path: string;
  readonly on: Call;
  readonly failure: Failure;
  /** The calls from..to fail, counted from 1; without `to` all from `from` on. */
  readonly from: number;
  readonly to?: number;
}

/** Another build to test: shows that a test finds a bug that was put in on purpose. */
export function executable(): string {
  return Deno.env.get("SHIM_EXECUTABLE") ?? EXECUTABLE;
}

async function compile(folder: string): Promise<string> {
  const library = `${folder}/shim.so`;
  const args = ["-O1", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"];
  let child: Child;
  try {
    child = new Child({ program: "cc", args });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(
      `A C compiler is needed to test power loss and I/O errors, no "cc": ${message}`,
    );
  }
  await using compiler = child;
  const { code } = await compiler.wait(60_000);
  const said = compiler.stderr.kept.join("\n");
  if (code !== 0 || said !== "") throw new Error(`${SOURCE} does not compile cleanly:\n${said}`);
  return library;
}

export interface ShimOptions {
  /** fsync does nothing for so long, so that there is a moment to lose something in. */
  readonly syncUs?: number;
}

export class Shim {
  readonly #library: string;
  readonly #options: ShimOptions;

  private constructor(
    library: string,
    readonly root: string,
    readonly record: string,
    readonly rules: Rules,
    options: ShimOptions,
  ) {
    this.#library = library;
    this.#options = options;
  }

  /** Watches all below `<scope>/disk`, in whose folders `tops` the test's files are. */
  static async make(
    scope: Scope,
    tops: readonly string[],
    options: ShimOptions = {},
  ): Promise<Shim> {
    const folder = await Deno.realPath(scope.folder);
    const root = `${folder}/disk`;
    for (const top of tops) await Deno.mkdir(`${root}/${top}`, { recursive: true });
    await Deno.writeTextFile(`${folder}/record`, "");
    const rules = new Rules(`${folder}/rules`);
    return new Shim(await compile(folder), root, `${folder}/record`, rules, options);
  }

  /** For a process under the shim. */
  env(options: { readonly recorded?: boolean } = {}): Record<string, string> {
    const { syncUs } = this.#options;
    return {
      LD_PRELOAD: this.#library,
      SHIM_ROOT: this.root,
      SHIM_RULES: this.rules.path,
      ...(options.recorded === false ? {} : { SHIM_RECORD: this.record }),
      ...(syncUs === undefined ? {} : { SHIM_SYNC_US: String(syncUs) }),
    };
  }

  /** Another boot, for processes started with this. */
  async boot(id: string): Promise<Record<string, string>> {
    const path = `${this.record}-boot-${id}`;
    await Deno.writeTextFile(path, `${id}\n`);
    return { SHIM_BOOT_ID: path };
  }

  /** Something the test knows to be true from here on in the record. */
  mark(text: string): void {
    const path = new TextEncoder().encode(text);
    const bytes = new Uint8Array(48 + path.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, MARK, true);
    view.setUint32(36, path.length, true);
    bytes.set(path, 48);
    using file = Deno.openSync(this.record, { append: true });
    file.writeSync(bytes);
  }
}

/** The rules which calls fail: a file that is mapped into each process under the shim. */
export class Rules {
  #count = 0;

  constructor(readonly path: string) {
    Deno.writeFileSync(path, new Uint8Array(RULE.bytes * RULE.most));
  }

  add({ path, on, failure, from, to = NEVER }: Rule): AddedRule {
    if (this.#count >= RULE.most) throw new RangeError("too many rules");
    const bytes = new Uint8Array(RULE.bytes);
    const name = new TextEncoder().encode(path);
    if (name.length >= RULE.path) throw new RangeError(`too long a path: ${path}`);
    bytes.set(name);
    const view = new DataView(bytes.buffer, RULE.path);
    for (const [nth, word] of [ON[on], ERRNO[failure], from, to].entries()) {
      view.setUint32(4 * nth, word, true);
    }
    const rule = new AddedRule(this.path, this.#count++ * RULE.bytes + RULE.path);
    using file = Deno.openSync(this.path, { write: true });
    file.seekSync(rule.at - RULE.path, Deno.SeekMode.Start);
    file.writeSync(bytes);
    return rule;
  }
}

export class AddedRule {
  constructor(private readonly path: string, readonly at: number) {}

  /** Matching calls so far, and how many of them failed. */
  read(): { readonly seen: number; readonly fired: number } {
    using file = Deno.openSync(this.path, { read: true });
    file.seekSync(this.at + 16, Deno.SeekMode.Start);
    const words = new Uint32Array(2);
    file.readSync(new Uint8Array(words.buffer));
    return { seen: words[0]!, fired: words[1]! };
  }

  /** Fails no more. */
  end(): void {
    using file = Deno.openSync(this.path, { write: true });
    file.seekSync(this.at + 12, Deno.SeekMode.Start);
    file.writeSync(new Uint8Array(4));
  }
}

export interface DiskOptions {
  readonly record: string;
  readonly root: string;
  /** Folders of `root` that lose what was not fsynced. */
  readonly lossy: readonly string[];
  /** The database that is looked at, below `root`. */
  readonly database: string;
  readonly seed: number;
  /** Images, at most. */
  readonly most: number;
  /** Where images are made. */
  readonly work: string;
  /** So many of each place between the marks "begin" and "end", and all that differ are kept. */
  readonly draws?: number;
  /** How many are kept, and where. */
  readonly keep?: number;
  readonly kept?: string;
  readonly floor?: "full";
  /** Which txid was which number of commits. */
  readonly txids?: TxidBase;
  /** Where to make what the end of the record leaves, if nothing lasts that was not fsynced. */
  readonly last?: string;
}

export interface TxidBase {
  readonly txid: number;
  readonly commits: number;
}

export interface KeptImage {
  readonly folder: string;
  readonly cut: number;
  readonly policy: string;
  /** Of the changes of names, where that was drawn apart. */
  readonly names: string | null;
  /** What stock SQLite read in it; null if there is no database. */
  readonly n: number | null;
  /** What it must at least be. */
  readonly floor: number;
  /** The marks "said WORD" before the cut. */
  readonly said: readonly string[];
}

export interface DiskReport {
  readonly records: number;
  readonly boundaries: number;
  readonly images: number;
  /** Images without a database (a first copy under way). */
  readonly absent: number;
  /** How many different n there were. */
  readonly states: number;
  /** How often the log began anew. */
  readonly logs: number;
  readonly bad?: number;
  readonly failures: readonly Readonly<Record<string, unknown>>[];
  /** What the record does not explain. */
  readonly differences: readonly string[];
  readonly kept: readonly KeptImage[];
  /** n by number of commits. */
  readonly commits: Readonly<Record<string, number>>;
}

/** Makes and checks images in a child process; failures stand in the report. */
export async function powerCuts(options: DiskOptions): Promise<DiskReport> {
  const kept = Deno.env.get("SHIM_KEEP");
  const all = kept === undefined ? options : { ...options, keep_failures: kept };
  await using child = new Child({ program: "python3", args: ["-B", DISK, JSON.stringify(all)] });
  const { code } = await child.wait(600_000);
  if (code !== 0) throw new Error(`shim_disk.py failed:\n${child.stderr.kept.join("\n")}`);
  if (kept !== undefined) await Deno.copyFile(options.record, `${kept}/record-${options.seed}`);
  return JSON.parse(child.stdout.kept.join(""));
}

/** A fast place for many small files, if there is one. */
export async function scratch(scope: Scope): Promise<string> {
  try {
    const folder = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "litestream-live-" });
    scope.own({
      [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
    });
    return folder;
  } catch {
    return await scope.path("scratch/images").then((path) => path);
  }
}
