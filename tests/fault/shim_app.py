"""Applications and readers of many databases with the content of shim_content.py, in one process with
stock SQLite. Commands are JSON lines on stdin, each answered by one line on stdout:

    {"id": 1, "do": "open", "path": p, "synchronous": "normal"}   {"id": 1, "result": {"n": 0, "commits": 1}}
    {"id": 2, "do": "commits", "paths": [p], "count": 3}          {"id": 2, "result": {p: n}}
    {"id": 3, "do": "start", "paths": [p], "pace_ms": 1, "vacuum": true}    in the background, until
    {"id": 4, "do": "stop"}                                       {..., "n": {p: n}, "errors": [...]}
    {"id": 5, "do": "watch", "paths": [p]}                        reads all the time, until
    {"id": 6, "do": "unwatch"}                                    {"reads": n, "problems": [...], "n": {...}}
    {"id": 7, "do": "states", "paths": [p]}                       {p: n or "what is wrong"}
    {"id": 8, "do": "close", "paths": [p]}
    {"id": 9, "do": "compare", "pairs": [[p, q]]}                 [{"equal": bool, "problems": [...]}]

Under the shim each commit is marked in its record, after it was acknowledged: "commit COMMITS N".
"""

import json
import os
import sqlite3
import struct
import sys
import threading
import time

import shim_content

CONTENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support", "content.py")
MARK = 50
RECORD = os.environ.get("SHIM_RECORD")


def mark(text):
    if RECORD is None:
        return
    data = text.encode()
    head = struct.pack("<IIIIQqIIII", 0x4d494853, MARK, os.getpid(), 0, 0, 0, 0, len(data), 0, 0)
    fd = os.open(RECORD, os.O_WRONLY | os.O_APPEND)
    os.write(fd, head + data)
    os.close(fd)


def described(error):
    code = getattr(error, "sqlite_errorcode", None)
    return f"{type(error).__name__} {code}: {error}"


class Writer:
    def __init__(self, command):
        self.path = command["path"]
        timeout = command.get("timeout_ms", 5000) / 1000
        # For how long it may take is no error that only a node brings: see busy_timeout in OPERATING.md.
        self.raw = sqlite3.connect(self.path, timeout=timeout, isolation_level=None, check_same_thread=False)
        if "page_size" in command:
            self.raw.execute(f"PRAGMA page_size={command['page_size']}")
        self.raw.execute("PRAGMA journal_mode=wal")
        self.raw.execute(f"PRAGMA synchronous={command.get('synchronous', 'normal')}")
        self.commits = 0
        if self.raw.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
            shim_content.create(self.raw)
            self.committed(0)
        else:
            self.n = shim_content.state(self.raw)

    def committed(self, n):
        self.n = n
        self.commits += 1
        mark(f"commit {self.commits} {n}")

    def commit(self):
        shim_content.commit(self.raw, self.n + 1)
        self.committed(self.n + 1)

    def vacuum(self):
        self.raw.execute("VACUUM")
        self.committed(self.n)


class Work(threading.Thread):
    """Commits on all databases in turn; every VACUUM_EVERY commits each one is vacuumed."""

    def __init__(self, writers, command):
        super().__init__(daemon=True)
        self.writers, self.command = writers, command
        self.stopping = threading.Event()
        self.errors = []

    def run(self):
        while not self.stopping.is_set():
            for writer in self.writers:
                self.turn(writer)
            time.sleep(self.command.get("pace_ms", 1) / 1000)

    def turn(self, writer):
        try:
            writer.commit()
            if self.command.get("vacuum") and writer.n % shim_content.VACUUM_EVERY == 0:
                writer.vacuum()
        except Exception as error:
            if writer.raw.in_transaction:
                writer.raw.execute("ROLLBACK")
            if len(self.errors) < 20:
                self.errors.append(f"{writer.path}: {described(error)}")


class Watch(threading.Thread):
    """Reads all databases in turn, each in its own snapshot, as soon as they are there."""

    def __init__(self, paths):
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.open = {path: None for path in paths}
        self.n = {}
        self.reads = 0
        self.back = 0
        self.problems = []

    def run(self):
        while not self.stopping.is_set():
            for path in self.open:
                self.look(path)
            time.sleep(0.004 * len(self.open))

    def look(self, path):
        try:
            if self.open[path] is None:
                if not os.path.exists(path):
                    return
                # A moment for those that are closed just then: see SQLITE.md, the end of 8.1.
                self.open[path] = sqlite3.connect(
                    f"file:{path}?mode=ro", uri=True, timeout=2, isolation_level=None,
                    check_same_thread=False)
            n = shim_content.state(self.open[path])
            if n < self.n.get(path, 0):
                self.back += 1
            self.n[path] = n
            self.reads += 1
        except Exception as error:
            if len(self.problems) < 20:
                self.problems.append(f"{path}: {described(error)}")


class Application:
    def __init__(self):
        self.writers, self.work, self.watching = {}, None, None

    def open(self, command):
        writer = self.writers[command["path"]] = Writer(command)
        return {"n": writer.n, "commits": writer.commits}

    def commits(self, command):
        for path in command["paths"]:
            for _ in range(command["count"]):
                self.writers[path].commit()
        return {path: self.writers[path].n for path in command["paths"]}

    def start(self, command):
        self.work = Work([self.writers[path] for path in command["paths"]], command)
        self.work.start()

    def stop(self, _command):
        self.work.stopping.set()
        self.work.join()
        return {
            "n": {writer.path: writer.n for writer in self.work.writers},
            "commits": {writer.path: writer.commits for writer in self.work.writers},
            "errors": self.work.errors,
        }

    def close(self, command):
        for path in command["paths"]:
            self.writers.pop(path).raw.close()

    def watch(self, command):
        self.watching = Watch(command["paths"])
        self.watching.start()

    def unwatch(self, _command):
        watch = self.watching
        watch.stopping.set()
        watch.join()
        for database in watch.open.values():
            if database is not None:
                database.close()
        return {"reads": watch.reads, "back": watch.back, "n": watch.n, "problems": watch.problems}

    def compare(self, command):
        """Page by page, by tests/support/content.py, which is a program: its last line runs it."""
        with open(CONTENT) as file:
            source = file.read().rsplit("\nmain()", 1)[0]
        module = {}
        exec(compile(source, CONTENT, "exec"), module)
        answers = []
        for first, second in command["pairs"]:
            try:
                answers.append(module["compare"](first, second))
            except (module["Broken"], FileNotFoundError) as error:
                answers.append({"equal": False, "pages": 0, "problems": [str(error)]})
        return answers

    def states(self, command):
        return {path: state_of(path) for path in command["paths"]}


def state_of(path):
    try:
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2, isolation_level=None)
        try:
            answer = database.execute("PRAGMA integrity_check").fetchone()[0]
            return shim_content.state(database) if answer == "ok" else f"integrity_check: {answer}"
        finally:
            database.close()
    except Exception as error:
        return described(error)


def main():
    application = Application()
    for line in sys.stdin:
        command = json.loads(line)
        answer = {"id": command["id"]}
        try:
            answer["result"] = getattr(application, command["do"])(command)
        except Exception as error:
            answer["error"] = described(error)
        print(json.dumps(answer), flush=True)


main()
