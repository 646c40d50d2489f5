"""A shop and its readers: an ordinary application, one process, stock SQLite.

    app.py create PATH    makes the shop's database, with some orders in it
    app.py write PATH     takes orders until told to stop, and says when each was committed
    app.py read PATH      looks at a copy, read-only, and says when it first saw which order

What they say is JSON, a line each; a line on stdin, or its end, stops them.

Times are of CLOCK_MONOTONIC, which all processes of one machine share (time.monotonic_ns() is just
that on Linux and macOS): "ns" of the writer is taken right after COMMIT has returned, "ns" of a reader
right after the SELECT that found the order. Their difference is the lag.
"""

import json
import random
import signal
import sqlite3
import sys
import threading
import time

ORDERS_PER_SECOND = 20
BURST_EVERY_SECONDS, BURST_ORDERS = 5, 60
LOOK_EVERY_SECONDS = 0.0005
GOODS = ("tea", "coffee", "cocoa", "sugar", "honey", "bread", "butter", "jam")

SCHEMA = (
    "CREATE TABLE stock(product TEXT PRIMARY KEY, left INTEGER NOT NULL)",
    "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT NOT NULL, cents INTEGER NOT NULL,"
    " at TEXT NOT NULL DEFAULT (datetime('now')))",
    "CREATE TABLE items(id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders,"
    " product TEXT NOT NULL, count INTEGER NOT NULL)",
    "CREATE INDEX items_of_order ON items(order_id)",
)


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def connect(path, mode):
    return sqlite3.connect(f"file:{path}?mode={mode}", uri=True, timeout=5, isolation_level=None)


def take_order(database):
    """One order, its items and the stock they leave: one transaction. Returns its number."""
    items = [(random.choice(GOODS), random.randint(1, 5)) for _ in range(random.randint(1, 4))]
    cents = sum(count * 250 for _, count in items)
    database.execute("BEGIN IMMEDIATE")
    customer = f"customer {random.randint(1, 500)}"
    number = database.execute(
        "INSERT INTO orders(customer, cents) VALUES(?, ?)", (customer, cents)).lastrowid
    for product, count in items:
        database.execute(
            "INSERT INTO items(order_id, product, count) VALUES(?, ?, ?)", (number, product, count))
        database.execute("UPDATE stock SET left = left - ? WHERE product = ?", (count, product))
    database.execute("COMMIT")
    return number


def create(path):
    database = connect(path, "rwc")
    database.execute("PRAGMA journal_mode = wal")
    database.execute("PRAGMA synchronous = normal")
    for statement in SCHEMA:
        database.execute(statement)
    database.executemany("INSERT INTO stock VALUES(?, 1000000)", [(product,) for product in GOODS])
    for _ in range(2000):
        number = take_order(database)
    database.close()
    say("created", id=number)


def write(path, stopped):
    database = connect(path, "rw")
    database.execute("PRAGMA synchronous = normal")

    def commit():
        number = take_order(database)
        say("order", id=number, ns=time.monotonic_ns())

    next_burst = time.monotonic() + BURST_EVERY_SECONDS
    while not stopped.wait(random.expovariate(ORDERS_PER_SECOND)):
        commit()
        if time.monotonic() < next_burst:
            continue
        next_burst += BURST_EVERY_SECONDS
        for _ in range(BURST_ORDERS):
            commit()
    database.close()
    say("stopped")


def read(path, stopped):
    database = connect(path, "ro")

    def look():
        return database.execute("SELECT max(id) FROM orders").fetchone()[0]

    last = look()
    say("reading", id=last)
    while not stopped.is_set():
        newest = look()
        if newest != last:
            last = newest
            say("seen", id=last, ns=time.monotonic_ns())
        time.sleep(LOOK_EVERY_SECONDS)
    database.close()


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the demo's: it says when to stop
    command, path = sys.argv[1:]
    if command == "create":
        create(path)
        return
    stopped = threading.Event()

    def listen():
        sys.stdin.readline()
        stopped.set()

    threading.Thread(target=listen, daemon=True).start()
    {"write": write, "read": read}[command](path, stopped)


main()
