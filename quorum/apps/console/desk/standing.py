"""Standing decisions: what a reviewer decided on a campaign holds for its later members, too.

Only for a while, for so many cases, and only for uploads that are nearly the same as one that the
reviewer saw. All others of the campaign wait in its group, as do second reviews and golden cases.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk.bulk import decide_many
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.groups import MOST, Group, members_of
from quorum.apps.console.desk.likeness import ALIKE, resemblance
from quorum.apps.console.desk.tasks import ReviewTask
from quorum.core.messages import Action, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import (
    decisions,
    likeness_keys,
    sketches,
    standing_decisions,
    users,
)
from quorum.store.ledger.statements import in_chunks

__all__ = ["HOLDS", "StandingDecision", "follow", "of_campaign", "stand", "stop"]

_log = logging.getLogger(__name__)

#: How long a decision on a campaign holds for later members, and for how many.
HOLDS: Final = timedelta(hours=24)
_MOST_LATER: Final = 1000
#: Decided uploads that later ones are compared with.
_COMPARED: Final = 200


@dataclass(frozen=True, slots=True)
class StandingDecision:
    """A decision on a campaign that later members get.

    Attributes:
        bulk: The decision on many cases that it follows.
        campaign: The campaign.
        reviewer: Who decided.
        action: What was decided.
        category: The category of harm.
        note: The note on each case.
        at: When.
        until: Until when it holds.
        taken: How many later members got it.
    """

    bulk: str
    campaign: str
    reviewer: str
    action: Action
    category: str | None
    note: str
    at: datetime
    until: datetime
    taken: int


def stand(
    ledger: Ledger,
    bulk: str,
    campaign: str,
    reviewer: str,
    action: Action,
    category: str | None,
    note: str,
) -> None:
    """Let a decision on a campaign hold for its later members, in place of an earlier one.

    Raises:
        Conflict: If it asks for a second reviewer, who would be asked again and again.
    """
    if action is Action.REVIEW:
        msg = "A second review decides nothing for later members: choose allow, restrict or remove."
        raise Conflict(msg)

    def work(connection: Connection) -> None:
        at = now()
        s = standing_decisions.c
        connection.execute(delete(standing_decisions).where(s.campaign == campaign))
        row = {
            "bulk": bulk, "campaign": campaign, "reviewer": reviewer, "action": action.value,
            "category": None if action is Action.ALLOW else category, "note": note, "at": at,
            "until": at + HOLDS, "taken": 0,
        }  # fmt: skip
        connection.execute(insert(standing_decisions), row)
        details = {"bulk": bulk, "action": action.value, "until": str(at + HOLDS)}
        audit.append(connection, reviewer, "campaign.stands", campaign, **details)

    ledger.transact(work, writes=True)


def of_campaign(connection: Connection, campaign: str) -> StandingDecision | None:
    """The decision that holds for later members of a campaign; None without one."""
    s = standing_decisions.c
    query = select(standing_decisions).where(s.campaign == campaign, s.until > now())
    row = connection.execute(query).first()
    if row is None:
        return None
    return StandingDecision(**{**row._mapping, "action": Action(row.action)})


def stop(ledger: Ledger, campaign: str, reviewer: str) -> bool:
    """End a decision for later members; whether there was one."""

    def work(connection: Connection) -> bool:
        s = standing_decisions.c
        gone = connection.execute(delete(standing_decisions).where(s.campaign == campaign))
        if gone.rowcount:
            audit.append(connection, reviewer, "campaign.ended", campaign)
        return bool(gone.rowcount)

    return ledger.transact(work, writes=True)


def follow(ledger: Ledger, undo: timedelta) -> int:
    """Decide the later members of campaigns that wait, as the reviewer decided; how many.

    Args:
        ledger: The ledger.
        undo: How long each of these decisions can be undone.
    """

    def standing(connection: Connection) -> list[StandingDecision]:
        s, u = standing_decisions.c, users.c
        disabled = select(u.name).where(u.disabled)
        query = select(standing_decisions).where(
            s.until > now(), s.taken < _MOST_LATER, s.reviewer.not_in(disabled)
        )
        return [
            StandingDecision(**{**row._mapping, "action": Action(row.action)})
            for row in connection.execute(query)
        ]

    total = 0
    for one in ledger.transact(standing):
        chosen = ledger.transact(partial(_later, one=one))
        if not chosen:
            continue
        try:
            decide_many(
                ledger, [task.id for task in chosen], one.reviewer, one.action, one.category,
                one.note, undo, "wave", standing=one.bulk,
            )  # fmt: skip
        except Conflict as error:
            _log.info("later members of a campaign wait: %s", error)
            continue
        count = len(chosen)
        ledger.transact(partial(_taken, one=one, count=count), writes=True)
        total += count
    return total


def _taken(connection: Connection, one: StandingDecision, count: int) -> None:
    s = standing_decisions.c
    connection.execute(
        update(standing_decisions).where(s.bulk == one.bulk).values(taken=s.taken + count)
    )


def _later(connection: Connection, one: StandingDecision) -> list[ReviewTask]:
    """The members that wait, that nobody holds, and that are nearly what the reviewer decided."""
    at = now()
    members = members_of(connection, Group("wave", one.campaign), one.reviewer).tasks
    waiting = [task for task in members if task.held(at) in (None, one.reviewer)]
    if not waiting:
        return []
    d = decisions.c
    query = select(d.upload_id).where(d.bulk == one.bulk, d.state != "undone").limit(_COMPARED)
    seen = list(connection.execute(query).scalars())
    same = _same(connection, seen, [task.upload_id for task in waiting])
    return [task for task in waiting if task.upload_id in same][
        : min(MOST, _MOST_LATER - one.taken)
    ]


def _same(connection: Connection, seen: Sequence[str], waiting: Sequence[str]) -> set[str]:
    """Those that have the very text or media of one that was seen, or nearly its text."""
    keys = _keys(connection, seen)
    exact = set().union(*keys.values()) if keys else set()
    found = {name for name, own in _keys(connection, waiting).items() if own & exact}
    known = list(_sketches(connection, seen).values())
    for name, sketch in _sketches(connection, [n for n in waiting if n not in found]).items():
        if max(resemblance(sketch, known), default=0.0) >= ALIKE:
            found.add(name)
    return found


def _keys(connection: Connection, upload_ids: Sequence[str]) -> dict[str, set[str]]:
    k = likeness_keys.c
    found: dict[str, set[str]] = {}
    for chunk in in_chunks(list(upload_ids)):
        query = select(k.upload_id, k.key).where(k.upload_id.in_(chunk))
        for upload_id, key in connection.execute(query):
            if key.startswith(("text:", "media:")):
                found.setdefault(upload_id, set()).add(key)
    return found


def _sketches(connection: Connection, upload_ids: Sequence[str]) -> dict[str, bytes]:
    s = sketches.c
    found: dict[str, bytes] = {}
    for chunk in in_chunks(list(upload_ids)):
        query = select(s.upload_id, s.sketch).where(s.upload_id.in_(chunk), s.sketch.is_not(None))
        found.update({row.upload_id: row.sketch for row in connection.execute(query)})
    return found
