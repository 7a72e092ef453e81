"""Episodes: an alert begins, lasts and ends, and each of its notices is sent to each once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Connection, exists, insert, select, text, update

from quorum.core.messages import now
from quorum.store.alerts.values import Alert, Bounds, Judgement, Signal, State
from quorum.store.ledger import Ledger
from quorum.store.ledger.alerts_schema import alert_notices, alerts

__all__ = ["Event", "Notice", "Notices", "newest", "open_keys", "record"]

Event = Literal["opened", "resolved"]

#: Key of PostgreSQL's advisory lock: two processes that see the same open one alert.
_LOCK: Final = 0x51_4C_41_4C
#: An alert of which nothing can be said any more ends after this.
UNHEARD: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be told through one channel.

    Attributes:
        alert: The alert.
        event: Whether it began or ended.
        channel: The channel's name.
        attempts: How often it was tried, with this time.
    """

    alert: Alert
    event: Event
    channel: str
    attempts: int

    @property
    def id(self) -> str:
        """The same for each attempt."""
        return f"{self.alert.id}-{self.event}"


def record(
    ledger: Ledger,
    judgements: Iterable[Judgement],
    channels: Sequence[str],
    bounds: Bounds,
    at: datetime,
) -> list[tuple[Event, Alert]]:
    """Begin and end alerts, and queue what is told of them, in one transaction.

    Args:
        ledger: The ledger.
        judgements: What was found of each signal.
        channels: The names of those who are told.
        bounds: When an alert ends.
        at: The time.

    Returns:
        What began and ended now.
    """
    found = {one.signal: one for one in judgements}

    def work(connection: Connection) -> list[tuple[Event, Alert]]:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        told: list[tuple[Event, Alert]] = []
        open_ = {
            Signal(row.kind, row.name): row
            for row in connection.execute(select(alerts).where(alerts.c.resolved_at.is_(None)))
        }
        for signal, row in open_.items():
            judged = found.get(signal) or Judgement(signal, State.UNKNOWN)
            calm_since = _calm_since(row, judged, at)
            if calm_since is not None and _is_over(calm_since, row, judged, bounds, at):
                ended = {"resolved_at": at, "calm_since": calm_since, "last": _json(judged)}
                connection.execute(update(alerts).where(alerts.c.id == row.id).values(**ended))
                told.append(("resolved", _alert(row, at, judged)))
            elif calm_since != row.calm_since:
                where = alerts.c.id == row.id
                connection.execute(update(alerts).where(where).values(calm_since=calm_since))
        for signal, judged in sorted(found.items()):
            if judged.state is not State.OFF or signal in open_:
                continue
            made = Alert(uuid.uuid4().hex, signal, at.isoformat(), None, judged)
            connection.execute(
                insert(alerts).values(
                    id=made.id,
                    kind=signal.kind,
                    name=signal.name,
                    opened_at=at,
                    opened=_json(judged),
                )
            )
            told.append(("opened", made))
        rows = [
            {"alert_id": one.id, "event": event, "channel": name, "attempts": 0, "due_at": at}
            for event, one in told
            for name in channels
        ]
        if rows:
            connection.execute(insert(alert_notices), rows)
        return told

    return ledger.transact(work, writes=True)


def _calm_since(row: Any, judged: Judgement, at: datetime) -> datetime | None:
    if judged.state is State.USUAL:
        since: datetime = row.calm_since or at
        return since
    if judged.state is State.UNKNOWN:
        # Nothing was heard since it was last heard: that is no sign that it is over.
        unheard: datetime = row.calm_since or at
        return unheard
    return None


def _is_over(since: datetime, row: Any, judged: Judgement, bounds: Bounds, at: datetime) -> bool:
    if judged.state is State.UNKNOWN:
        return at - since >= UNHEARD
    return at - since >= timedelta(seconds=bounds.calm_seconds)


def open_keys(ledger: Ledger) -> set[str]:
    """The signals whose alerts last."""
    query = select(alerts.c.kind, alerts.c.name).where(alerts.c.resolved_at.is_(None))
    return ledger.transact(lambda c: {Signal(*row).key for row in c.execute(query)})


def newest(ledger: Ledger, limit: int = 50) -> list[Alert]:
    """The newest alerts, newest first."""
    query = select(alerts).order_by(alerts.c.opened_at.desc(), alerts.c.id).limit(limit)
    return ledger.transact(lambda c: [_alert(row) for row in c.execute(query)])


class Notices:
    """The queue of what is to be told: each is leased to one process at a time.

    Args:
        ledger: The ledger.
        clock: Returns the time.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime] = now) -> None:
        self._ledger = ledger
        self._now = clock

    def claim(self, channel: str, lease: timedelta) -> Notice | None:
        """Lease the oldest notice that is due; its end is told after its beginning."""
        at = self._now()
        n, earlier = alert_notices.c, alert_notices.alias("earlier")
        unsent = exists().where(
            earlier.c.alert_id == n.alert_id,
            earlier.c.channel == n.channel,
            earlier.c.event == "opened",
            earlier.c.due_at.is_not(None),
        )
        query = (
            select(alert_notices)
            .where(n.channel == channel, n.due_at <= at)
            .where((n.event == "opened") | ~unsent)
            .order_by(n.due_at, n.event)
            .limit(1)
        )

        def work(connection: Connection) -> Notice | None:
            due = query
            if connection.dialect.name == "postgresql":
                due = due.with_for_update(skip_locked=True)
            row = connection.execute(due).first()
            if row is None:
                return None
            alert = connection.execute(select(alerts).where(alerts.c.id == row.alert_id)).one()
            made = Notice(_alert(alert), row.event, row.channel, row.attempts + 1)
            _set(connection, made, due_at=at + lease, attempts=made.attempts)
            return made

        return self._ledger.transact(work, writes=True)

    def end(self, notice: Notice, error: str | None = None) -> None:
        """Mark a notice as sent or, with an error, as given up."""
        at = self._now()
        self._ledger.transact(
            lambda c: _set(c, notice, due_at=None, ended_at=at, error=error), writes=True
        )

    def postpone(self, notice: Notice, seconds: float, error: str) -> None:
        """Schedule the next attempt of a notice that could not be sent."""
        due_at = self._now() + timedelta(seconds=seconds)
        self._ledger.transact(lambda c: _set(c, notice, due_at=due_at, error=error), writes=True)


def _set(connection: Connection, notice: Notice, **values: Any) -> None:
    n = alert_notices.c
    where = (
        (n.alert_id == notice.alert.id) & (n.event == notice.event) & (n.channel == notice.channel)
    )
    connection.execute(update(alert_notices).where(where).values(**values))


def _json(judged: Judgement) -> str:
    return json.dumps(asdict(judged), sort_keys=True)


def _judgement(body: str) -> Judgement:
    given = json.loads(body)
    signal = Signal(**given.pop("signal"))
    return Judgement(**{**given, "signal": signal, "state": State(given["state"])})


def _alert(row: Any, resolved_at: datetime | None = None, last: Judgement | None = None) -> Alert:
    ended = resolved_at or row.resolved_at
    return Alert(
        row.id,
        Signal(row.kind, row.name),
        row.opened_at.isoformat(),
        None if ended is None else ended.isoformat(),
        _judgement(row.opened),
        last or (None if row.last is None else _judgement(row.last)),
    )
