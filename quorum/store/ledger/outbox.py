"""The statements that take deliveries from the ledger, so that one worker tells each verdict."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from quorum.store.ledger import schema
from quorum.store.ledger.values import Delivery

__all__ = ["claim_deliveries", "end_delivery", "postpone_delivery"]


def claim_deliveries(
    connection: Connection, now: datetime, until: datetime, limit: int
) -> list[Delivery]:
    """Take deliveries that are due; no other worker sees them before ``until``."""
    table = schema.deliveries
    due = select(table).where(table.c.due_at <= now).order_by(table.c.due_at).limit(limit)
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
            due_at=until,
            error=row.error,
        )
        for row in connection.execute(due)
    ]
    for delivery in found:
        connection.execute(
            table.update()
            .where(table.c.id == delivery.id)
            .values(due_at=until, attempts=delivery.attempts)
        )
    return found


def postpone_delivery(
    connection: Connection, delivery: Delivery, due_at: datetime, error: str
) -> None:
    """Try it again later."""
    table = schema.deliveries
    connection.execute(
        table.update().where(table.c.id == delivery.id).values(due_at=due_at, error=error)
    )


def end_delivery(
    connection: Connection, delivery: Delivery, at: datetime, error: str | None
) -> None:
    """It was delivered, or, with an error, given up."""
    table = schema.deliveries
    connection.execute(
        table.update()
        .where(table.c.id == delivery.id)
        .values(due_at=None, ended_at=at, error=error)
    )
