"""The log of a notice: each event, in order, with its time and who did it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

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
    e = notice_events.c
    last = connection.execute(
        select(func.max(e.number)).where(e.notice_id == notice_id)
    ).scalar_one_or_none()
    connection.execute(
        insert(notice_events).values(
            notice_id=notice_id,
            number=(last or 0) + 1,
            at=at,
            event=event,
            actor=actor[:256],
            details=json.dumps(details, sort_keys=True),
            logged=False,
        )
    )
