"""One process of the soak's application: a writer or a reader of one database, stock SQLite.

    worker.py OPTIONS       a JSON object; "role": init, writer, reader, hold, checkpoint

Every transaction of a writer, whatever it does, also counts n up in three tables, so a reader that sees
two of them differ, or a catalogue that does not fit its table, has seen half a transaction. (g, n) never
goes down: g counts how often the file was replaced by an older backup. "floor" is a small file that all
readers of one database share: what one has seen, the next one must see, too, also after a kill.

Commands are JSON lines on stdin: {"id": 1, "do": "pause"}, answered by {"ack": 1}. Lines on stdout:
{"stats": {...}} twice a second, {"error": {...}} and {"violation": "..."} as they happen.
"""

import json
import os
import random
import sqlite3
import struct
import sys
import threading
import time

ENGINE = os.environ.get("APP_ENGINE", "sqlite3")
if ENGINE == "apsw":
    import apsw

BUSY, LOCKED = 5, 6
LOG_ROWS, RING_SLOTS, ACCOUNTS, BALANCE, SHAPES = 400, 300, 64, 1000, 6
STATS_SECONDS = 0.5
OUT = threading.Lock()


def say(**line):
    with OUT:
        print(json.dumps(line), flush=True)


class Sql(Exception):
    """A failure with SQLite's (extended) result code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


def translated(error):
    if isinstance(error, Sql):
        return error
    if ENGINE == "apsw" and isinstance(error, apsw.Error):
        return Sql(getattr(error, "extendedresult", 1) or 1, str(error))
    code = getattr(error, "sqlite_errorcode", None)
    return error if code is None else Sql(code, str(error))


class Connection:
    """One connection in autocommit mode, by either library."""

    def __init__(self, path, mode, timeout_ms):
        uri = f"file:{path}?mode={mode}"
        try:
            if ENGINE == "apsw":
                flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
                self.raw = apsw.Connection(uri, flags=flags)
                self.raw.setbusytimeout(timeout_ms)
            else:
                self.raw = sqlite3.connect(uri, uri=True, timeout=timeout_ms / 1000,
                                           isolation_level=None, check_same_thread=False)
        except Exception as error:
            raise translated(error) from error

    def rows(self, sql, *parameters):
        try:
            return [list(row) for row in self.raw.execute(sql, parameters)]
        except Exception as error:
            raise translated(error) from error

    def value(self, sql, *parameters):
        rows = self.rows(sql, *parameters)
        return rows[0][0] if rows else None

    def in_transaction(self):
        return self.raw.in_transaction

    def close(self):
        self.raw.close()


class Floor:
    """(g, n) in 16 bytes of a file: written and read at one go, so never half."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def read(self):
        data = os.pread(self.file, 16, 0)
        return struct.unpack("=qq", data) if len(data) == 16 else (0, 0)

    def raise_to(self, seen):
        if seen > self.read():  # two at once may lower it: the check is then weaker, never wrong
            os.pwrite(self.file, struct.pack("=qq", *seen), 0)

    def reset(self):
        os.pwrite(self.file, struct.pack("=qq", 0, 0), 0)


class Worker:
    """Works until told to stop, in the main thread; a second one takes commands."""

    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.get("seed", 0))
        self.timeout_ms = options.get("timeout_ms", 10000)
        self.floor = Floor(options["floor"])
        self.stats = {"longest_ms": 0}
        self.database = None
        self.wanted = "run"
        self.commands = []
        self.changed = threading.Condition()
        self.last_stats = 0.0
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in sys.stdin:
            with self.changed:
                self.commands.append(json.loads(line))
                self.changed.notify()
        os._exit(0)  # whoever started it is gone

    def obey(self):
        """Carries out what was asked for since; False once it shall stop."""
        with self.changed:
            while True:
                commands, self.commands = self.commands, []
                for command in commands:
                    self.wanted = command["do"]
                    if self.wanted in ("close", "stop"):
                        self.close()
                    if command.get("reset"):
                        self.floor.reset()
                    if self.wanted == "backup":
                        self.backup(command["path"])
                        self.wanted = "pause"
                    self.tell(force=True)
                    say(ack=command["id"])
                if self.wanted == "stop":
                    return False
                if self.wanted == "run":
                    return True
                self.changed.wait()

    def backup(self, path):
        source = Connection(self.options["path"], "rw", self.timeout_ms)
        target = sqlite3.connect(path)
        source.raw.backup(target, pages=500)
        target.close()
        source.close()

    def close(self):
        if self.database is not None:
            self.database.close()
            self.database = None

    def count(self, name, by=1):
        self.stats[name] = self.stats.get(name, 0) + by

    def tell(self, force=False):
        now = time.monotonic()
        if force or now - self.last_stats > STATS_SECONDS:
            self.last_stats = now
            say(stats=self.stats)

    def error(self, error, doing, started):
        took = round((time.monotonic() - started) * 1000)
        self.count(f"error_{error.code}")
        say(error={"code": error.code, "message": error.message, "doing": doing, "ms": took})

    def violation(self, sentence):
        say(violation=sentence)

    def run(self):
        while self.obey():
            started = time.monotonic()
            self.doing = "open"
            try:
                self.once()
            except Sql as error:
                self.error(error, self.doing, started)
                self.recover()
                time.sleep(0.02)
            took = round((time.monotonic() - started) * 1000)
            self.stats["longest_ms"] = max(self.stats["longest_ms"], took)
            self.tell()
            time.sleep(self.options.get("pace_ms", 5) / 1000)

    def recover(self):
        """After an error: out of the transaction, and with a fresh connection."""
        try:
            if self.database is not None and self.database.in_transaction():
                self.database.rows("ROLLBACK")
            self.close()
        except Sql as error:
            self.error(error, "rollback", time.monotonic())
            self.database = None


def create(options):
    database = Connection(options["path"], "rwc", 10000)
    database.rows(f"PRAGMA page_size={options['page_size']}")
    database.rows(f"PRAGMA auto_vacuum={options['auto_vacuum']}")
    database.rows("PRAGMA journal_mode=wal")
    for statement in (
        "BEGIN",
        "CREATE TABLE generation(id INTEGER PRIMARY KEY, g INTEGER)",
        "INSERT INTO generation VALUES(1, 0)",
        "CREATE TABLE counter_row(id INTEGER PRIMARY KEY, n INTEGER)",
        "INSERT INTO counter_row VALUES(1, 0)",
        "CREATE TABLE counter_log(n INTEGER PRIMARY KEY, pad BLOB)",
        "CREATE TABLE counter_ring(slot INTEGER PRIMARY KEY, n INTEGER, pad BLOB)",
        "CREATE INDEX counter_ring_n ON counter_ring(n)",
        "CREATE TABLE bank(id INTEGER PRIMARY KEY, balance INTEGER)",
        f"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<{ACCOUNTS}) "
        f"INSERT INTO bank SELECT i, {BALANCE} FROM c",
        "CREATE TABLE catalog(name TEXT PRIMARY KEY, count INTEGER, total INTEGER)",
        "CREATE TABLE poison(a)",
        "CREATE TABLE bulk(a INTEGER PRIMARY KEY, b INTEGER, pad BLOB)",
        "INSERT INTO catalog VALUES('bulk', 0, 0)",
        "COMMIT",
    ):
        database.rows(statement)
    database.close()


class Writer(Worker):
    """Chances of each kind of transaction stand in "work"."""

    def once(self):
        if self.database is None:
            self.database = Connection(self.options["path"], "rw", self.timeout_ms)
            self.database.rows("PRAGMA synchronous=NORMAL")
            for pragma in self.options.get("pragmas", []):
                self.database.rows(f"PRAGMA {pragma}")
        work = self.options["work"]
        self.doing = self.random.choices(list(work), weights=list(work.values()))[0]
        getattr(self, self.doing)(self.database)

    def transaction(self, database, change):
        """What `change` does, and n counted up, as one transaction."""
        before = self.floor.read()
        database.rows("BEGIN IMMEDIATE")
        g = database.value("SELECT g FROM generation")
        n = database.value("SELECT n FROM counter_row") + 1
        if (g, n - 1) < before:
            self.violation(f"a writer finds {(g, n - 1)} where {before} was committed")
        change(n)
        pad = self.options.get("pad_bytes", 300)
        database.rows("UPDATE counter_row SET n = ?", n)
        database.rows("INSERT INTO counter_log VALUES(?, randomblob(?))", n, pad)
        database.rows("DELETE FROM counter_log WHERE n <= ?", n - LOG_ROWS)
        database.rows("INSERT OR REPLACE INTO counter_ring VALUES(?, ?, randomblob(?))",
                      n % RING_SLOTS, n, n * 37 % (3 * pad + 1))
        database.rows("COMMIT")
        self.floor.raise_to((g, n))
        self.count("transactions")
        self.count(f"did_{self.doing}")

    def plain(self, database):
        self.transaction(database, lambda n: None)

    def transfer(self, database):
        def change(_n):
            amount = self.random.randint(1, 50)
            for sign in (-1, 1):
                database.rows("UPDATE bank SET balance = balance + ? WHERE id = ?",
                              sign * amount, self.random.randint(1, ACCOUNTS))
        self.transaction(database, change)

    def refresh(self, database, name):
        database.rows(f"INSERT OR REPLACE INTO catalog SELECT '{name}', count(*), "
                      f"coalesce(sum(b), 0) FROM {name}")

    def rows(self, database):
        """Random rows of random lengths come and go in a table, which is made if it is not there."""
        def change(_n):
            name = f"shape_{self.random.randint(1, SHAPES)}"
            database.rows(f"CREATE TABLE IF NOT EXISTS {name}"
                          "(a INTEGER PRIMARY KEY, b INTEGER, pad BLOB)")
            database.rows(f"DELETE FROM {name} WHERE a % 5 = ?", self.random.randint(0, 4))
            for _ in range(self.random.randint(1, 30)):
                database.rows(f"INSERT OR REPLACE INTO {name} VALUES(?, ?, randomblob(?))",
                              self.random.randint(1, 400), self.random.randint(-999, 999),
                              self.random.choice((0, 50, 900, 9000)))
            self.refresh(database, name)
        self.transaction(database, change)

    def drop(self, database):
        def change(_n):
            name = f"shape_{self.random.randint(1, SHAPES)}"
            database.rows(f"DROP TABLE IF EXISTS {name}")
            database.rows("DELETE FROM catalog WHERE name = ?", name)
            if self.random.random() < 0.5:
                database.rows(f"CREATE TABLE {name}(a INTEGER PRIMARY KEY, b INTEGER, pad BLOB)")
                database.rows(f"CREATE INDEX {name}_b ON {name}(b, a)")
                self.refresh(database, name)
        self.transaction(database, change)

    def savepoint(self, database):
        def change(_n):
            database.rows("SAVEPOINT outer")
            database.rows("INSERT INTO poison VALUES(randomblob(5000))")
            database.rows("SAVEPOINT inner")
            database.rows("UPDATE bank SET balance = 0")
            database.rows("ROLLBACK TO inner")
            database.rows("RELEASE inner")
            database.rows("ROLLBACK TO outer")
            database.rows("RELEASE outer")
        self.transaction(database, change)

    def big(self, database):
        """Some megabytes at once; now and then all of it goes away again, in one transaction, too."""
        def change(_n):
            if database.value("SELECT count FROM catalog WHERE name = 'bulk'") > 6000:
                keep = self.random.choice((0, 500, 3000))
                database.rows("DELETE FROM bulk WHERE a > ?", keep)
            rows = self.random.randint(500, 3000)
            database.rows(f"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<{rows})"
                          " INSERT INTO bulk(b, pad) SELECT i % 1000, randomblob(900) FROM c")
            self.refresh(database, "bulk")
        self.transaction(database, change)

    def undone(self, database):
        """More than the page cache holds, so frames without a commit are written; then rolled back."""
        database.rows("PRAGMA cache_size=30")
        database.rows("BEGIN IMMEDIATE")
        database.rows("INSERT INTO poison VALUES('never seen')")
        database.rows("UPDATE bulk SET pad = randomblob(900) WHERE a % 3 = 0")
        database.rows("UPDATE bank SET balance = balance + 1")
        database.rows("ROLLBACK")
        database.rows("PRAGMA cache_size=-2000")
        self.count("rolled_back")

    def vacuum(self, database):
        database.rows("VACUUM")
        self.count("vacuums")

    def shrink(self, database):
        database.rows("PRAGMA incremental_vacuum(200)")
        self.count("incremental_vacuums")

    def attach(self, database):
        database.rows(f"ATTACH '{self.options['path']}-{self.options['name']}' AS other")
        try:
            database.rows("CREATE TABLE IF NOT EXISTS other.copy(n INTEGER PRIMARY KEY, pad)")
            self.transaction(database, lambda n: database.rows(
                "INSERT OR REPLACE INTO other.copy VALUES(?, randomblob(100))", n % 100))
        finally:
            if not database.in_transaction():
                database.rows("DETACH other")

    def checkpoint(self, database):
        """Not for long: TRUNCATE holds the write lock while it waits for readers."""
        mode = self.random.choice(("TRUNCATE", "TRUNCATE", "RESTART", "FULL", "PASSIVE"))
        database.rows("PRAGMA busy_timeout=100")
        try:
            busy = database.value(f"PRAGMA wal_checkpoint({mode})")
            self.count("checkpoints_refused" if busy else "checkpoints_done")
        except Sql as error:
            if error.code & 255 not in (BUSY, LOCKED):
                raise
            self.count("checkpoints_refused")
        finally:
            database.rows(f"PRAGMA busy_timeout={self.timeout_ms}")


class Reader(Worker):
    def once(self):
        if self.database is None and not self.open():
            time.sleep(0.02)
            return
        database = self.database
        self.doing = "read"
        self.check(database)
        every = self.options.get("check_every", 60)
        if self.stats["reads"] % every == 1:
            self.doing = "integrity_check"
            answer = database.value("PRAGMA integrity_check")
            self.count("integrity_checks")
            if answer != "ok":
                self.violation(f"integrity_check: {answer}")
        self.doing = "commit"
        database.rows("COMMIT")
        every = self.options.get("reopen_every", 0)
        if every and self.stats["reads"] % every == 0:
            self.close()

    def open(self):
        path = self.options["path"]
        if not os.path.exists(path):
            if self.stats.get("reads"):
                self.violation(f"{path} is gone")
            return False
        self.database = Connection(path, self.options.get("mode", "ro"), self.timeout_ms)
        return True

    def check(self, database):
        floor = self.floor.read()
        database.rows("BEGIN")
        n = database.value("SELECT n FROM counter_row")
        g = database.value("SELECT g FROM generation")
        log = database.value("SELECT max(n) FROM counter_log") or 0
        ring = database.value("SELECT max(n) FROM counter_ring") or 0
        rows = database.value("SELECT count(*) FROM counter_log")
        self.count("reads")
        seen = (g, n)
        if not n == log == ring:
            self.violation(f"tables differ at {seen}: {n} {log} {ring}")
        if rows != min(n, LOG_ROWS):
            self.violation(f"{rows} rows in the log at {seen}")
        if seen < floor:
            self.violation(f"went from {floor} back to {seen}")
        self.floor.raise_to(seen)
        self.contents(database, seen)

    def contents(self, database, seen):
        money = database.value("SELECT sum(balance) FROM bank")
        if money != ACCOUNTS * BALANCE:
            self.violation(f"{money} in the bank at {seen}")
        if database.value("SELECT count(*) FROM poison") != 0:
            self.violation(f"a rolled-back row is seen at {seen}")
        known = database.rows("SELECT name, count, total FROM catalog ORDER BY name")
        name, count, total = self.random.choice(known)
        found = database.rows(f"SELECT count(*), coalesce(sum(b), 0) FROM {name}")[0]
        if found != [count, total]:
            self.violation(f"{name} has {found}, the catalogue {[count, total]} at {seen}")


def hold(options):
    """A read transaction of `ms`: what it sees at its end is what it saw at its start."""
    database = Connection(options["path"], "ro", 10000)
    question = ("SELECT (SELECT n FROM counter_row), (SELECT g FROM generation), "
                "(SELECT max(n) FROM counter_log), (SELECT sum(balance) FROM bank), "
                "(SELECT count(*) FROM bulk)")
    try:
        database.rows("BEGIN")
        first = database.rows(question)
        time.sleep(options["ms"] / 1000)
        last = database.rows(question)
        if first != last:
            say(violation=f"a long reader saw {first}, later {last}")
        answer = database.value("PRAGMA integrity_check")
        if answer != "ok":
            say(violation=f"a long reader's integrity_check: {answer}")
        database.rows("COMMIT")
        database.close()
    except Sql as error:
        say(error={"code": error.code, "message": error.message, "doing": "hold", "ms": 0})


def checkpoint(options):
    """Somebody else's TRUNCATE checkpoint, then the connection closes."""
    database = Connection(options["path"], "rw", 300)
    try:
        database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    except Sql as error:
        if error.code & 255 not in (BUSY, LOCKED):
            say(error={"code": error.code, "message": error.message, "doing": "checkpoint", "ms": 0})
    database.close()


def bump(options):
    """A backup that is about to be restored: its next generation begins."""
    database = Connection(options["path"], "rw", 1000)
    database.rows("UPDATE generation SET g = ?", options["g"])
    database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def main():
    options = json.loads(sys.argv[1])
    role = options["role"]
    if role == "writer":
        Writer(options).run()
    elif role == "reader":
        Reader(options).run()
    else:
        {"init": create, "hold": hold, "checkpoint": checkpoint, "bump": bump}[role](options)


main()
