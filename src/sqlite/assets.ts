/**
 * Where the files inside the executable are, and how a library is loaded from there without leaving
 * a file behind. May import: base/.
 *
 * Deno.dlopen of an embedded file unpacks it under a predictable name into the temporary directory,
 * which may be read-only, noexec or shared with others. A memfd is none of that.
 * @module
 */
import { LiveError, messageOf } from "../base/errors.ts";

const LIBRARY = "libsqlite3.so";

/** A path that Deno.dlopen can open; with the executable, an anonymous file of this process. */
export function libraryPath(): string {
  if (!Deno.build.standalone) return new URL(`../../dist/${LIBRARY}`, import.meta.url).pathname;
  // In the bundle this module's directory is the bundle's, and the library lies beside it.
  const bytes = Deno.readFileSync(`${import.meta.dirname}/${LIBRARY}`);
  return memoryFile(LIBRARY, bytes);
}

/** Writes `bytes` into a memfd and returns its path; it lives as long as the process. Linux only. */
function memoryFile(name: string, bytes: Uint8Array<ArrayBuffer>): string {
  const MFD_CLOEXEC = 1;
  try {
    using libc = new Libc();
    const fd = libc.symbols.memfd_create(new TextEncoder().encode(`${name}\0`), MFD_CLOEXEC);
    if (fd < 0) throw new Error("memfd_create failed");
    for (let done = 0; done < bytes.length;) {
      const wrote = Number(
        libc.symbols.write(fd, bytes.subarray(done), BigInt(bytes.length - done)),
      );
      if (wrote <= 0) throw new Error("write to memfd failed");
      done += wrote;
    }
    return `/proc/self/fd/${fd}`;
  } catch (error) {
    throw new LiveError("sqlite", `Cannot load SQLite from memory: ${messageOf(error)}`);
  }
}

class Libc implements Disposable {
  readonly #library = Deno.dlopen("libc.so.6", {
    // const char *name, unsigned flags
    memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
    // int fd, const void *bytes, size_t count
    write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  });
  readonly symbols = this.#library.symbols;
  [Symbol.dispose](): void {
    this.#library.close();
  }
}
