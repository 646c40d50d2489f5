/**
 * File systems on which SQLite's locks and shared memory may not work: a WAL database there is damaged
 * sooner or later. May import: base/.
 * @module
 */
import { cString, sqlite } from "./library.ts";

/** Source: statfs(2), linux/magic.h */
const UNSAFE: Readonly<Record<number, string>> = {
  0x6969: "NFS",
  0x517b: "SMB",
  0xff534d42: "CIFS",
  0xfe534d42: "SMB2",
  0x01021997: "9P",
  0x65735546: "FUSE or virtiofs",
  0x00c36400: "Ceph",
  0x5346414f: "AFS",
  0x6b414653: "AFS",
  0x73757245: "Coda",
  0x01161970: "GFS2",
  0x7461636f: "OCFS2",
  0x0bd00bd0: "Lustre",
  0x786f4256: "VirtualBox shared folders",
  0x47504653: "GPFS",
};

/** The name of an unsafe file system type, undefined for any other. */
export function unsafeName(type: number): string | undefined {
  return UNSAFE[type];
}

/** The name of the unsafe file system that holds `path`; undefined if it is a local one. */
export function unsafeFilesystem(path: string): string | undefined {
  return unsafeName(Number(sqlite().live_fs_type(cString(path))));
}
