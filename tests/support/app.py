"""The application and the readers of a database: one process, stock SQLite.

Commands are JSON lines on stdin, each answered by one JSON line on stdout:

    {"id": 1, "do": "exec", "sql": "SELECT 1"}  ->  {"id": 1, "result": [[1]]}
                                                or  {"id": 1, "error": {"code": 8, "message": ...}}

A loop (counter-writer, counter-reader) runs in a thread of its own until "stop"; "progress" looks at
its report. With "engine": "apsw" (found by PYTHONPATH) it is another SQLite than the system's.
"""

import json
import os
import sqlite3
import sys
import threading
import time

ENGINE = os.environ.get("APP_ENGINE", "sqlite3")
if ENGINE == "apsw":
    import apsw

BUSY, LOCKED = 5, 6
SLOW_MS = 50


class Sql(Exception):
    """A failure with SQLite's (extended) result code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


class Connection:
    """One connection in autocommit mode, by either library."""

    def __init__(self, path, mode="rwc", timeout_ms=5000):
        uri = f"file:{path}?mode={mode}"
        try:
            if ENGINE == "apsw":
                flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE
                self.raw = apsw.Connection(uri, flags=flags | apsw.SQLITE_OPEN_CREATE)
                self.raw.setbusytimeout(timeout_ms)
            else:
                self.raw = sqlite3.connect(
                    uri, uri=True, timeout=timeout_ms / 1000, isolation_level=None,
                    check_same_thread=False)
        except Exception as error:
            raise translated(error) from error

    def rows(self, sql, parameters=()):
        try:
            return [list(row) for row in self.raw.execute(sql, tuple(parameters))]
        except Exception as error:
            raise translated(error) from error

    def value(self, sql, parameters=()):
        rows = self.rows(sql, parameters)
        return rows[0][0] if rows else None

    def in_transaction(self):
        raw = self.raw
        return raw.in_transaction

    def close(self):
        self.raw.close()


def translated(error):
    if isinstance(error, Sql):
        return error
    if ENGINE == "apsw" and isinstance(error, apsw.Error):
        return Sql(getattr(error, "extendedresult", 1) or 1, str(error))
    code = getattr(error, "sqlite_errorcode", None)
    return error if code is None else Sql(code, str(error))


class Loop(threading.Thread):
    """Works until told to stop; `report` is always readable."""

    def __init__(self, options):
        super().__init__(daemon=True)
        self.options = options
        self.stopping = threading.Event()
        self.report = {"errors": {}, "messages": [], "longest_ms": 0.0, "slow": 0}

    def option(self, name, default):
        return self.options.get(name, default)

    def note_error(self, error):
        errors = self.report["errors"]
        key = str(error.code)
        errors[key] = errors.get(key, 0) + 1
        if len(self.report["messages"]) < 20:
            self.report["messages"].append(f"{error.code}: {error.message}")

    def note_time(self, started):
        took = (time.monotonic() - started) * 1000
        self.report["longest_ms"] = max(self.report["longest_ms"], round(took, 2))
        if took > SLOW_MS:
            self.report["slow"] += 1

    def done(self):
        limit = self.option("count", 0)
        return self.stopping.is_set() or (limit and self.report["count"] >= limit)

    def run(self):
        try:
            self.work()
        except Exception as error:  # anything else is a bug of this program: the test must see it
            self.report["messages"].append(f"bug: {error!r}")
            self.report["errors"]["bug"] = 1


SCHEMA = (
    "CREATE TABLE IF NOT EXISTS counter_row(id INTEGER PRIMARY KEY, n INTEGER)",
    "CREATE TABLE IF NOT EXISTS counter_log(n INTEGER PRIMARY KEY, pad BLOB)",
    "CREATE TABLE IF NOT EXISTS counter_ring(slot INTEGER PRIMARY KEY, n INTEGER, pad BLOB)",
    "CREATE INDEX IF NOT EXISTS counter_ring_n ON counter_ring(n)",
)
LOG_ROWS = 400
RING_SLOTS = 300


class CounterWriter(Loop):
    """Commits transaction n into three tables at once, each in its own way: a row that changes, a log
    that grows and is cut, a ring of rows of changing length."""

    def work(self):
        self.report.update(count=0, n=0, checkpoints=0, restarts=0, wal_bytes=0)
        database = self.open()
        while not self.done():
            started = time.monotonic()
            try:
                self.commit(database, self.report["n"] + 1)
            except Sql as error:
                self.note_error(error)
                if database.in_transaction():
                    database.rows("ROLLBACK")
                time.sleep(0.0005)
                continue
            self.note_time(started)
            self.report["n"] += 1
            self.report["count"] += 1
            self.extras(database)
            if self.option("pace_ms", 0):
                time.sleep(self.options["pace_ms"] / 1000)
        database.close()

    def open(self):
        database = Connection(self.options["path"], timeout_ms=self.option("timeout_ms", 5000))
        for pragma in self.option("pragmas", ["journal_mode=wal", "synchronous=normal"]):
            database.rows(f"PRAGMA {pragma}")
        database.rows("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            database.rows(statement)
        database.rows("COMMIT")
        self.report["n"] = database.value("SELECT max(n) FROM counter_log") or 0
        return database

    def commit(self, database, n):
        pad = self.option("pad_bytes", 400)
        database.rows("BEGIN IMMEDIATE")
        database.rows("INSERT OR REPLACE INTO counter_row VALUES(1, ?)", (n,))
        database.rows("INSERT INTO counter_log VALUES(?, randomblob(?))", (n, pad))
        database.rows("DELETE FROM counter_log WHERE n <= ?", (n - LOG_ROWS,))
        database.rows(
            "INSERT OR REPLACE INTO counter_ring VALUES(?, ?, randomblob(?))",
            (n % RING_SLOTS, n, n * 37 % (3 * pad + 1)))
        database.rows("COMMIT")

    def extras(self, database):
        count = self.report["count"]
        every = self.option("checkpoint_every", 0)
        if every and count % every == 0:
            mode = self.option("checkpoint_mode", "TRUNCATE")
            try:
                database.rows(f"PRAGMA wal_checkpoint({mode})")
            except Sql as error:
                if error.code & 255 != BUSY:
                    self.note_error(error)
            self.report["checkpoints"] += 1
        every = self.option("vacuum_every", 0)
        if every and count % every == 0:
            try:
                database.rows("VACUUM")
            except Sql as error:
                self.note_error(error)
        if count % 50 == 0:
            size = os.stat(self.options["path"] + "-wal").st_size
            self.report["wal_bytes"] = max(self.report["wal_bytes"], size)


class TallyWriter(Loop):
    """One of several writers of one database: its own rows, one a transaction, until it is refused as
    read-only.
    `count` is the last that SQLite said was committed."""

    def work(self):
        self.report.update(count=0, n=0, checkpoints=0, wal_bytes=0)
        name = self.options["name"]
        database = Connection(self.options["path"], timeout_ms=self.option("timeout_ms", 5000))
        database.rows("PRAGMA journal_mode=wal")
        while not self.done():
            started = time.monotonic()
            try:
                database.rows("BEGIN" if self.report["n"] % 2 else "BEGIN IMMEDIATE")
                k = (database.value("SELECT max(k) FROM tally WHERE name = ?", (name,)) or 0) + 1
                database.rows("INSERT INTO tally VALUES(?, ?)", (name, k))
                database.rows("COMMIT")
                self.report["count"] = k
                self.note_time(started)
            except Sql as error:
                self.note_error(error)
                if database.in_transaction():
                    database.rows("ROLLBACK")
                if error.code & 255 not in (BUSY, LOCKED):
                    break
            self.report["n"] += 1
            time.sleep(0.0005)  # or SQLite lets one of several starve for many seconds
        database.close()


class CounterReader(Loop):
    """Reads in its own snapshots: the three tables agree, n never goes down, the file stays, and every
    so often integrity_check says ok."""

    def work(self):
        self.report.update(count=0, n=0, seen=False, waits=0, checks=0, violations=[])
        database = None
        while not self.done():
            if database is None:
                database = self.open()
                if database is None:
                    time.sleep(0.001)
                    continue
            started = time.monotonic()
            try:
                self.read(database)
            except Sql as error:
                if error.code == 1 and not self.report["seen"] and "no such table" in error.message:
                    self.report["waits"] += 1  # the application has not made it yet
                else:
                    self.note_error(error)
                if database.in_transaction():
                    database.rows("ROLLBACK")
                time.sleep(0.002)
            self.note_time(started)
            every = self.option("reopen_every", 0)
            if every and self.report["count"] % every == 0:
                database.close()
                database = None
            if self.option("pace_ms", 0):
                time.sleep(self.options["pace_ms"] / 1000)
        if database is not None:
            database.close()

    def open(self):
        path = self.options["path"]
        if not os.path.exists(path):
            if self.report["seen"]:
                self.violation(f"{path} is gone")
            self.report["waits"] += 1
            return None
        try:
            database = Connection(path, mode=self.option("mode", "ro"),
                                  timeout_ms=self.option("timeout_ms", 2000))
            if self.option("mmap_bytes", 0):
                database.rows(f"PRAGMA mmap_size={self.option('mmap_bytes', 0)}")
            return database
        except Sql as error:
            self.note_error(error)
            return None

    def read(self, database):
        database.rows("BEGIN")
        row = database.value("SELECT n FROM counter_row") or 0
        log = database.value("SELECT max(n) FROM counter_log") or 0
        ring = database.value("SELECT max(n) FROM counter_ring") or 0
        rows = database.value("SELECT count(*) FROM counter_log")
        self.report["count"] += 1
        self.report["seen"] = True
        if not row == log == ring:
            self.violation(f"tables differ: {row} {log} {ring}")
        if rows != min(log, LOG_ROWS):
            self.violation(f"{rows} rows in the log at {log}")
        if row < self.report["n"]:
            self.violation(f"n went from {self.report['n']} back to {row}")
        self.report["n"] = row
        if self.report["count"] % self.option("check_every", 100) == 1:
            self.report["checks"] += 1
            answer = database.value("PRAGMA integrity_check")
            if answer != "ok":
                self.violation(f"integrity_check: {answer}")
        database.rows("COMMIT")

    def violation(self, sentence):
        known = self.report["violations"]
        if len(known) < 20 and sentence not in known:
            known.append(sentence)


LOOPS = {"counter-writer": CounterWriter, "tally-writer": TallyWriter, "counter-reader": CounterReader}


class Application:
    def __init__(self):
        self.connections = {}
        self.loop = None

    def open(self, command):
        name = command.get("as", "main")
        self.connections[name] = Connection(
            command["path"], command.get("mode", "rwc"), command.get("timeout_ms", 5000))

    def exec(self, command):
        database = self.connections[command.get("as", "main")]
        return database.rows(command["sql"], command.get("parameters", ()))

    def backup(self, command):
        """Page by page, as the online backup API does it."""
        source = self.connections[command.get("as", "main")].raw
        target = sqlite3.connect(command["path"])
        source.backup(target)
        target.close()

    def close(self, command):
        self.connections.pop(command.get("as", "main")).close()

    def start(self, command):
        self.loop = LOOPS[command["loop"]](command["options"])
        self.loop.start()

    def progress(self, _command):
        return self.loop.report

    def join(self, _command):
        self.loop.join()
        return self.loop.report

    def stop(self, command):
        self.loop.stopping.set()
        return self.join(command)

    def version(self, _command):
        return apsw.sqlite_lib_version() if ENGINE == "apsw" else sqlite3.sqlite_version


def jsonable(value):
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    raise TypeError(f"cannot send {value!r}")


def main():
    application = Application()
    for line in sys.stdin:
        command = json.loads(line)
        answer = {"id": command["id"]}
        try:
            answer["result"] = getattr(application, command["do"])(command)
        except Exception as error:
            error = translated(error)
            code = error.code if isinstance(error, Sql) else -1
            message = error.message if isinstance(error, Sql) else repr(error)
            answer["error"] = {"code": code, "message": message}
        print(json.dumps(answer, default=jsonable), flush=True)


main()
