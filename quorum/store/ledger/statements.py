"""What many queries of the ledger need: values in parts, and locks on names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from sqlalchemy import Connection, text

__all__ = ["CHUNK", "in_chunks", "lock_name"]

T = TypeVar("T")

#: Parameters of one statement; SQLite takes no more than 32,766.
CHUNK: Final = 500


def in_chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """The values in parts, in their order, none larger than ``size``."""
    return (values[start : start + size] for start in range(0, len(values), size))


def lock_name(connection: Connection, name: str) -> None:
    """Serialise transactions on a name; SQLite has a single writer anyway.

    Args:
        connection: A transaction, at whose end the lock is released.
        name: Any text without NUL.
    """
    if connection.dialect.name == "postgresql":
        query = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
        connection.execute(query, {"name": name})
