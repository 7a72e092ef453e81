"""Limits how much one reporter sends: a bucket of tokens for each, in the ledger.

A reporter over their limit is refused before anything is written, and while the refusal holds
without a query: 100,000 reports of one reporter cost nobody else.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, insert, select, update

from quorum.core.messages import digest
from quorum.store.ledger.reports_schema import reporters
from quorum.store.ledger.statements import lock_name
from quorum.store.reports.values import Reporter, ReportLimits, Track

__all__ = ["Refused", "ReporterRefused", "Throttle", "reporter_id"]

#: Reporters whose refusal is remembered.
_REMEMBERED: Final = 10_000


class ReporterRefused(Exception):
    """A reporter is over their limit, or suspended; nothing was written.

    Attributes:
        seconds: When the next report is taken.
    """

    def __init__(self, seconds: int, why: str) -> None:
        super().__init__(why)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Refused:
    """Until when a reporter is refused, and why."""

    until: datetime
    why: str

    def error(self, at: datetime) -> ReporterRefused:
        """The refusal, as it is told at a time."""
        return ReporterRefused(max(1, int((self.until - at).total_seconds()) + 1), self.why)


def reporter_id(reporter: Reporter) -> str:
    """The id of a reporter in the ledger."""
    return digest("reporter", reporter.kind, reporter.client or "", reporter.name)[:64]


class Throttle:
    """Admits reporters within their limits.

    Args:
        limits: How many reports of one reporter are taken.
    """

    def __init__(self, limits: ReportLimits) -> None:
        self._limits = limits
        #: By reporter; the oldest are dropped first.
        self._refused: OrderedDict[str, Refused] = OrderedDict()

    def check(self, name: str, at: datetime) -> None:
        """Refuse a reporter of whom it is known that they are over their limit.

        Raises:
            ReporterRefused: If so.
        """
        known = self._refused.get(name)
        if known is not None and known.until > at:
            raise known.error(at)

    def remember(self, name: str, refused: Refused) -> None:
        """Refuse a reporter without a query until their next report is taken."""
        self._refused[name] = refused
        self._refused.move_to_end(name)
        while len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)

    def admit(
        self, connection: Connection, reporter: Reporter, name: str, at: datetime
    ) -> Track | Refused:
        """The reporter's track record, after a token was taken; or why they are refused."""
        lock_name(connection, name)
        most = getattr(self._limits, reporter.kind)
        row = connection.execute(select(reporters).where(reporters.c.id == name)).first()
        if row is None:
            connection.execute(
                insert(reporters).values(
                    id=name,
                    kind=reporter.kind,
                    client=reporter.client,
                    name=reporter.name,
                    sent=1,
                    upheld=0,
                    rejected=0,
                    first_at=at,
                    last_at=at,
                    tokens=most - 1,
                    tokens_at=at,
                )
            )
            return Track()
        if row.suspended_until is not None and row.suspended_until > at:
            why = "reports of this reporter are suspended (DSA Article 23)"
            return Refused(row.suspended_until, why)
        passed = max(0.0, (at - row.tokens_at).total_seconds())
        tokens = min(float(most), row.tokens + passed * most / 3600)
        if tokens < 1:
            wait = timedelta(seconds=(1 - tokens) * 3600 / most)
            return Refused(at + wait, f"more than {most:,} reports an hour by one reporter")
        connection.execute(
            update(reporters)
            .where(reporters.c.id == name)
            .values(tokens=tokens - 1, tokens_at=at, last_at=at, sent=reporters.c.sent + 1)
        )
        return Track(row.upheld, row.rejected)
