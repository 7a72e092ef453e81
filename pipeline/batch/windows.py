"""Windows of time that a batch moderates one after the other. Imports no Beam."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from quorum.store.ledger import TimeRange

__all__ = ["Window", "windows"]


class Window(StrEnum):
    """Lengths of a window, in UTC."""

    HOURLY = "hourly"
    DAILY = "daily"
    MONTHLY = "monthly"


def _floor(window: Window, at: datetime) -> datetime:
    at = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if window is Window.HOURLY:
        return at
    at = at.replace(hour=0)
    return at if window is Window.DAILY else at.replace(day=1)


def _next(window: Window, start: datetime) -> datetime:
    if window is Window.HOURLY:
        return start + timedelta(hours=1)
    if window is Window.DAILY:
        return start + timedelta(days=1)
    return (start + timedelta(days=32)).replace(day=1)


def windows(window: Window, since: datetime | None, until: datetime) -> list[TimeRange]:
    """List the whole windows of a range, oldest first.

    Without ``since``, it is the last one before ``until`` alone. A window that is not over by
    ``until`` is left out: not all of its uploads are there yet.
    """
    end = _floor(window, until)
    if since is None:
        start = _floor(window, end - timedelta(microseconds=1))
    else:
        start = _floor(window, since)
    found = []
    while start < end:
        after = _next(window, start)
        found.append(TimeRange(start, after))
        start = after
    return found
