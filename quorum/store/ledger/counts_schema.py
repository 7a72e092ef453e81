"""The table of how many verdicts were made when, so that long windows are counted at once."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, String, Table

from quorum.store.ledger.schema import metadata

__all__ = ["GRAIN", "verdict_counts"]

#: Seconds of one row.
GRAIN: Final = 600

#: Triggers of the database keep it, in the transaction that writes or deletes a verdict.
verdict_counts = Table(
    "verdict_counts",
    metadata,
    #: When the verdicts were made: seconds since 1970, divided by ``GRAIN``.
    Column("grain", BigInteger, primary_key=True, autoincrement=False),
    Column("action", String(16), primary_key=True),
    #: Empty for none.
    Column("category", String(256), primary_key=True),
    #: 1 for first revisions, else 0.
    Column("first", Integer, primary_key=True, autoincrement=False),
    #: The connection that counted, so that no writer waits for another one. Rows are added up: one
    #: that deletes what another one wrote counts below zero.
    Column("writer", Integer, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
)
