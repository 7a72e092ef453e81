"""The outbox: publishes decisions as reviews once they can no longer be undone.

A decision that cannot be published stays in the outbox with the error, and is retried.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, func, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk import disputes
from quorum.apps.console.desk.decisions import ReviewDecision, decision_from_row
from quorum.apps.console.desk.tasks import open_task
from quorum.core.errors import QuorumError
from quorum.core.messages import Action, Review, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import appeals, decisions
from quorum.store.ledger.reading import load_cases

__all__ = ["publish_due", "stuck"]

_BATCH: Final = 100


def publish_due(
    ledger: Ledger,
    publish: Callable[[Sequence[Review]], None],
    *,
    double_rate: float,
    chance: Callable[[], float] = random.random,
) -> int:
    """Publish the decisions that can no longer be undone.

    After a crash between publishing and recording it, the same review is published again, with
    the same id, which has no effect.

    Args:
        ledger: The ledger.
        publish: Returns once the reviews are durable, or raises a ``QuorumError``.
        double_rate: The share of cases that a second reviewer decides independently.
        chance: Returns random numbers from 0 to 1.

    Returns:
        The number of decisions that left the outbox.
    """
    query = (
        select(decisions)
        .where(decisions.c.state == "waiting", decisions.c.due_at <= now())
        .order_by(decisions.c.due_at)
        .limit(_BATCH)
    )
    due = ledger.transact(
        lambda connection: [decision_from_row(r) for r in connection.execute(query)]
    )
    public = [one for one in due if _is_public(one)]
    if public:
        reviews = [one.review() for one in public]
        try:
            publish(reviews)
        except QuorumError as error:
            _record_error(ledger, public, str(error))
            due = [one for one in due if not _is_public(one)]
        else:
            ledger.record(reviews)
    if due:
        ledger.transact(lambda c: _finish(c, due, double_rate, chance), writes=True)
    return len(due)


def _is_public(one: ReviewDecision) -> bool:
    return one.kind not in ("double", "golden") and one.action is not Action.REVIEW


def _record_error(ledger: Ledger, failed: Sequence[ReviewDecision], error: str) -> None:
    ids = [one.id for one in failed]
    ledger.transact(
        lambda c: c.execute(
            update(decisions).where(decisions.c.id.in_(ids)).values(error=error[:500])
        ),
        writes=True,
    )


def _finish(
    connection: Connection,
    done: Sequence[ReviewDecision],
    double_rate: float,
    chance: Callable[[], float],
) -> None:
    for one in done:
        public = _is_public(one)
        state = "published" if public else "kept"
        changed = connection.execute(
            update(decisions)
            .where(decisions.c.id == one.id, decisions.c.state == "waiting")
            .values(state=state, error=None)
        )
        if changed.rowcount != 1:
            continue
        case = load_cases(connection, [one.upload_id], ("upload", "verdicts"))[0]
        verdict = next((v for v in case.verdicts if v.id == one.verdict_id), None)
        if verdict is None:
            continue
        if one.kind == "review" and one.action is Action.REVIEW:
            key = one.id
            open_task(connection, "second", case.upload, verdict, key=key, not_for=one.reviewer)
        elif one.kind == "review" and chance() < double_rate:
            open_task(connection, "double", case.upload, verdict, not_for=one.reviewer)
        elif one.kind == "appeal":
            reversed_ = one.action.severity < verdict.action.severity
            connection.execute(
                update(appeals)
                .where(appeals.c.upload_id == one.upload_id, appeals.c.state == "open")
                .values(
                    state="reversed" if reversed_ else "upheld",
                    reviewer=one.reviewer,
                    decided_at=one.at,
                    statement=one.reply or _outcome(one, reversed_),
                )
            )
            if one.action is Action.ALLOW:
                disputes.settle(connection, one.upload_id, one.reviewer)
        if public:
            details = {"action": one.action.value, "review": one.review().event_id()}
            audit.append(connection, one.reviewer, "review.published", one.upload_id, **details)


def _outcome(one: ReviewDecision, reversed_: bool) -> str:
    if reversed_:
        return (
            "Another reviewer checked your upload and agreed with you. "
            f"The decision is now: {one.action.value}."
        )
    return "Another reviewer checked your upload and came to the same decision. It stands."


def stuck(connection: Connection) -> int:
    """Count the decisions whose last attempt to publish failed."""
    query = (
        select(func.count())
        .select_from(decisions)
        .where(decisions.c.state == "waiting", decisions.c.error.is_not(None))
    )
    return int(connection.execute(query).scalar_one())
