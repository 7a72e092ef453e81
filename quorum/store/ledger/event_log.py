"""Rows with a log of numbered events: legal notices and sealed cases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Table, func, insert, select

__all__ = ["append_event", "find_by_id"]


def append_event(
    connection: Connection,
    owner: Column[Any],
    owner_id: str,
    event: str,
    actor: str,
    at: datetime,
    details: Mapping[str, Any],
) -> None:
    """Append an event to a log, with the next number of its owner.

    Args:
        connection: A transaction that writes.
        owner: The column of the log's table that names whose event it is.
        owner_id: Whose event it is.
        event: What happened.
        actor: Who did it.
        at: When.
        details: Facts.
    """
    table = owner.table
    last = connection.execute(
        select(func.max(table.c.number)).where(owner == owner_id)
    ).scalar_one_or_none()
    connection.execute(
        insert(table).values(
            {
                owner.name: owner_id,
                "number": (last or 0) + 1,
                "at": at,
                "event": event,
                "actor": actor[:256],
                "details": json.dumps(details, sort_keys=True),
                "logged": False,
            }
        )
    )


def find_by_id(connection: Connection, table: Table, row_id: str) -> Any:
    """The row of an id or of the unique beginning of one, from 8 characters; None without."""
    c = table.c
    exact = connection.execute(select(table).where(c.id == row_id)).first()
    if exact is not None or len(row_id) < 8:
        return exact
    query = select(table).where(c.id.startswith(row_id, autoescape=True)).limit(2)
    found = connection.execute(query).all()
    return found[0] if len(found) == 1 else None
