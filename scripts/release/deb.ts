/**
 * The .deb: an ar of control.tar.gz and data.tar.xz. It starts nothing when it is installed first, goes
 * on with the new version when it is upgraded, and touches no database, ever.
 * May import: scripts/tools, scripts/release.
 * @module
 */
import { createHash } from "node:crypto";
import { ar, type Entry, tar } from "./archive.ts";
import { type Effort, gzip, xz } from "./compress.ts";

export type Architecture = "amd64" | "arm64";

export interface DebOptions {
  readonly version: string;
  readonly architecture: Architecture;
  /** Installed files, by their path without the first slash. */
  readonly files: readonly Entry[];
  /** Absolute paths of files that an upgrade must not overwrite. */
  readonly conffiles: readonly string[];
  /** postinst, prerm, postrm by name. */
  readonly scripts: ReadonlyMap<string, string>;
  /** mtime of everything, since 1970. */
  readonly seconds: number;
  readonly effort: Effort;
}

/** A pre-release sorts before its release: 1.0.0-rc.1 is 1.0.0~rc.1 there. */
export function debianVersion(version: string): string {
  return version.replace("-", "~");
}

export async function debianPackage(options: DebOptions): Promise<Uint8Array> {
  const { files, seconds, effort } = options;
  const data = tar(files, seconds, "./");
  const control = tar(controlFiles(options), seconds, "./");
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  return ar([
    { path: "debian-binary", bytes: text("2.0\n") },
    { path: "control.tar.gz", bytes: await gzip(control, effort) },
    effort === "best"
      ? { path: "data.tar.xz", bytes: await xz(data) }
      : { path: "data.tar.gz", bytes: await gzip(data, effort) },
  ], seconds);
}

function controlFiles(options: DebOptions): Entry[] {
  const { files, conffiles, scripts } = options;
  const sums = [...files].sort((a, b) => (a.path < b.path ? -1 : 1)).map(({ path, bytes }) =>
    `${createHash("md5").update(bytes).digest("hex")}  ${path}\n`
  );
  const plain = (path: string, text: string, mode = 0o644): Entry => ({
    path,
    bytes: new TextEncoder().encode(text),
    mode,
  });
  return [
    plain("control", controlText(options)),
    plain("conffiles", conffiles.map((path) => `${path}\n`).join("")),
    plain("md5sums", sums.join("")),
    ...[...scripts].map(([name, script]) => plain(name, script, 0o755)),
  ];
}

function controlText({ version, architecture, files }: DebOptions): string {
  const kibibytes = Math.ceil(files.reduce((all, { bytes }) => all + bytes.length, 0) / 1024);
  return `Package: litestream-live
Version: ${debianVersion(version)}
Architecture: ${architecture}
Maintainer: The litestream-live authors
Installed-Size: ${kibibytes}
Depends: libc6 (>= 2.27), libgcc-s1 | libgcc1
Section: database
Priority: optional
Description: live read replication for SQLite
 Runs beside an application, sends every commit of an ordinary SQLite file to
 other machines, and keeps a file there that any stock SQLite can open and read.
 .
 Nothing is started until /etc/litestream-live.yml names a database and the
 service is enabled.
`;
}
