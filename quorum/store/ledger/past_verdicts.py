"""Queries for the past verdicts on an uploader's uploads, which count as strikes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, func, select

from quorum.core.messages import Action
from quorum.store.ledger import schema
from quorum.store.ledger.values import PastVerdicts

__all__ = ["newest_verdicts", "past_verdicts", "verdicts_before"]

#: The most verdicts that are listed for one uploader; older ones have decayed.
PAST_VERDICTS = 200


def past_verdicts(
    connection: Connection, uploaders: Collection[str], actions: Collection[Action]
) -> dict[str, PastVerdicts]:
    """The current verdicts on each uploader's uploads; lists the newest of some actions.

    What a cap restricted waits for a human, and is not listed.
    """
    cases = schema.cases.c
    ours = cases.uploader.in_(uploaders), cases.at.is_not(None)
    counts = select(cases.uploader, func.count()).where(*ours).group_by(cases.uploader)
    decided = {row[0]: int(row[1]) for row in connection.execute(counts)}
    place = func.row_number().over(partition_by=cases.uploader, order_by=cases.at.desc())
    placed = select(cases.uploader, cases.upload_id, cases.action, cases.at, place.label("place"))
    wanted = cases.action.in_([action.value for action in actions]), cases.decided_by != "cap"
    inner = placed.where(*ours, *wanted).subquery()
    newest = select(inner).where(inner.c.place <= PAST_VERDICTS).order_by(inner.c.place)
    chosen: dict[str, list[tuple[str, Action, datetime]]] = defaultdict(list)
    for row in connection.execute(newest):
        chosen[row.uploader].append((row.upload_id, Action(row.action), row.at))
    return {
        uploader: PastVerdicts(decided.get(uploader, 0), tuple(chosen.get(uploader, ())))
        for uploader in uploaders
    }


def newest_verdicts(
    connection: Connection, uploader: str, actions: Collection[Action], limit: int = PAST_VERDICTS
) -> list[tuple[str, Action, datetime]]:
    """The newest current verdicts of some actions on one uploader's uploads, newest first.

    Each action is read by itself, from its end of an index: an account may have a million uploads.
    """
    cases = schema.cases.c
    found: list[tuple[str, Action, datetime]] = []
    for action in actions:
        query = (
            select(cases.upload_id, cases.at)
            .where(cases.uploader == uploader, cases.action == action.value)
            .where(cases.at.is_not(None), cases.decided_by != "cap")
            .order_by(cases.at.desc())
            .limit(limit)
        )
        found += [(row.upload_id, action, row.at) for row in connection.execute(query)]
    return sorted(found, key=lambda one: one[2], reverse=True)[:limit]


def verdicts_before(
    connection: Connection, uploader: str, actions: Collection[Action], before: datetime
) -> PastVerdicts:
    """The verdicts that were current at a time, whatever superseded them since."""
    cases, verdicts = schema.cases.c, schema.verdicts.c
    latest = func.row_number().over(
        partition_by=verdicts.upload_id,
        order_by=(
            verdicts.content_at.desc().nulls_last(),
            verdicts.revision.desc(),
            verdicts.at.desc(),
        ),
    )
    held = (
        select(
            verdicts.upload_id,
            verdicts.action,
            verdicts.at,
            verdicts.decided_by,
            latest.label("place"),
        )
        .join_from(schema.cases, schema.verdicts, verdicts.upload_id == cases.upload_id)
        .where(cases.uploader == uploader, verdicts.at < before)
        .subquery()
    )
    ours = select(held).where(held.c.place == 1).subquery()
    decided = connection.execute(select(func.count()).select_from(ours)).scalar_one()
    wanted = ours.c.action.in_([action.value for action in actions]) & (ours.c.decided_by != "cap")
    newest = select(ours).where(wanted).order_by(ours.c.at.desc()).limit(PAST_VERDICTS)
    chosen = [(row.upload_id, Action(row.action), row.at) for row in connection.execute(newest)]
    return PastVerdicts(int(decided), tuple(chosen))
