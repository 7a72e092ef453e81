"""Reviewers' exposure to graphic material, their breaks, and how they want to see media at first.

A case counts from when its page opens. The page reports every few seconds that it is still open; a
page that fell silent counts no further than its last word, and a decision counts up to itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, insert, select, update

from quorum.apps.console.desk.routing import Breaks, Desk, Exposure, ExposureLimit
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import exposures, preferences, stints, tasks
from quorum.store.ledger.statements import lock_name

__all__ = [
    "SILENT",
    "Preferences",
    "Spent",
    "note",
    "preferences_of",
    "resting",
    "save_preferences",
    "spent",
]

#: A page that reports nothing for so long is closed; it reports every two seconds.
SILENT: Final = timedelta(seconds=30)
#: The most that one decision adds: a claim lasts no longer.
LONGEST: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a reviewer saw today of what a limit is on.

    Attributes:
        limit: The limit.
        seconds: How long they had its categories open.
    """

    limit: ExposureLimit
    seconds: float

    @property
    def minutes(self) -> float:
        """The same in minutes."""
        return self.seconds / 60

    @property
    def over(self) -> bool:
        """Whether the limit is reached."""
        return self.minutes >= self.limit.minutes_a_day

    @property
    def near(self) -> bool:
        """Whether the reviewer is to be told."""
        return self.minutes >= self.limit.minutes_a_day * self.limit.warn_at


def spent(connection: Connection, exposure: Exposure, name: str, at: datetime) -> tuple[Spent, ...]:
    """What a reviewer saw on the day of a time, by the limits."""
    e = exposures.c
    query = select(e.category, e.seconds).where(e.reviewer == name, e.day == exposure.day(at))
    by_category = {row.category: float(row.seconds) for row in connection.execute(query)}
    return tuple(
        Spent(one, sum(by_category.get(category, 0.0) for category in one.categories))
        for one in exposure.limits
    )


def resting(connection: Connection, breaks: Breaks, name: str, at: datetime) -> datetime | None:
    """Until when a reviewer rests; None if they may work."""
    row = connection.execute(select(stints).where(stints.c.reviewer == name)).first()
    if row is None or row.rest_until is None or row.rest_until <= at:
        return None
    until: datetime = row.rest_until
    return until


def note(
    ledger: Ledger, desk: Desk, name: str, upload_id: str, at: datetime, *, ends: bool = False
) -> None:
    """Count that a reviewer has a case open.

    Args:
        ledger: The ledger.
        desk: What is limited; without limits and breaks nothing is counted.
        name: The reviewer.
        upload_id: The case.
        at: The time.
        ends: Whether they decide it now, which counts since it was last seen, however long ago.
    """
    limited = {name for one in desk.exposure.limits for name in one.categories}
    if not limited and desk.breaks is None:
        return

    def work(connection: Connection) -> None:
        if desk.breaks is not None:
            _work_on(connection, desk.breaks, name, at)
        for category in _categories(connection, upload_id) & limited:
            _count(connection, name, desk.exposure.day(at), category, at, ends=ends)

    ledger.transact(work, writes=True)


def _categories(connection: Connection, upload_id: str) -> set[str]:
    query = select(tasks.c.category).where(tasks.c.upload_id == upload_id).distinct()
    return {one for one in connection.execute(query).scalars() if one is not None}


def _count(
    connection: Connection, name: str, day: str, category: str, at: datetime, *, ends: bool
) -> None:
    # Two tabs report at the same time.
    lock_name(connection, f"exposure {name}")
    e = exposures.c
    key = (e.reviewer == name, e.day == day, e.category == category)
    row = connection.execute(select(e.seconds, e.seen_at).where(*key)).first()
    if row is None:
        connection.execute(
            insert(exposures).values(
                reviewer=name, day=day, category=category, seconds=0.0, seen_at=at
            )
        )
        return
    since = at - row.seen_at
    counted = max(timedelta(0), since) if since <= (LONGEST if ends else SILENT) else timedelta(0)
    connection.execute(
        update(exposures)
        .where(*key)
        .values(seconds=row.seconds + counted.total_seconds(), seen_at=max(at, row.seen_at))
    )


def _work_on(connection: Connection, breaks: Breaks, name: str, at: datetime) -> None:
    lock_name(connection, f"stint {name}")
    s = stints.c
    row = connection.execute(select(stints).where(s.reviewer == name)).first()
    fresh = {"began_at": at, "seen_at": at, "rest_until": None}
    if row is None:
        connection.execute(insert(stints).values(reviewer=name, **fresh))
        return
    rest = timedelta(seconds=breaks.rest)
    rested = (row.rest_until is not None and row.rest_until <= at) or at - row.seen_at >= rest
    values = fresh
    if not rested:
        due = at - row.began_at >= timedelta(seconds=breaks.after)
        until = row.rest_until or (at + rest if due else None)
        values = {"began_at": row.began_at, "seen_at": max(at, row.seen_at), "rest_until": until}
    connection.execute(update(stints).where(s.reviewer == name).values(**values))


@dataclass(frozen=True, slots=True)
class Preferences:
    """How a user wants to see media at first.

    Attributes:
        blur: Blurred and muted until it is revealed.
        grey: In shades of grey.
    """

    blur: bool = True
    grey: bool = False


def preferences_of(connection: Connection, name: str) -> Preferences:
    """How a user wants to see media at first; blurred, if they never said."""
    row = connection.execute(select(preferences).where(preferences.c.user == name)).first()
    return Preferences() if row is None else Preferences(bool(row.blur), bool(row.grey))


def save_preferences(connection: Connection, name: str, chosen: Preferences) -> None:
    """Keep how a user wants to see media at first."""
    values = {"blur": chosen.blur, "grey": chosen.grey}
    done = connection.execute(
        update(preferences).where(preferences.c.user == name).values(**values)
    )
    if done.rowcount == 0:
        connection.execute(insert(preferences).values(user=name, **values))
