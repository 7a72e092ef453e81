"""Key-value state of a catalogue as a whole."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, insert, select, update

from quorum.models.copyright.catalogue.tables import state

__all__ = ["Name", "count_change", "read_state", "write_state"]

#: ``content``: digest of all works; ``changes``: counter of writes; ``name``: unique id of the
#: catalogue; ``keep_days``: retention of uploads' fingerprints.
Name = Literal["content", "changes", "name", "keep_days"]


def read_state(connection: Connection, name: Name) -> str:
    """Read a value; empty if it was never written."""
    query = select(state.c.value).where(state.c.name == name)
    return connection.execute(query).scalar_one_or_none() or ""


def write_state(connection: Connection, name: Name, value: str) -> None:
    """Write a value, within a write transaction."""
    done = connection.execute(update(state).where(state.c.name == name).values(value=value))
    if not done.rowcount:
        connection.execute(insert(state).values(name=name, value=value))


def count_change(connection: Connection, *contents: str) -> None:
    """Record a change for readers, within a write transaction.

    Args:
        connection: The transaction.
        contents: Digests of added or removed works. Each is combined with the overall digest by
            XOR, so that the order does not matter.
    """
    both = int(read_state(connection, "content") or "0", 16)
    for content in contents:
        both ^= int(content, 16)
    write_state(connection, "content", f"{both:032x}")
    write_state(connection, "changes", str(int(read_state(connection, "changes") or "0") + 1))
