"""One decision on many cases: each becomes a decision of its own, in one transaction.

A case that another reviewer holds or decided meanwhile is left out, with the reason; all others are
decided. The decisions are undone together, and the audit log has one line for all of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, func, insert, or_, select, text, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.audited import decision_digest
from quorum.apps.console.desk.decisions import (
    Conflict,
    ReviewDecision,
    check_note,
    decision_from_row,
    new_decision,
    row_of,
)
from quorum.apps.console.desk.groups import MOST, decided_one_by_one
from quorum.apps.console.desk.replies import Replying, no_reply
from quorum.apps.console.desk.routing import Desk
from quorum.apps.console.desk.shift import shift_of
from quorum.apps.console.desk.tasks import ReviewTask, task_from_row
from quorum.core.messages import Action, digest, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import audit_log, decisions, standing_decisions, tasks
from quorum.store.ledger.schema import cases
from quorum.store.ledger.statements import in_chunks

__all__ = ["BulkDecision", "LeftOut", "bulk_of", "decide_many", "load", "size_of", "undo_many"]

_DECIDED: Final = "cases.decided"
_ONE_BY_ONE: Final = "is decided one by one"
_GONE: Final = "is no longer in any queue"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A selected case that was not decided, and why."""

    upload_id: str
    why: str


@dataclass(frozen=True, slots=True)
class BulkDecision:
    """One decision on many cases.

    Attributes:
        id: Its identifier.
        reviewer: Who decided.
        action: What was decided.
        category: The category of harm.
        at: When.
        group: What the cases have in common; ``selection`` for those of a queue or a search.
        decisions: Those that the ledger still has.
        left_out: The selected cases that were not decided.
    """

    id: str
    reviewer: str
    action: Action
    category: str | None
    at: datetime
    group: str
    decisions: tuple[ReviewDecision, ...]
    left_out: tuple[LeftOut, ...]


def decide_many(
    ledger: Ledger,
    task_ids: Sequence[str],
    reviewer: str,
    action: Action,
    category: str | None,
    note: str,
    undo: timedelta,
    group: str,
    reply: Replying = no_reply,
    *,
    standing: str | None = None,
    desk: Desk | None = None,
) -> str:
    """Decide all of the selected cases that nobody else holds or decided.

    Args:
        ledger: The ledger.
        task_ids: The tasks of the selected cases.
        reviewer: The reviewer.
        action: The action; ``review`` requests a second reviewer for each.
        category: The category of harm, as named by the policy.
        note: A note for other reviewers, on each case.
        undo: How long the decision can be undone.
        group: What the cases have in common, for the audit log.
        reply: What each uploader is told in the reviewer's words.
        standing: The decision on a campaign that these later members follow, for the audit log.
        desk: Whose queues and limits hold.

    Returns:
        The id of the decision on all of them.

    Raises:
        Conflict: If no case or too many are selected, the note is too long, or none of the cases
            can be decided; nothing was changed.
    """
    chosen = list(dict.fromkeys(task_ids))
    if not chosen:
        msg = "No case is selected. Tick at least one, then decide."
        raise Conflict(msg)
    if len(chosen) > MOST:
        msg = (
            f"{len(chosen):,} cases are selected; one decision takes at most {MOST:,}. Nothing was "
            f"changed: decide {MOST:,} of them, then the next."
        )
        raise Conflict(msg)
    check_note(note)

    def work(connection: Connection) -> str:
        at = now()
        named = {one.id: one.upload_id for one in _tasks(connection, chosen)}
        _lock(connection, sorted(set(named.values())))
        # Again, behind the locks: what another reviewer did until then is seen.
        found = {one.id: one for one in _tasks(connection, chosen)}
        reasons = _reasons(connection, chosen, found, reviewer, at)
        reasons |= _not_given(connection, desk, [i for i in chosen if i not in reasons], reviewer)
        taken = [found[one] for one in chosen if one not in reasons]
        bulk = digest("bulk", reviewer, str(at), *chosen)
        rows = [
            row_of(new_decision(one, reviewer, action, category, note, at, undo, reply, bulk=bulk))
            for one in taken
        ]
        left = [(found[one].upload_id if one in found else "", why) for one, why in reasons.items()]
        if not rows:
            counted = Counter(why for _, why in left).most_common(3)
            told = "; ".join(f"{count:,} {why}" for why, count in counted)
            msg = f"None of the selected cases was decided: {told}."
            raise Conflict(msg)
        connection.execute(insert(decisions), rows)
        for chunk in in_chunks([one.id for one in taken]):
            connection.execute(
                update(tasks)
                .where(tasks.c.id.in_(chunk))
                .values(state="closed", outcome=action.value, closed_at=at)
            )
        audit.append(
            connection,
            reviewer,
            _DECIDED,
            bulk,
            action=action.value,
            category=rows[0]["category"],
            group=group,
            decisions=[[row["upload_id"], row["id"], decision_digest(row)] for row in rows],
            left_out=left,
            **({} if standing is None else {"standing": standing}),
        )
        return bulk

    return ledger.transact(work, writes=True)


def _reasons(
    connection: Connection,
    chosen: Sequence[str],
    found: Mapping[str, ReviewTask],
    reviewer: str,
    at: datetime,
) -> dict[str, str]:
    """Why some of the tasks are left out."""
    deciders = _deciders(connection, [one.id for one in found.values() if one.state != "open"])
    holders = _holders(connection, sorted({one.upload_id for one in found.values()}), reviewer, at)
    current = _current(connection, sorted({one.upload_id for one in found.values()}))
    special = decided_one_by_one(connection, found.values())
    reasons: dict[str, str] = {}
    seen: set[str] = set()
    for task_id in chosen:
        one = found.get(task_id)
        if one is None or one.upload_id not in current or one.only_for not in (None, reviewer):
            reasons[task_id] = _GONE
        elif one.state != "open":
            who = deciders.get(task_id)
            reasons[task_id] = f"was decided by {who}" if who else "was decided meanwhile"
        elif task_id in special:
            reasons[task_id] = _ONE_BY_ONE
        elif (holder := holders.get(one.upload_id)) is not None:
            reasons[task_id] = f"is held by {holder}"
        elif current[one.upload_id] != one.verdict_id:
            reasons[task_id] = "has a newer verdict"
        elif one.upload_id in seen:
            reasons[task_id] = "is selected twice"
        seen.add("" if one is None or task_id in reasons else one.upload_id)
    return reasons


def _not_given(
    connection: Connection, desk: Desk | None, ids: Sequence[str], reviewer: str
) -> dict[str, str]:
    """Which of some tasks the desk's rules do not give to the reviewer."""
    if desk is None:
        return {}
    at, t = now(), tasks.c
    shift = shift_of(connection, desk, reviewer, at)
    if shift.rest_until is not None:
        return dict.fromkeys(ids, "may wait until after your break")
    free = or_(t.assigned_to.is_(None), t.assigned_to == reviewer, t.assigned_until <= at)
    given = {
        one
        for chunk in in_chunks(ids)
        for one in connection.execute(
            select(t.id).where(t.id.in_(chunk), free, *shift.conditions())
        ).scalars()
    }
    return {
        one: "is for other reviewers, or beyond your limit today" for one in ids if one not in given
    }


def _tasks(connection: Connection, ids: Sequence[str]) -> list[ReviewTask]:
    return [
        task_from_row(row)
        for chunk in in_chunks(ids)
        for row in connection.execute(select(tasks).where(tasks.c.id.in_(chunk)))
    ]


def _lock(connection: Connection, upload_ids: Sequence[str]) -> None:
    """Serialise transactions on these cases, as ``claims.lock_case`` does for one.

    All take them in one order, so that two reviewers of one group do not wait for each other.
    """
    if connection.dialect.name == "postgresql":
        query = text(
            "SELECT pg_advisory_xact_lock(number) FROM (SELECT DISTINCT "
            "hashtextextended(key, 0) AS number FROM unnest(CAST(:keys AS text[])) AS key "
            "ORDER BY number) AS ordered"
        )
        connection.execute(query, {"keys": list(upload_ids)})


def _deciders(connection: Connection, task_ids: Sequence[str]) -> dict[str, str]:
    d = decisions.c
    return {
        row.task_id: f"{row.reviewer} ({row.action})"
        for chunk in in_chunks(task_ids)
        for row in connection.execute(
            select(d.task_id, d.reviewer, d.action)
            .where(d.task_id.in_(chunk), d.state != "undone")
            .order_by(d.at)
        )
    }


def _holders(
    connection: Connection, upload_ids: Sequence[str], reviewer: str, at: datetime
) -> dict[str, str]:
    t = tasks.c
    return {
        row.upload_id: row.claimed_by
        for chunk in in_chunks(upload_ids)
        for row in connection.execute(
            select(t.upload_id, t.claimed_by).where(
                t.upload_id.in_(chunk),
                t.state == "open",
                t.claimed_by != reviewer,
                t.claimed_until > at,
            )
        )
    }


def _current(connection: Connection, upload_ids: Sequence[str]) -> dict[str, str | None]:
    c = cases.c
    return {
        row.upload_id: row.verdict_id
        for chunk in in_chunks(upload_ids)
        for row in connection.execute(
            select(c.upload_id, c.verdict_id).where(c.upload_id.in_(chunk))
        )
    }


def bulk_of(connection: Connection, decision_id: str) -> str | None:
    """The decision on many cases that a decision is a part of; None if it stands alone."""
    query = select(decisions.c.bulk).where(decisions.c.id == decision_id)
    return connection.execute(query).scalar()


def size_of(connection: Connection, bulk: str) -> int:
    """How many cases were decided together."""
    query = select(func.count()).select_from(decisions).where(decisions.c.bulk == bulk)
    return int(connection.execute(query).scalar_one())


def undo_many(ledger: Ledger, bulk: str, reviewer: str) -> int:
    """Undo a decision on many cases that is not published yet; the cases return to the queue.

    Returns:
        How many cases wait again.

    Raises:
        Conflict: If it cannot be undone any more; nothing was changed.
    """

    def work(connection: Connection) -> int:
        at, d = now(), decisions.c
        mine = (d.bulk == bulk, d.reviewer == reviewer)
        total = connection.execute(
            select(func.count()).select_from(decisions).where(*mine)
        ).scalar_one()
        done = connection.execute(
            update(decisions)
            .where(*mine, d.state == "waiting", d.due_at > at)
            .values(state="undone")
        )
        if not total or done.rowcount != total:
            msg = "It is too late to undo this decision: it is being published."
            raise Conflict(msg)
        rows = connection.execute(select(d.id, d.task_id).where(*mine)).all()
        for chunk in in_chunks([row.task_id for row in rows]):
            connection.execute(
                update(tasks)
                .where(tasks.c.id.in_(chunk))
                .values(
                    state="open",
                    outcome=None,
                    closed_at=None,
                    claimed_by=None,
                    claimed_until=None,
                )
            )
        ids = [row.id for row in rows]
        connection.execute(delete(standing_decisions).where(standing_decisions.c.bulk == bulk))
        audit.append(connection, reviewer, "cases.undone", bulk, decisions=ids)
        return len(ids)

    return ledger.transact(work, writes=True)


def load(ledger: Ledger, bulk: str) -> BulkDecision | None:
    """A decision on many cases, as the audit log and the ledger have it; None if there is none."""

    def work(connection: Connection) -> BulkDecision | None:
        log, d = audit_log.c, decisions.c
        line = connection.execute(
            select(audit_log).where(log.subject == bulk, log.event == _DECIDED)
        ).first()
        if line is None:
            return None
        told = json.loads(line.details)
        made = connection.execute(select(decisions).where(d.bulk == bulk).order_by(d.upload_id))
        return BulkDecision(
            bulk,
            line.actor,
            Action(told["action"]),
            told["category"],
            datetime.fromisoformat(line.at),
            told["group"],
            tuple(decision_from_row(row) for row in made),
            tuple(LeftOut(*one) for one in told["left_out"]),
        )

    return ledger.transact(work)
