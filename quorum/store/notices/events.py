"""The log of a notice: each event, in order, with its time and who did it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from quorum.store.ledger.event_log import append_event
from quorum.store.ledger.notices_schema import notice_events

__all__ = ["COMPLAINANT", "THE_CLOCK", "note"]

#: Who does what no user of the console does.
COMPLAINANT = "complainant"
THE_CLOCK = "clock"


def note(
    connection: Connection, notice_id: str, event: str, actor: str, at: datetime, **details: Any
) -> None:
    """Append an event to the log of a notice, in the transaction of what it tells.

    Args:
        connection: A transaction that writes.
        notice_id: The notice.
        event: What happened.
        actor: Who did it.
        at: When.
        details: Facts, never the name or the words of who sent the notice.
    """
    append_event(connection, notice_events.c.notice_id, notice_id, event, actor, at, details)
