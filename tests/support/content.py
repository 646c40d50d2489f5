"""Compares two databases page by page, as a reader would see them: the file, and over it the frames of
the WAL that are committed. Takes no locks and writes nothing: both must be quiet.

    content.py compare PRIMARY REPLICA   {"equal": bool, "pages": n, "problems": [...]}
    content.py describe PATH             {"pageSize": n, "pages": n, "walFrames": n, "byte18": n, ...}

It shares no code with what it checks.
"""

import hashlib
import json
import os
import struct
import sys

PENDING_BYTE = 0x40000000
WAL_HEADER, FRAME_HEADER = 32, 24


class Broken(Exception):
    pass


def checksum(data, order, s1, s2):
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2]):
        s1 = (s1 + first + s2) & 0xffffffff
        s2 = (s2 + second + s1) & 0xffffffff
    return s1, s2


def read_index(path):
    """The wal-index header, or None if there is none that is whole."""
    try:
        with open(path + "-shm", "rb") as file:
            data = file.read(136)
    except FileNotFoundError:
        return None
    if len(data) < 136:
        return None
    if data[:48] != data[48:96]:
        raise Broken(f"{path}-shm: the two headers differ")
    if data[12] != 1:
        return None
    if checksum(data[:40], "=", 0, 0) != struct.unpack("=II", data[40:48]):
        raise Broken(f"{path}-shm: wrong checksum")
    frames, pages, sum1, sum2 = struct.unpack("=IIII", data[16:32])
    return {"frames": frames, "pages": pages, "sums": (sum1, sum2), "salts": data[32:40]}


class Database:
    """The pages of one database at its last commit."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "rb")
        self.wal = None
        self.frame_of = {}
        self.frames = 0
        self.pages = None
        header = self.file.read(100)
        size = struct.unpack(">H", header[16:18])[0] if len(header) == 100 else 0
        self.page_size = 65536 if size == 1 else size
        self.index = read_index(path)
        if os.path.exists(path + "-wal") and os.path.getsize(path + "-wal") > WAL_HEADER:
            self.read_wal()
        if self.pages is None:
            self.pages = os.path.getsize(path) // self.page_size if self.page_size else 0

    def read_wal(self):
        self.wal = open(self.path + "-wal", "rb")
        header = self.wal.read(WAL_HEADER)
        magic, _version, page_size = struct.unpack(">III", header[:12])
        if magic >> 1 != 0x377f0682 >> 1:
            raise Broken(f"{self.path}-wal: not a WAL")
        order = ">" if magic & 1 else "<"
        sums = checksum(header[:24], order, 0, 0)
        whole = sums == struct.unpack(">II", header[24:32])
        salts = header[16:24]
        if self.index is not None:
            limit = self.index["frames"]
            if limit == 0:
                return  # the log has begun anew: what is in the file is of the past
            if not whole or salts != self.index["salts"]:
                raise Broken(f"{self.path}-wal: not the log that -shm is about")
        else:
            limit = None
            if not whole:
                return
        self.page_size = self.page_size or page_size
        self.scan(order, sums, salts, limit)

    def scan(self, order, sums, salts, limit):
        """With a wal-index its last checksum is compared, without one every frame's is."""
        step = FRAME_HEADER + self.page_size
        pending, frame = {}, 0
        while limit is None or frame < limit:
            self.wal.seek(WAL_HEADER + frame * step)
            head = self.wal.read(FRAME_HEADER)
            if len(head) < FRAME_HEADER or head[8:16] != salts:
                break
            stored = struct.unpack(">II", head[16:24])
            if limit is None:
                page = self.wal.read(self.page_size)
                if len(page) < self.page_size:
                    break
                sums = checksum(head[:8] + page, order, *sums)
                if sums != stored:
                    break
            frame += 1
            number, commit = struct.unpack(">II", head[:8])
            pending[number] = frame
            if commit:
                self.frame_of.update(pending)
                pending, self.frames, self.pages = {}, frame, commit
                last = stored
        if limit is None:
            return
        if frame != limit or pending:
            raise Broken(f"{self.path}-wal: {self.frames} committed frames, -shm says {limit}")
        if last != self.index["sums"] or self.pages != self.index["pages"]:
            raise Broken(f"{self.path}-wal: its last frame is not the one that -shm is about")

    def page(self, number):
        frame = self.frame_of.get(number)
        if frame is not None:
            at = WAL_HEADER + (frame - 1) * (FRAME_HEADER + self.page_size) + FRAME_HEADER
            self.wal.seek(at)
            return self.wal.read(self.page_size)
        self.file.seek((number - 1) * self.page_size)
        return self.file.read(self.page_size)


def is_lock_page(number, page_size):
    return number == PENDING_BYTE // page_size + 1


def masked(number, page):
    return page[:18] + b"\0" + page[19:] if number == 1 else page


def compare(first, second):
    a, b = Database(first), Database(second)
    problems = []
    for name in ("page_size", "pages"):
        if getattr(a, name) != getattr(b, name):
            problems.append(f"{name}: {getattr(a, name)} and {getattr(b, name)}")
    differing = 0
    for number in range(1, min(a.pages, b.pages) + 1):
        if is_lock_page(number, a.page_size):
            continue
        left, right = a.page(number), b.page(number)
        if len(left) != a.page_size or masked(number, left) != masked(number, right):
            differing += 1
            if differing <= 10:
                at = next((i for i, (x, y) in enumerate(zip(left, right))
                           if x != y and (number, i) != (1, 18)), min(len(left), len(right)))
                problems.append(f"page {number} differs from byte {at}")
    if differing > 10:
        problems.append(f"{differing} pages differ")
    return {"equal": not problems, "pages": a.pages, "problems": problems}


def describe(path):
    database = Database(path)
    digest = hashlib.sha256()
    for number in range(1, database.pages + 1):
        if not is_lock_page(number, database.page_size):
            digest.update(masked(number, database.page(number)))
    first = database.page(1) if database.pages else bytes(100)
    return {"pageSize": database.page_size, "pages": database.pages,
            "walFrames": database.frames, "byte18": first[18], "byte19": first[19],
            "sha256": digest.hexdigest()}


def main():
    commands = {"compare": compare, "describe": describe}
    try:
        print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))
    except (Broken, FileNotFoundError) as error:
        print(json.dumps({"equal": False, "pages": 0, "problems": [str(error)]}))


main()
