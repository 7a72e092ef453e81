"""What holds of a catalogue as a whole, by name."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, insert, select, update

from quorum.models.copyright.catalogue.tables import state

__all__ = ["Name", "count_change", "read_state", "write_state"]

#: ``content``: digest of all works; ``changes``: how often it was written to; ``name``: tells one
#: catalogue from another; ``keep_days``: for how long uploads' fingerprints are kept.
Name = Literal["content", "changes", "name", "keep_days"]


def read_state(connection: Connection, name: Name) -> str:
    """A value; empty where none was written."""
    query = select(state.c.value).where(state.c.name == name)
    return connection.execute(query).scalar_one_or_none() or ""


def write_state(connection: Connection, name: Name, value: str) -> None:
    """Put a value in the place of another, inside a transaction that writes."""
    done = connection.execute(update(state).where(state.c.name == name).values(value=value))
    if not done.rowcount:
        connection.execute(insert(state).values(name=name, value=value))


def count_change(connection: Connection, *contents: str) -> None:
    """Tell readers that something changed, inside a transaction that writes.

    Args:
        connection: The transaction.
        contents: Digests of works that come or go; each is added to the digest of all, or taken
            from it if it is there, so that the order does not matter.
    """
    both = int(read_state(connection, "content") or "0", 16)
    for content in contents:
        both ^= int(content, 16)
    write_state(connection, "content", f"{both:032x}")
    write_state(connection, "changes", str(int(read_state(connection, "changes") or "0") + 1))
