"""A writer or a reader of the stress run: stock SQLite of this Python, one process, JSON at its end.

    worker.py writer PATH SECONDS    transactions of several writers, numbered by the database itself
    worker.py reader PATH SECONDS    snapshots: the tables agree, n never goes down, integrity_check
"""

import json
import os
import random
import sqlite3
import sys
import time

ROLE, PATH, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])
PAUSE = float(sys.argv[4]) if len(sys.argv) > 4 else 0.0
END = time.monotonic() + SECONDS
report = {"role": ROLE, "count": 0, "errors": {}, "violations": [], "checks": 0, "longest_ms": 0.0}


def note(error):
    key = str(getattr(error, "sqlite_errorcode", error))
    report["errors"][key] = report["errors"].get(key, 0) + 1


def violation(sentence):
    if len(report["violations"]) < 20:
        report["violations"].append(sentence)


def write(db):
    db.execute("BEGIN IMMEDIATE")
    n = (db.execute("SELECT max(n) FROM log").fetchone()[0] or 0) + 1
    db.execute("INSERT OR REPLACE INTO one VALUES(1, ?)", (n,))
    db.execute("INSERT INTO log VALUES(?, randomblob(?))", (n, random.randrange(1, 900)))
    db.execute("DELETE FROM log WHERE n <= ?", (n - 500,))
    db.execute("INSERT OR REPLACE INTO ring VALUES(?, ?, randomblob(?))",
               (n % 300, n, random.randrange(1, 2000)))
    db.execute("COMMIT")


def writer():
    db = sqlite3.connect(PATH, isolation_level=None, timeout=60)
    while time.monotonic() < END:
        started = time.monotonic()
        try:
            write(db)
            report["count"] += 1
        except sqlite3.Error as error:
            note(error)
            if db.in_transaction:
                db.execute("ROLLBACK")
        report["longest_ms"] = max(report["longest_ms"], (time.monotonic() - started) * 1000)
        if PAUSE:
            time.sleep(PAUSE)


def reader():
    while not os.path.exists(PATH):
        time.sleep(0.05)
    db = sqlite3.connect(f"file:{PATH}?mode=ro", uri=True, isolation_level=None, timeout=10)
    last = 0
    while time.monotonic() < END:
        try:
            db.execute("BEGIN")
            one = db.execute("SELECT n FROM one").fetchone()[0]
            log = db.execute("SELECT max(n) FROM log").fetchone()[0]
            ring = db.execute("SELECT max(n) FROM ring").fetchone()[0]
            if not one == log == ring:
                violation(f"tables differ: {one} {log} {ring}")
            if one < last:
                violation(f"n went from {last} to {one}")
            last = one
            report["count"] += 1
            if report["count"] % 200 == 1:
                report["checks"] += 1
                answer = db.execute("PRAGMA integrity_check").fetchone()[0]
                if answer != "ok":
                    violation(answer)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            note(error)
            if db.in_transaction:
                db.execute("ROLLBACK")
        time.sleep(0.005)


report["sqlite"] = sqlite3.sqlite_version
(writer if ROLE == "writer" else reader)()
print(json.dumps(report))
