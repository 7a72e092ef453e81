"""The outbox: decisions that wait a few seconds, and are then published as reviews.

One that cannot be published waits on, and says why.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, func, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk import disputes
from quorum.apps.console.desk.decisions import Decision, to_decision
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

    A crash between publishing and noting it publishes the same review again, which changes
    nothing: its id is the same.

    Args:
        ledger: Where they wait.
        publish: Makes reviews durable elsewhere, or raises a ``QuorumError``.
        double_rate: The share of cases that a second reviewer decides too, unseen.
        chance: Gives numbers from 0 to 1.

    Returns:
        How many left.
    """
    query = (
        select(decisions)
        .where(decisions.c.state == "waiting", decisions.c.due_at <= now())
        .order_by(decisions.c.due_at)
        .limit(_BATCH)
    )
    due = ledger.transact(lambda connection: [to_decision(r) for r in connection.execute(query)])
    told = [one for one in due if _is_told(one)]
    if told:
        reviews = [one.review() for one in told]
        try:
            publish(reviews)
        except QuorumError as error:
            _note_error(ledger, told, str(error))
            told_ids = {one.id for one in told}
            due = [one for one in due if one.id not in told_ids]
        else:
            ledger.record_reviews(reviews)
    if due:
        ledger.transact(lambda c: _finish(c, due, double_rate, chance), writes=True)
    return len(due)


def _is_told(one: Decision) -> bool:
    return one.kind not in ("double", "golden") and one.action is not Action.REVIEW


def _note_error(ledger: Ledger, failed: Sequence[Decision], error: str) -> None:
    ids = [one.id for one in failed]
    ledger.transact(
        lambda c: c.execute(
            update(decisions).where(decisions.c.id.in_(ids)).values(error=error[:500])
        ),
        writes=True,
    )


def _finish(
    connection: Connection,
    done: Sequence[Decision],
    double_rate: float,
    chance: Callable[[], float],
) -> None:
    for one in done:
        told = _is_told(one)
        state = "published" if told else "kept"
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
                    statement=_outcome(one, reversed_),
                )
            )
            if one.action is Action.ALLOW:
                disputes.settle(connection, one.upload_id, one.reviewer)
        if told:
            details = {"action": one.action.value, "review": one.review().event_id()}
            audit.append(connection, one.reviewer, "review.published", one.upload_id, **details)


def _outcome(one: Decision, reversed_: bool) -> str:
    if reversed_:
        return (
            "Another reviewer looked at your upload and agreed with you. "
            f"The decision is now: {one.action.value}."
        )
    return "Another reviewer looked at your upload and came to the same decision. It stays."


def stuck(connection: Connection) -> int:
    """How many decisions could not be published yet."""
    query = (
        select(func.count())
        .select_from(decisions)
        .where(decisions.c.state == "waiting", decisions.c.error.is_not(None))
    )
    return int(connection.execute(query).scalar_one())
