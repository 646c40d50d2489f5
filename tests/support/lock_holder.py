"""Holds bytes of a -shm as a SQLite process that checkpoints and writes would.

Reads lines "lock|unlock FIRST LAST read|write" from stdin; answers "ok" or "busy". The descriptor is its own.
"""
import fcntl
import os
import struct
import sys

fd = os.open(sys.argv[1], os.O_RDWR)
for line in sys.stdin:
    what, first, last, kind = line.split()
    start, size = int(first), int(last) - int(first) + 1
    if what == "unlock":
        how = fcntl.F_UNLCK
    else:
        how = fcntl.F_WRLCK if kind == "write" else fcntl.F_RDLCK
    lock = struct.pack("hhqqi4x", how, os.SEEK_SET, start, size, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLK, lock)
        print("ok", flush=True)
    except OSError:
        print("busy", flush=True)
