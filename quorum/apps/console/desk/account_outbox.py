"""The outbox of decisions on accounts: each is published as a review of the upload it rests on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, select, update

from quorum.apps.console.desk.account_orders import Order, log_order, order_from_row
from quorum.core.errors import QuorumError
from quorum.core.messages import Review, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.accounts_schema import account_orders

__all__ = ["publish_orders"]

_log = logging.getLogger(__name__)
_BATCH: Final = 50


def publish_orders(ledger: Ledger, publish: Callable[[Sequence[Review]], None]) -> int:
    """Publish what was decided on accounts and can no longer be undone.

    As with other decisions: what cannot be published stays with the error and is tried again, and
    a review that is published twice has no further effect.

    Args:
        ledger: The ledger.
        publish: Returns once the reviews are durable, or raises a ``QuorumError``.

    Returns:
        The number of orders that left the outbox.
    """
    o = account_orders.c
    query = (
        select(account_orders)
        .where(o.state == "waiting", o.due_at <= now())
        .order_by(o.due_at)
        .limit(_BATCH)
    )
    due = ledger.transact(lambda c: [order_from_row(row) for row in c.execute(query)])
    for one in due:
        _publish(ledger, one, publish)
    return len(due)


def _publish(ledger: Ledger, one: Order, publish: Callable[[Sequence[Review]], None]) -> None:
    (case,) = ledger.get_cases([one.upload_id], ("upload", "verdicts", "reviews"))
    verdict = case.verdict
    if verdict is None:
        _settle(ledger, one, "undone", "retention or an erasure deleted the upload")
        return
    if verdict.id != one.verdict_id:
        # Somebody decided the upload meanwhile: what the review says of it would undo that.
        _settle(ledger, one, "undone", "the upload has a newer verdict; decide again")
        return
    review = one.review(verdict)
    try:
        publish([review])
    except QuorumError as error:
        values = {"error": str(error)[:500]}
        ledger.transact(
            lambda c: c.execute(
                update(account_orders).where(account_orders.c.id == one.id).values(**values)
            ),
            writes=True,
        )
        return
    ledger.record([review])
    _settle(ledger, one, "published", None)


def _settle(ledger: Ledger, one: Order, state: str, error: str | None) -> None:
    if error is not None:
        _log.warning("a decision on an account was not published: %s", error)

    def work(connection: Connection) -> None:
        o = account_orders.c
        done = connection.execute(
            update(account_orders)
            .where(o.id == one.id, o.state == "waiting")
            .values(state=state, error=error)
        )
        if done.rowcount == 1:
            log_order(connection, one.second or one.reviewer, f"account.{state}", one)

    ledger.transact(work, writes=True)
