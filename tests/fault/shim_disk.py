"""What a power cut may leave on the disk, from the record that shim.c wrote.

    shim_disk.py OPTIONS-AS-JSON
    {"record": file, "root": directory, "lossy": ["replica"], "database": "replica/app.db", "seed": 1,
     "most": 300, "work": directory, "keep": 20, "kept": directory, "floor": "full"?,
     "txids": {"txid": t, "commits": c}?, "last": directory?, "keep_failures": directory?, "only": [cut]?,
     "draws": images of each cut?}

Prints one JSON object: how many images were made and what is wrong with which. `seed` and the cut give
the same image again ("only": [cut] makes just that one). "last" is for what is left if the power fails
at the end of the record and nothing lasts that was not fsynced. With "draws" every place between the
marks "begin" and "end" is cut so often, and each image that differs from all others is kept.

The model. A *cut* is a place in the record. What an fsync that has ended before the cut covered is on
the disk, of that file alone: each write before the fsync began. Of the rest each 512-byte sector is
there or not, in any order; each change of a size too; where a file became longer than what was written
there are zeros or noise. Names (made, linked, removed, renamed) last once their directory is fsynced; of
the others each name has had any number of its changes, and a rename has happened to both of its names or
to neither, whatever is on the disk of the file. In images of the kind "journal" it is as on ext4 and XFS
instead: changes of names happen in order, and any fsync makes those before it last. At the
mark "writeback" all is on the disk, as some time after the last write it is in any case. Of the -shm,
which is memory, there is nothing or noise. Directories of `root` that are not `lossy` lose nothing.

The record is checked first: all of it replayed must give the files that are there.
"""

import hashlib
import json
import os
import random
import shutil
import sqlite3
import struct
import sys

import shim_content

CREATE, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, LINK, UNLINK, MKDIR, RMDIR, RENAME = range(1, 11)
MARK, ODD = 50, 99
HEAD = struct.Struct("<IIIIQqIIII")
SECTOR = 512
POLICIES = ("none", "all", "files", "early", "sectors", "writes", "writes", "late", "late", "late")
START = 150  # records: the first copy, the first log


class Record:
    __slots__ = ("op", "thread", "inode", "offset", "data", "path", "other")


def records_of(path):
    with open(path, "rb") as file:
        data = file.read()
    at, records = 0, []
    while at + HEAD.size <= len(data):
        magic, op, pid, tid, inode, offset, size, length, length2, _ = HEAD.unpack_from(data, at)
        if magic != 0x4d494853:
            raise SystemExit(f"no record at byte {at}")
        at += HEAD.size
        if at + length + length2 + size > len(data):
            break  # its program was killed
        record = Record()
        record.op, record.thread, record.inode, record.offset = op, (pid, tid), inode, offset
        record.path = data[at:at + length].decode()
        record.other = data[at + length:at + length + length2].decode()
        at += length + length2
        record.data = data[at:at + size]
        at += size
        if op == ODD:
            raise SystemExit(f"the model knows no {record.other} ({record.path})")
        records.append(record)
    return records


class File:
    def __init__(self):
        self.durable = bytearray()
        self.pending = []  # (serial, offset, bytes), or (serial, size, None)
        self.last = ""

    def settle(self, before):
        """An fsync that began at serial `before` has ended."""
        kept = 0
        for serial, at, data in self.pending:
            if serial >= before:
                break
            put(self.durable, at, data)
            kept += 1
        del self.pending[:kept]

    def landed(self):
        content = bytearray(self.durable)
        for _, at, data in self.pending:
            put(content, at, data)
        return content

    def cut(self, policy, rng):
        """What is there after a power cut."""
        if policy == "none":
            return self.durable
        if policy == "all":
            return self.landed()
        if policy == "files":
            return self.landed() if rng.random() < 0.5 else self.durable
        content = bytearray(self.durable)
        count = len(self.pending)
        border = rng.randint(0, count)
        likely = rng.choice((0.1, 0.5, 0.9))
        dirt = rng.random() < 0.5
        for nth, (_, at, data) in enumerate(self.pending):
            if policy == "early":
                share = 1 if nth < border else 0.5 if nth == border else 0
            elif policy == "late":
                share = 1 if nth > border else 0.5 if nth == border else 0
            elif policy == "writes":
                share = 1 if rng.random() < likely else 0
            else:
                share = likely
            if data is None:
                if rng.random() < share:
                    put(content, at, None)
                continue
            if share == 0:
                continue
            position, end = at, at + len(data)
            while position < end:
                stop = end if share == 1 else min(end, position - position % SECTOR + SECTOR)
                if rng.random() < share:
                    if position > len(content) and dirt:
                        content.extend(rng.randbytes(position - len(content)))
                    put(content, position, data[position - at:stop - at])
                position = stop
        return content


def put(content, at, data):
    if data is None:
        if at < len(content):
            del content[at:]
        else:
            content.extend(bytes(at - len(content)))
        return
    if at > len(content):
        content.extend(bytes(at - len(content)))
    content[at:at + len(data)] = data


class Folder:
    def __init__(self):
        self.changes = []  # (serial, name, what it is now or None)
        self.synced = 0

    def settle(self, before):
        self.synced = max(self.synced, before)

    def names(self, policy, journal, journal_end, rng):
        result = {}
        if policy == "all":
            return {name: node for _, name, node in self.changes if node is not None
                    and self.current(name) is node}
        if journal:
            for serial, name, node in self.changes:
                if serial < journal_end:
                    result[name] = node
        else:
            seen, took = {}, {}
            for serial, name, node in self.changes:
                seen.setdefault(name, []).append((serial, node))
            for name, changes in seen.items():
                sure = sum(serial < self.synced for serial, _ in changes)
                took[name] = sure if policy == "none" else rng.randint(sure, len(changes))
            self.join_renames(seen, took)
            for name, changes in seen.items():
                if took[name] > 0:
                    result[name] = changes[took[name] - 1][1]
        return {name: node for name, node in result.items() if node is not None}

    @staticmethod
    def join_renames(seen, took):
        """A rename is one change of two names: what has happened to one has happened to the other."""
        places = {}
        for name, changes in seen.items():
            for at, (serial, _) in enumerate(changes):
                places.setdefault(serial, []).append((name, at))
        pairs = [two for two in places.values() if len(two) == 2]
        moved = True
        while moved:
            moved = False
            for (name, at), (other, there) in pairs:
                if (took[name] > at) != (took[other] > there):
                    took[name], took[other] = max(took[name], at + 1), max(took[other], there + 1)
                    moved = True

    def current(self, name):
        return next((node for _, other, node in reversed(self.changes) if other == name), None)


class Disk:
    def __init__(self, root):
        self.root = root
        self.top = {}
        self.nodes = {}
        self.syncs = {}
        self.serial = 0
        self.journal = 0
        for name in sorted(os.listdir(root)):
            path = f"{root}/{name}"
            if os.path.isdir(path):
                self.top[name] = self.nodes[os.stat(path).st_ino] = Folder()

    def folder(self, path):
        """The folder that `path` is in, and its name there, as the files are now."""
        parts = os.path.relpath(path, self.root).split("/")
        folder = self.top[parts[0]]
        for part in parts[1:-1]:
            folder = folder.current(part)
        return folder, parts[-1]

    def change(self, path, node):
        folder, name = self.folder(path)
        folder.changes.append((self.serial, name, node))

    def step(self, record):
        op = record.op
        if op == WRITE:
            file = self.nodes[record.inode]
            file.pending.append((self.serial, record.offset, record.data))
        elif op == TRUNCATE:
            self.nodes[record.inode].pending.append((self.serial, record.offset, None))
        elif op == SYNC_BEGIN:
            self.syncs[record.thread] = (record.inode, self.serial)
        elif op == SYNC_END:
            inode, began = self.syncs.pop(record.thread)
            self.nodes[inode].settle(began)
            self.journal = max(self.journal, began)
        elif op == CREATE or op == MKDIR:
            node = self.nodes[record.inode] = File() if op == CREATE else Folder()
            self.change(record.path, node)
        elif op == LINK:
            self.change(record.path, self.nodes[record.inode])
        elif op == UNLINK or op == RMDIR:
            self.change(record.path, None)
        elif op == RENAME:
            self.change(record.path, None)
            self.change(record.other, self.nodes[record.inode])
        elif op == MARK and record.path == "writeback":
            for node in self.nodes.values():
                node.settle(self.serial)
            self.journal = self.serial
        self.serial += 1

    def write(self, target, lossy, policy, journal, rng, names=None):
        """Makes the image in `target`. Policies of single files, and that of `names`, may differ."""
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target)
        journal_end = self.journal
        if (names or policy) != "none":
            journal_end = rng.randint(self.journal, self.serial)
        made = {}

        def make(folder, path, policy, names):
            for name, node in sorted(folder.names(names, journal, journal_end, rng).items()):
                there = f"{path}/{name}"
                if isinstance(node, Folder):
                    os.mkdir(there)
                    make(node, there, policy, names)
                elif name.endswith("-shm"):
                    if rng.random() < 0.5:
                        with open(there, "wb") as file:
                            file.write(rng.randbytes(32768) if rng.random() < 0.5 else bytes(32768))
                elif node in made:
                    os.link(made[node], there)
                else:
                    own = policy
                    if policy not in ("none", "all") and rng.random() < 0.3:
                        own = rng.choice(POLICIES)
                    made[node] = there
                    with open(there, "wb") as file:
                        file.write(node.cut(own, rng))

        for name, folder in self.top.items():
            os.mkdir(f"{target}/{name}")
            own = policy if name in lossy else "all"
            make(folder, f"{target}/{name}", own, (names or own) if name in lossy else "all")

    def differences(self):
        """Between all that was recorded and the files that are there."""
        found = []

        def compare(folder, path):
            names = folder.names("all", False, 0, None)
            there = set(os.listdir(path))
            for name in sorted(there ^ set(names)):
                found.append(f"{path}/{name} is {'not in the record' if name in there else 'gone'}")
            for name in sorted(there & set(names)):
                node = names[name]
                if isinstance(node, Folder):
                    compare(node, f"{path}/{name}")
                elif not name.endswith("-shm"):
                    with open(f"{path}/{name}", "rb") as file:
                        if file.read() != node.landed():
                            found.append(f"{path}/{name} has another content")

        for name, folder in self.top.items():
            compare(folder, f"{self.root}/{name}")
        return found


def stock(path):
    """n as stock SQLite reads it after its recovery. Raises if anything is wrong."""
    database = sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)
    try:
        answer = database.execute("PRAGMA integrity_check").fetchone()[0]
        if answer != "ok":
            raise shim_content.Wrong(f"integrity_check: {answer}")
        return shim_content.state(database)
    finally:
        database.close()


def is_name(record):
    """A change of a name that a restart depends on: not of `position`, which is one all the time."""
    return record.op in (CREATE, LINK, UNLINK, RENAME) and "-live/position" not in record.path


def digest_of(folder):
    """Of all files but the -shm."""
    digest = hashlib.sha256()
    for path, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            if not name.endswith("-shm"):
                with open(f"{path}/{name}", "rb") as file:
                    content = file.read()
                digest.update(f"{path[len(folder):]}/{name} {len(content)} ".encode() + content)
    return digest.digest()


class Check:
    def __init__(self, options):
        self.options = options
        self.records = records_of(options["record"])
        self.disk = Disk(options["root"])
        self.work = options["work"]
        self.database = options["database"]
        self.wal = f"{options['root']}/{self.database}-wal"
        self.floor, self.floor_why = 0, "nothing"
        marks = [record.path.split(" ") for record in self.records if record.op == MARK]
        self.places = {record.path: at for at, record in enumerate(self.records) if record.op == MARK}
        self.said, self.made = [], set()
        self.commits = {int(rest[0]): int(rest[1]) for word, *rest in marks if word == "commit"}
        self.result = {"records": len(self.records), "images": 0, "absent": 0, "behind": 0, "policies": {},
                       "logs": 0, "failures": [], "kept": [], "states": 0}
        self.seen = set()

    def cuts(self):
        options = self.options
        if "only" in options:
            return options["only"]
        if "draws" in options:
            begin, end = (self.places[word] for word in ("begin", "end"))
            return list(range(begin, end + 1))
        rng = random.Random(f"cuts {options['seed']}")
        syncs = [at for at, record in enumerate(self.records) if record.op in (SYNC_BEGIN, SYNC_END)]
        # A header that is written, or a name: what follows it may come first.
        heads = [at for at, record in enumerate(self.records)
                 if is_name(record) or (record.op == WRITE and record.path == self.wal and record.offset == 0)]
        wanted = {at for at in syncs} | {at + 1 for at in syncs} | {at + 1 for at in heads}
        wanted |= {at + rng.randint(2, 12) for at in heads for _ in range(4)}
        wanted |= {rng.randrange(len(self.records)) for _ in range(options["most"] // 2)}
        names = [at for at in heads if is_name(self.records[at])]
        always = {at + 1 for at in names} | {at + more for at in names[-6:] for more in (2, 4, 6, 9)}
        always |= {at for at in wanted if at < START}
        everything = sorted(at for at in wanted | always if 0 < at <= len(self.records))
        self.result["boundaries"], self.result["places"] = len(syncs), len(everything)
        rest = [at for at in everything if at not in always]
        most = max(0, options["most"] - len(always))
        if len(rest) > most:
            rest = rng.sample(rest, most)
        return sorted(set(rest) | {at for at in always if 0 < at <= len(self.records)})

    def run(self):
        cuts = self.cuts()
        self.result["cuts"] = len(cuts)
        keep = min(self.options.get("keep", 0), len(cuts))
        kept = {cuts[nth * len(cuts) // keep] for nth in range(keep)}
        wanted = set(cuts)
        for at, record in enumerate(self.records):
            if at in wanted:
                self.images(at, at in kept)
            self.look(record)
            self.disk.step(record)
        if len(self.records) in wanted:
            self.images(len(self.records), len(self.records) in kept)
        if "last" in self.options:
            self.disk.write(self.options["last"], self.options["lossy"], "none", True, random.Random(0))
        self.result["states"] = len(self.seen)
        self.result["commits"] = self.commits
        self.result["differences"] = self.disk.differences() if "only" not in self.options else []
        shutil.rmtree(self.work, ignore_errors=True)
        return self.result

    def look(self, record):
        """What must be there from here on."""
        if record.op == MARK:
            word, *rest = record.path.split(" ")
            if word == "commit":
                if self.options.get("floor") == "full":
                    self.raise_floor(int(rest[1]), "acknowledged with synchronous=full")
            elif word == "whole":
                self.raise_floor(int(rest[0]), "on the disk before")
            elif word == "said":
                self.said.append(rest[0])
            elif word == "durable":
                self.raise_floor(self.n_at(int(rest[0])), f"reported as durable ({record.path})")
        elif record.op == WRITE and record.path == self.wal and record.offset == 0:
            # A log begins anew only when all of it is in the file, and the file on the disk.
            self.result["logs"] += 1
            self.disk.write(self.work, self.options["lossy"], "all", False, random.Random(0))
            path = f"{self.work}/{self.database}"
            if os.path.exists(path):
                self.raise_floor(stock(path), "in the file before its log began anew")

    def n_at(self, txid):
        """A txid is a number of commits: `txids` says which one was which number."""
        known = self.options["txids"]
        return self.commits.get(txid - known["txid"] + known["commits"], 0)

    def raise_floor(self, n, why):
        if n > self.floor:
            self.floor, self.floor_why = n, why

    def images(self, cut, keep):
        if "draws" not in self.options:
            return self.image(cut, keep, random.Random(f"{self.options['seed']} {cut}"))
        for draw in range(self.options["draws"]):
            rng = random.Random(f"{self.options['seed']} {cut} {draw}")
            self.image(cut, True, rng, draw)

    def image(self, cut, keep, rng, draw=None):
        policy, names = rng.choice(POLICIES), None
        journal = rng.random() < 0.4
        if draw is not None:  # first nothing but what was fsynced, then every name without its bytes
            policy, names = ("none", "none") if draw == 0 else ("none", "all") if draw == 1 else (
                policy, rng.choice(POLICIES))
        state = rng.getstate()
        lossy = self.options["lossy"]
        self.disk.write(self.work, lossy, policy, journal, rng, names)
        result = self.result
        if draw is not None:
            made = (digest_of(self.work), len(self.said), self.floor)
            if made in self.made:
                return
            self.made.add(made)
        result["images"] += 1
        result["policies"][policy] = result["policies"].get(policy, 0) + 1
        path = f"{self.work}/{self.database}"
        n = None
        try:
            if os.path.exists(path):
                n = stock(path)
                self.seen.add(n)
                if n < self.floor:
                    raise shim_content.Wrong(f"n={n} is there, {self.floor} was {self.floor_why}")
            elif self.floor > 0:
                raise shim_content.Wrong(f"no database, but n={self.floor} was {self.floor_why}")
            else:
                result["absent"] += 1
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            folder = self.options.get("keep_failures")
            if folder:
                rng.setstate(state)
                self.disk.write(f"{folder}/{self.options['seed']}-{cut}", lossy, policy, journal, rng, names)
            if len(result["failures"]) < 20:
                result["failures"].append({"seed": self.options["seed"], "cut": cut, "policy": policy,
                                           "journal": journal, "problem": problem})
            result["bad"] = result.get("bad", 0) + 1
        if keep:
            rng.setstate(state)
            folder = f"{self.options['kept']}/{len(result['kept'])}"
            self.disk.write(folder, lossy, policy, journal, rng, names)
            result["kept"].append({"folder": folder, "cut": cut, "policy": policy, "n": n, "names": names,
                                   "said": list(self.said), "floor": self.floor})


def main():
    print(json.dumps(Check(json.loads(sys.argv[1])).run()))


main()
