"""What a reviewer may be given now: by queues, exposure and breaks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, or_, select

from quorum.apps.console.desk.exposure import Spent, resting, spent
from quorum.apps.console.desk.routing import Desk
from quorum.store.ledger.console_schema import tasks, users

__all__ = ["Shift", "shift_of"]


@dataclass(frozen=True, slots=True)
class Shift:
    """What a reviewer may be given now.

    Attributes:
        desk: The desk's rules.
        at: The time.
        forbidden: Queues that they may not take from.
        spent: What they saw today of what is limited.
        rest_until: Until when they rest; None if they work.
    """

    desk: Desk
    at: datetime
    forbidden: tuple[str, ...] = ()
    spent: tuple[Spent, ...] = ()
    rest_until: datetime | None = None

    @property
    def hidden(self) -> tuple[str, ...]:
        """The categories that they are not given until tomorrow."""
        found = {name for one in self.spent if one.over for name in one.limit.categories}
        return tuple(sorted(found))

    def conditions(self) -> list[ColumnElement[bool]]:
        """The conditions on a task that they may be given, but for breaks."""
        found = self.desk.in_none_of(self.forbidden, self.at)
        if hidden := self.hidden:
            found.append(or_(tasks.c.category.is_(None), tasks.c.category.not_in(hidden)))
        return found

    def refusal(self, connection: Connection, task_id: str) -> str | None:
        """Why they are not given a task; None if they are."""
        if self.rest_until is not None:
            return f"It is time for a break, until {self.rest_until:%H:%M} UTC."
        row = connection.execute(
            select(
                tasks.c.category, tasks.c.queue, self.desk.routed(self.at).label("routed")
            ).where(tasks.c.id == task_id)
        ).first()
        if row is None:
            return None
        if (row.queue or row.routed) in self.forbidden:
            name = row.queue or row.routed
            return f"The queue {name} is for other roles or skills; see the page Queues."
        for one in self.spent:
            if one.over and row.category in one.limit.categories:
                return (
                    f"You have seen {one.minutes:.0f} minutes of {one.limit.name} today; the limit "
                    f"is {one.limit.minutes_a_day:g}. You are given others until tomorrow."
                )
        return None


def shift_of(connection: Connection, desk: Desk, name: str, at: datetime) -> Shift:
    """What a user may be given at a time.

    Args:
        connection: A transaction.
        desk: The desk's rules.
        name: The user.
        at: The time.
    """
    forbidden: tuple[str, ...] = ()
    if desk.queues:
        query = select(users.c.role, users.c.skills).where(users.c.name == name)
        row = connection.execute(query).first()
        skills = () if row is None or not row.skills else row.skills.split(",")
        forbidden = desk.forbidden("" if row is None else row.role, skills)
    return Shift(
        desk,
        at,
        forbidden,
        spent(connection, desk.exposure, name, at) if desk.exposure.limits else (),
        None if desk.breaks is None else resting(connection, desk.breaks, name, at),
    )
