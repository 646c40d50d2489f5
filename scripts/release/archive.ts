/**
 * tar (ustar) and ar, written so that the same files give the same bytes: sorted, of root, one time.
 * May import: scripts/tools.
 * @module
 */
import { ScriptError } from "../tools.ts";

export interface Entry {
  /** Relative, without "./". */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** 0o644 or 0o755. */
  readonly mode: number;
}

const BLOCK = 512;
const TAR_NAME_BYTES = 100;

/**
 * A tar of these files and of the directories above them. `seconds` is everybody's mtime, since 1970;
 * `prefix` stands before each path.
 * @throws {ScriptError} for a path that is too long or there twice.
 */
export function tar(entries: readonly Entry[], seconds: number, prefix = ""): Uint8Array {
  const folders = new Set<string>();
  if (prefix === "./") folders.add("");
  for (const { path } of entries) {
    for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) {
      folders.add(path.slice(0, at + 1));
    }
  }
  const all = [
    ...[...folders].map((path) => ({ path, bytes: new Uint8Array(), mode: 0o755 })),
    ...entries,
  ].sort((a, b) => (a.path < b.path ? -1 : 1));
  const parts: Uint8Array[] = [];
  let last: string | undefined;
  for (const { path, bytes, mode } of all) {
    if (path === last) throw new ScriptError(`Cannot pack "${path}" twice`);
    last = path;
    const isFolder = path === "" || path.endsWith("/");
    parts.push(
      tarHeader({ name: `${prefix}${path}`, size: bytes.length, mode, seconds, isFolder }),
    );
    parts.push(bytes, new Uint8Array(-bytes.length & (BLOCK - 1)));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  return concat(parts);
}

interface Header {
  readonly name: string;
  readonly size: number;
  readonly mode: number;
  readonly seconds: number;
  readonly isFolder: boolean;
}

function tarHeader({ name, size, mode, seconds, isFolder }: Header): Uint8Array {
  const header = new Uint8Array(BLOCK);
  const put = (offset: number, text: string): void =>
    void new TextEncoder().encodeInto(text, header.subarray(offset));
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, "0");
  if (new TextEncoder().encode(name).length > TAR_NAME_BYTES) {
    throw new ScriptError(`Cannot pack "${name}": longer than ${TAR_NAME_BYTES} bytes`);
  }
  put(0, name);
  put(100, octal(mode, 7));
  put(108, octal(0, 7)); // user
  put(116, octal(0, 7)); // group
  put(124, octal(size, 11));
  put(136, octal(seconds, 11));
  put(148, " ".repeat(8)); // the checksum counts itself as spaces
  put(156, isFolder ? "5" : "0");
  put(257, "ustar\0" + "00");
  put(265, "root");
  put(297, "root");
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(148, `${octal(sum, 6)}\0 `);
  return header;
}

/** The archive that a .deb is: members in the order given. */
export function ar(members: readonly Omit<Entry, "mode">[], seconds: number): Uint8Array {
  const parts: Uint8Array[] = [new TextEncoder().encode("!<arch>\n")];
  for (const { path, bytes } of members) {
    if (path.length > 16) throw new ScriptError(`Cannot pack "${path}": longer than 16 bytes`);
    const fields = [path.padEnd(16), String(seconds).padEnd(12), "0".padEnd(6), "0".padEnd(6)];
    const header = `${fields.join("")}${"100644".padEnd(8)}${String(bytes.length).padEnd(10)}\`\n`;
    parts.push(new TextEncoder().encode(header), bytes);
    if (bytes.length % 2 === 1) parts.push(new TextEncoder().encode("\n"));
  }
  return concat(parts);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
