"""A batch that scores a table: how likely is it that a rider does not come back?

Read page by page, written by the rider's id with what was read, each page in one transaction:
stopped at any moment and started again, it goes on, and does nothing twice.

    python -m examples.rides.churn riders.db 5000   # makes a table of riders to try it with
    python -m examples.rides.churn riders.db        # later: only those of whom more is known
"""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing

__all__ = ["fill", "score_table"]

PAGE = 200


def churn(days_since_last: float, rides_last_month: float) -> float:
    """The probability that a rider does not come back; the weights are made up."""
    return 1 / (1 + math.exp(-(0.12 * days_since_last - 0.6 * rides_last_month - 1.0)))


def fill(path: str, count: int) -> None:
    """Make a table of riders to try it with."""
    rows = [(f"rider-{n:05}", (n * 7) % 60, (n * 3) % 11) for n in range(count)]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE riders (id TEXT PRIMARY KEY, days_since_last REAL, rides_last_month REAL)"
        )
        database.executemany("INSERT INTO riders VALUES (?, ?, ?)", rows)


def pages(database: sqlite3.Connection) -> Iterator[list[tuple[str, float, float]]]:
    """Riders who have no score for what is now known of them, by id, a page at a time."""
    after = ""
    while page := database.execute(
        "SELECT r.id, days_since_last, rides_last_month FROM riders r LEFT JOIN churn c "
        "ON c.id = r.id AND c.seen = days_since_last || '/' || rides_last_month "
        "WHERE r.id > ? AND c.id IS NULL ORDER BY r.id LIMIT ?",
        (after, PAGE),
    ).fetchall():
        yield page
        after = page[-1][0]


def score_table(path: str, limit: int | None = None) -> int:
    """Score riders; returns how many. A limit stands for being stopped."""
    done = 0
    with closing(sqlite3.connect(path)) as database:
        with database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS churn (id TEXT PRIMARY KEY, score REAL, seen TEXT)"
            )
        for page in pages(database):
            if limit is not None and done >= limit:
                break
            with database:
                database.executemany(
                    "INSERT INTO churn VALUES (?, ?, ? || '/' || ?) ON CONFLICT (id) DO UPDATE "
                    "SET score = excluded.score, seen = excluded.seen",
                    [(one, churn(days, rides), days, rides) for one, days, rides in page],
                )
            done += len(page)
    return done


if __name__ == "__main__":
    where, *made = sys.argv[1:]
    if made:
        fill(where, int(made[0]))
    print(f"{score_table(where):,} riders scored")
