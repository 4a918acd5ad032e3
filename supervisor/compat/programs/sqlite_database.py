"""A database file with a write-ahead log, which takes locks and shared memory, and a backup into memory."""

import sqlite3


def main():
    with sqlite3.connect("shop.db") as database:
        mode = database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        database.execute("CREATE TABLE goods (name TEXT PRIMARY KEY, price INTEGER)")
        database.executemany("INSERT INTO goods VALUES (?, ?)", ((f"thing {n}", n) for n in range(1000)))
    other = sqlite3.connect("shop.db")
    total = other.execute("SELECT count(*), sum(price) FROM goods WHERE price % 2 = 0").fetchone()
    copy = sqlite3.connect(":memory:")
    other.backup(copy)
    return {"mode": mode, "total": total, "copied": copy.execute("SELECT count(*) FROM goods").fetchone()[0]}
