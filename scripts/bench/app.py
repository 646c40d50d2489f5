"""The application and the readers that the benchmarks measure: one process each, stock SQLite.

    app.py COMMAND OPTIONS        OPTIONS is JSON; what it says is JSON lines with an "event"

It ends when its stdin ends. Every time is of CLOCK_MONOTONIC (time.monotonic_ns), which all processes
of one machine share: a commit's is taken right after COMMIT has returned, a sighting's right after the
SELECT that saw it. Every database has mark(id, pad), whose largest id readers look at, and filler,
whose rows of 4,000 random bytes take a page each.
"""

import json
import os
import signal
import sqlite3
import sys
import threading
import time

ROW_BYTES = 4000

INSERT_MARK = "INSERT INTO mark(pad) VALUES(?)"
INSERT_FILLER = "INSERT INTO filler(pad) VALUES(?)"
LAST_MARK = "SELECT max(id) FROM mark"
PAD = "x" * 100


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def connect(path, mode="rw", timeout=5.0):
    return sqlite3.connect(
        f"file:{path}?mode={mode}", uri=True, timeout=timeout, isolation_level=None,
        check_same_thread=False)


def writer(options):
    database = connect(options["path"], timeout=options.get("timeout_ms", 5000) / 1000)
    database.execute(f"PRAGMA synchronous = {options.get('synchronous', 'normal')}")
    return database


WORDS = ("order customer shipped pending street invoice blue large the of with from paid total "
         "parcel number city returned sent item").split()


def text_row(number):
    """4,000 bytes as applications write them: they compress to a third or less."""
    words = (f"{WORDS[(number * 7 + at * at) % len(WORDS)]}{number + at:x}" for at in range(800))
    return " ".join(words)[:ROW_BYTES].encode()


def fill(database, size, content="random"):
    """Rows of random bytes, or of text, some pages more than `size` in all."""
    if content == "text":
        rows = ((text_row(number),) for number in range(size // 4096 + 1))
        database.executemany(INSERT_FILLER, rows)
        return
    count = size // 4096 + 1
    step = 1000
    for start in range(0, count, step):
        noise = os.urandom(ROW_BYTES * min(step, count - start))
        database.executemany(
            INSERT_FILLER,
            ((noise[at:at + ROW_BYTES],) for at in range(0, len(noise), ROW_BYTES)))


def make(options, _commands):
    """Databases in WAL mode of about `bytes`, all of it checkpointed."""
    for path in options["paths"]:
        make_one(path, options.get("bytes", 0), options.get("content", "random"))
    say("made", bytes=os.path.getsize(options["paths"][0]))


def make_one(path, size, content):
    database = connect(path, "rwc")
    database.execute("PRAGMA journal_mode = wal")
    database.execute("PRAGMA synchronous = off")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.execute("CREATE TABLE mark(id INTEGER PRIMARY KEY, pad TEXT)")
    database.execute("CREATE TABLE filler(id INTEGER PRIMARY KEY, pad BLOB)")
    database.execute(INSERT_MARK, (PAD,))
    remaining = size
    while remaining > 0:
        part = min(remaining, 64 << 20)
        database.execute("BEGIN")
        fill(database, part, content)
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        remaining -= part
    database.close()
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    os.close(descriptor)


def pace(options, _commands):
    """`count` commits of one row at `rate` a second; late ones are not caught up in a rush."""
    database = writer(options)
    period = 1 / options["rate"]
    ids, times = [], []
    began = due = time.monotonic()
    for _ in range(options["count"]):
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        number = database.execute(INSERT_MARK, (PAD,)).lastrowid
        times.append(time.monotonic_ns())
        ids.append(number)
        due = max(due + period, time.monotonic() - 10 * period)
    say("paced", ids=ids, ns=times, seconds=time.monotonic() - began)
    database.close()


def saturate(options, commands):
    """Commits of one row, one after the other, for `seconds`. A refusal is tried again at once: `busy`
    counts commits that were refused at first, `retries` all tries that were."""
    database = writer(options)
    execute = database.execute
    count = busy = retries = 0
    refused = False
    longest = 0.0
    began = before = time.monotonic()
    end = began + options["seconds"]
    while before < end:
        try:
            execute(INSERT_MARK, (PAD,))
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):  # its code is there from Python 3.11 on only
                raise
            retries += 1
            busy += not refused
            refused = True
            continue
        refused = False
        count += 1
        now = time.monotonic()
        longest = max(longest, now - before)
        before = now
    seconds = before - began
    last = database.execute(LAST_MARK).fetchone()[0]
    say("saturated", count=count, busy=busy, retries=retries, seconds=seconds,
        longest_ms=longest * 1000, id=last)
    commands.wait()  # an application keeps its connection: no last close, no checkpoint by it
    database.close()


def hold(options, commands):
    """An application that stays connected and does what lines on stdin say."""
    database = writer(options)
    rows = database.execute("SELECT max(id) FROM filler").fetchone()[0] or 0
    say("holding")
    while True:
        command, _, argument = commands.take().partition(" ")
        if command == "stop":
            break
        database.execute("BEGIN IMMEDIATE")
        if command == "touch":  # so many pages, spread over the database
            for at in range(int(argument)):
                number = 1 + at * max(1, rows // int(argument))
                database.execute(
                    "UPDATE filler SET pad = randomblob(?) WHERE id = ?", (ROW_BYTES, number))
        elif command == "add":  # so many bytes
            fill(database, int(argument))
        number = database.execute(INSERT_MARK, (PAD,)).lastrowid
        began = time.monotonic_ns()
        database.execute("COMMIT")
        say("committed", id=number, began_ns=began, ns=time.monotonic_ns())
    database.close()


def watch(options, commands):
    """Spins on the largest id, up to `until`. Each seen is told at once if `live`, else at the end."""
    path, live = options["path"], options.get("live", False)
    until = options.get("until", sys.maxsize)
    database = None
    say("looking")
    while database is None and not commands.ended():
        try:
            if os.path.exists(path):
                database = connect(path, "ro")
                last = database.execute(LAST_MARK).fetchone()[0]
                break
        except sqlite3.OperationalError:
            database = None
        time.sleep(0.0005)
    if database is None:
        return
    say("watching", id=last, ns=time.monotonic_ns())
    pause = options.get("pause_ms", 0) / 1000
    execute, now = database.execute, time.monotonic_ns
    ids, times = [], []
    while not commands.ended():
        newest = execute(LAST_MARK).fetchone()[0]
        if newest != last:
            seen = now()
            last = newest
            if live:
                say("seen", id=newest, ns=seen)
            else:
                ids.append(newest)
                times.append(seen)
            if newest >= until:
                break
        if pause:
            time.sleep(pause)
    say("watched", ids=ids, ns=times)
    database.close()


def watch_all(options, commands):
    """Like watch, of several copies up to `until`: an id counts as seen when the last one has it."""
    databases = [connect(path, "ro") for path in options["paths"]]
    ids_there = [one.execute(LAST_MARK).fetchone()[0] for one in databases]
    newest = min(ids_there)
    say("watching", id=newest, ns=time.monotonic_ns())
    pause = options.get("pause_ms", 0) / 1000
    ids, times = [], []
    while newest < options["until"] and not commands.ended():
        for nth, database in enumerate(databases):
            if ids_there[nth] <= newest:  # only those that hold it back are asked
                ids_there[nth] = database.execute(LAST_MARK).fetchone()[0]
        least = min(ids_there)
        if least > newest:
            newest = least
            ids.append(newest)
            times.append(time.monotonic_ns())
        elif pause:
            time.sleep(pause)
    say("watched", ids=ids, ns=times)
    for database in databases:
        database.close()


class Commands:
    """Lines on stdin, read by a thread that is blocked all the time: it costs a spinning loop nothing."""

    def __init__(self):
        self.lines = []
        self.changed = threading.Condition()
        self.over = False
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in sys.stdin:
            with self.changed:
                self.lines.append(line.strip())
                self.over = self.over or line.strip() == "stop"
                self.changed.notify()
        with self.changed:
            self.lines.append("stop")
            self.over = True
            self.changed.notify()

    def ended(self):
        return self.over

    def take(self):
        with self.changed:
            self.changed.wait_for(lambda: self.lines)
            return self.lines.pop(0)

    def wait(self):
        while not self.over:
            self.take()


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the bench's: it ends us
    commands = {"make": make, "pace": pace, "saturate": saturate, "hold": hold, "watch": watch,
                "watch_all": watch_all}
    commands[sys.argv[1]](json.loads(sys.argv[2]), Commands())


main()
