"""The queue of webhook deliveries: each is leased to one worker at a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from quorum.core.messages import now
from quorum.store.ledger.ledger import Ledger
from quorum.store.ledger.schema import deliveries
from quorum.store.ledger.values import Delivery

__all__ = ["DeliveryQueue"]


class DeliveryQueue:
    """The deliveries that a ledger holds.

    Args:
        ledger: The ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def claim(self, *, lease: timedelta, limit: int = 50) -> list[Delivery]:
        """Lease deliveries that are due: no other worker gets them before the lease ends."""
        at = now()

        def claim(connection: Connection) -> list[Delivery]:
            due = select(deliveries).where(deliveries.c.due_at <= at)
            due = due.order_by(deliveries.c.due_at).limit(limit)
            if connection.dialect.name == "postgresql":
                due = due.with_for_update(skip_locked=True)
            found = [
                Delivery(
                    id=row.id,
                    endpoint=row.endpoint,
                    upload_id=row.upload_id,
                    verdict_id=row.verdict_id,
                    body=row.body,
                    attempts=row.attempts + 1,
                    due_at=at + lease,
                    error=row.error,
                    trace=row.trace or "",
                )
                for row in connection.execute(due)
            ]
            for one in found:
                _update(connection, one, due_at=one.due_at, attempts=one.attempts)
            return found

        return self._ledger.transact(claim, writes=True)

    def postpone(self, delivery: Delivery, due_at: datetime, error: str) -> None:
        """Schedule the next attempt of a delivery that failed."""
        self._ledger.transact(
            lambda connection: _update(connection, delivery, due_at=due_at, error=error),
            writes=True,
        )

    def end(self, delivery: Delivery, error: str | None = None) -> None:
        """Mark a delivery as made or, with an error, as given up."""
        at = now()
        self._ledger.transact(
            lambda connection: _update(connection, delivery, due_at=None, ended_at=at, error=error),
            writes=True,
        )


def _update(connection: Connection, delivery: Delivery, **values: Any) -> None:
    connection.execute(deliveries.update().where(deliveries.c.id == delivery.id).values(**values))
