"""Closes reported cases when a person, or a removal, has decided them, and answers reporters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select, update

from quorum.core.messages import Action, Review
from quorum.store.ledger.reports_schema import report_cases, reporters, reports
from quorum.store.ledger.schema import cases, uploads
from quorum.store.ledger.schema import reviews as review_table
from quorum.store.ledger.statements import in_chunks
from quorum.store.reports.values import Track

__all__ = ["close_case", "link_uploads", "settle"]

_BATCH: Final = 500
#: Reports of one case that are read to weigh it again.
_WEIGHED: Final = 200


def link_uploads(connection: Connection) -> int:
    """Find the uploads that were reported before the ledger knew them; returns how many came."""
    c = report_cases.c
    query = (
        select(c.id)
        .join(uploads, uploads.c.id == c.upload_id)
        .where(c.state == "open", c.known.is_(False))
        .limit(_BATCH)
    )
    found = list(connection.execute(query).scalars())
    if found:
        connection.execute(update(report_cases).where(c.id.in_(found)).values(known=True))
    return len(found)


def settle(connection: Connection) -> list[str]:
    """Close the open cases that were decided since they were opened; returns their ids.

    A person's review counts, whichever queue it came from, and so does a removal by the policy.
    """
    c = report_cases.c
    reviewed = (
        select(c.id, review_table.c.body)
        .join(review_table, review_table.c.upload_id == c.upload_id)
        .where(c.state == "open", review_table.c.at > c.opened_at)
        .order_by(review_table.c.at)
        .limit(_BATCH)
    )
    decided: dict[str, Review] = {
        row.id: Review.model_validate_json(row.body) for row in connection.execute(reviewed)
    }
    done = []
    for case_id, review in decided.items():
        if review.action is Action.REVIEW:
            continue
        label = review.labels[0] if review.labels else None
        if close_case(
            connection,
            case_id,
            upheld=review.action is not Action.ALLOW,
            action=review.action.value,
            at=review.at,
            by=review.reviewer,
            category=label,
        ):
            done.append(case_id)
    removed = (
        select(c.id, cases.c.at, cases.c.category)
        .join(cases, cases.c.upload_id == c.upload_id)
        .where(c.state == "open", cases.c.action == Action.REMOVE.value, cases.c.at > c.opened_at)
        .limit(_BATCH)
    )
    for row in connection.execute(removed).all():
        if close_case(
            connection, row.id, upheld=True, action="remove", at=row.at, category=row.category
        ):
            done.append(row.id)
    return done


def close_case(
    connection: Connection,
    case_id: str,
    *,
    upheld: bool,
    action: str | None,
    at: datetime,
    by: str | None = None,
    category: str | None = None,
) -> bool:
    """Close a case, answer its reports and count them in the reporters' track records.

    Args:
        connection: A transaction that writes.
        case_id: The case.
        upheld: Whether the reporters were right.
        action: What happened to the upload; None where nothing is known of it.
        at: When it was decided.
        by: The person who decided; None for the policy.
        category: The category of the decision; None for that of the report.

    Returns:
        Whether the case was open.
    """
    outcome = "upheld" if upheld else "rejected"
    done = connection.execute(
        update(report_cases)
        .where(report_cases.c.id == case_id, report_cases.c.state == "open")
        .values(
            state="closed",
            closed_at=at,
            outcome=outcome,
            action=action,
            decided_by=by,
            decided_category=category or report_cases.c.category,
        )
    )
    if done.rowcount != 1:
        return False
    r = reports.c
    mine = (r.case_id == case_id) & (r.state == "open")
    who = list(connection.execute(select(r.reporter_id).where(mine)).scalars())
    connection.execute(
        update(reports).where(mine).values(state=outcome, decided_at=at, action=action)
    )
    column = reporters.c.upheld if upheld else reporters.c.rejected
    for chunk in in_chunks(who, _BATCH):
        connection.execute(
            update(reporters).where(reporters.c.id.in_(chunk)).values({column: column + 1})
        )
    _weigh_again(connection, who)
    return True


def _weigh_again(connection: Connection, who: Sequence[str]) -> None:
    """Weigh the other open cases of reporters whose track record changed."""
    r, c = reports.c, report_cases.c
    ids = connection.execute(
        select(r.case_id)
        .join(report_cases, c.id == r.case_id)
        .where(r.reporter_id.in_(who[:_BATCH]), c.state == "open")
        .distinct()
        .limit(_BATCH)
    ).scalars()
    for case_id in list(ids):
        tracks = connection.execute(
            select(reporters.c.upheld, reporters.c.rejected)
            .join(reports, r.reporter_id == reporters.c.id)
            .where(r.case_id == case_id)
            .limit(_WEIGHED)
        )
        doubt = 1.0
        for row in tracks:
            doubt *= 1 - Track(row.upheld, row.rejected).weight
        connection.execute(update(report_cases).where(c.id == case_id).values(doubt=doubt))
