"""How many verdicts were made over time, read from the counts that the database keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select

from quorum.store.ledger.counts_schema import GRAIN, verdict_counts

__all__ = ["GRAIN", "VerdictCount", "count_verdicts", "drop_empty_counts"]


class VerdictCount(NamedTuple):
    """The verdicts of one kind in one stretch of time.

    Attributes:
        bucket: The number of the stretch, from 0; later ones may be greater than asked for.
        action: Their action.
        category: Their category; None for none.
        first: Whether they are first revisions.
        number: How many there are.
    """

    bucket: int
    action: str
    category: str | None
    first: bool
    number: int


def count_verdicts(connection: Connection, since: datetime, width: int) -> Sequence[VerdictCount]:
    """Count the verdicts made since a time.

    Args:
        connection: A connection to the ledger.
        since: The begin of the first stretch, a multiple of ``GRAIN`` seconds since 1970.
        width: Seconds of a stretch, a multiple of ``GRAIN``.
    """
    c = verdict_counts.c
    begin = int(since.timestamp()) // GRAIN
    bucket = ((c.grain - begin) // (width // GRAIN)).label("bucket")
    total = func.sum(c.count)
    query = (
        select(bucket, c.action, c.category, c.first, total)
        .where(c.grain >= begin)
        .group_by(bucket, c.action, c.category, c.first)
        .having(total > 0)
    )
    return [
        VerdictCount(int(place), action, category or None, bool(first), int(count))
        for place, action, category, first, count in connection.execute(query)
    ]


def drop_empty_counts(connection: Connection, before: datetime) -> None:
    """Delete the counts of times before ``before`` of which no verdict is left."""
    c = verdict_counts.c
    empty = (
        select(c.grain)
        .where(c.grain < int(before.timestamp()) // GRAIN)
        .group_by(c.grain)
        .having(func.sum(c.count) == 0)
    )
    connection.execute(delete(verdict_counts).where(c.grain.in_(empty)))
