"""What a reviewer decided, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, tuple_

from quorum.apps.console.desk.decisions import ReviewDecision
from quorum.core.messages import Action
from quorum.store.ledger.console_schema import decisions
from quorum.store.ledger.schema import cases
from quorum.store.ledger.sealing import shown_title

__all__ = ["OwnDecision", "of_reviewer"]


@dataclass(frozen=True, slots=True)
class OwnDecision:
    """A decision, with the case as it is now.

    Attributes:
        decision: The decision.
        title: The upload's title.
        now: The action of the verdict in force; None if that is hidden from its reviewer.
    """

    decision: ReviewDecision
    title: str | None
    now: Action | None


def of_reviewer(
    connection: Connection,
    reviewer: str,
    action: Action | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[OwnDecision]:
    """The newest decisions of a reviewer.

    Of golden cases and second opinions the verdict is not told: nobody must recognise them.

    Args:
        connection: A transaction.
        reviewer: Whose.
        action: Only decisions of this action.
        before: Time and id of the last row of the previous page.
        limit: The most rows.
    """
    d, c = decisions.c, cases.c
    query = (
        select(decisions, shown_title(), c.action.label("current"))
        .join(cases, c.upload_id == d.upload_id, isouter=True)
        .where(d.reviewer == reviewer)
        .order_by(d.at.desc(), d.id.desc())
        .limit(limit)
    )
    if action is not None:
        query = query.where(d.action == action.value)
    if before is not None:
        query = query.where(tuple_(d.at, d.id) < tuple_(*before, types=[d.at.type, d.id.type]))
    found = []
    for row in connection.execute(query):
        values = dict(row._mapping)
        title, current = values.pop("title"), values.pop("current")
        made = ReviewDecision(**{**values, "action": Action(values["action"])})
        told = current is not None and made.kind not in ("double", "golden")
        found.append(OwnDecision(made, title, Action(current) if told else None))
    return found
