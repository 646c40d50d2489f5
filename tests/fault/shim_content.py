"""A database whose whole content follows from one number n, the number of its transactions: so whoever
reads it can tell any state that never was.

    counter_row    one row that changes            counter_log    a log that grows and is cut
    counter_ring   rows of changing length         bulk           grows by a lot, is emptied again
"""

import random

LOG_ROWS = 80
RING_SLOTS = 50
BULK_EVERY, BULK_AT, BULK_ROWS, BULK_BYTES = 40, 20, 60, 3000
VACUUM_EVERY = 80

NOISE = random.Random(7).randbytes(1 << 20)

SCHEMA = (
    "CREATE TABLE counter_row(id INTEGER PRIMARY KEY, n INTEGER)",
    "CREATE TABLE counter_log(n INTEGER PRIMARY KEY, pad BLOB)",
    "CREATE TABLE counter_ring(slot INTEGER PRIMARY KEY, n INTEGER, pad BLOB)",
    "CREATE INDEX counter_ring_n ON counter_ring(n)",
    "CREATE TABLE bulk(id INTEGER PRIMARY KEY, pad BLOB)",
)


class Wrong(Exception):
    pass


def noise(n, salt, size):
    at = (n * 7919 + salt * 104729) % (len(NOISE) - 4096)
    return NOISE[at:at + size]


def log_pad(n):
    return noise(n, 1, 200)


def ring_pad(n):
    return noise(n, 2, n * 37 % 900)


def bulk_rows(n):
    start = n - n % BULK_EVERY + BULK_AT
    if n < start:
        return []
    return [(row, noise(start + row, 3, BULK_BYTES)) for row in range(BULK_ROWS)]


def create(database):
    database.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA:
        database.execute(statement)
    database.execute("COMMIT")


def commit(database, n):
    """Transaction n, on a connection in autocommit mode."""
    run = database.execute
    run("BEGIN IMMEDIATE")
    run("INSERT OR REPLACE INTO counter_row VALUES(1, ?)", (n,))
    run("INSERT INTO counter_log VALUES(?, ?)", (n, log_pad(n)))
    run("DELETE FROM counter_log WHERE n <= ?", (n - LOG_ROWS,))
    run("INSERT OR REPLACE INTO counter_ring VALUES(?, ?, ?)", (n % RING_SLOTS, n, ring_pad(n)))
    if n % BULK_EVERY == BULK_AT:
        database.executemany("INSERT INTO bulk VALUES(?, ?)", bulk_rows(n))
    elif n % BULK_EVERY == 0:
        run("DELETE FROM bulk")
    run("COMMIT")


def state(database):
    """n, if all of the content is that of transaction n. Raises Wrong, or what SQLite raises."""
    run = database.execute
    run("BEGIN")
    try:
        if run("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
            return 0
        row = run("SELECT n FROM counter_row").fetchone()
        n = row[0] if row else 0
        must("counter_log", run("SELECT n, pad FROM counter_log").fetchall(),
             [(m, log_pad(m)) for m in range(max(1, n - LOG_ROWS + 1), n + 1)], n)
        last = range(max(1, n - RING_SLOTS + 1), n + 1)
        must("counter_ring", run("SELECT slot, n, pad FROM counter_ring").fetchall(),
             sorted((m % RING_SLOTS, m, ring_pad(m)) for m in last), n)
        must("bulk", run("SELECT id, pad FROM bulk").fetchall(), bulk_rows(n), n)
        return n
    finally:
        run("ROLLBACK")


def must(table, found, expected, n):
    if found == expected:
        return
    differ = sum(a != b for a, b in zip(found, expected))
    raise Wrong(f"{table} is not that of n={n}: {len(found)} rows for {len(expected)}, {differ} differ")
