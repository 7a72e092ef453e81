"""Verdicts over time: each revision at the time it was made, and each harm now and before."""

from __future__ import annotations

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, cast, extract, func, select

from quorum.core.intervals import difference, wilson
from quorum.core.messages import Action, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.counting import GRAIN, VerdictCount, count_verdicts
from quorum.store.ledger.schema import verdicts

__all__ = ["DEFAULT_WINDOW", "WINDOWS", "HarmRate", "Trend", "TrendCache"]

#: By the name in the page's address.
WINDOWS: Final[Mapping[str, timedelta]] = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
DEFAULT_WINDOW: Final = "24h"
BUCKETS: Final = 36
#: The newest verdicts whose latency is read.
_LATENCIES: Final = 5000
_SECONDS: Final = 5.0
#: A long window of a large ledger is counted anew less often: at most this share of the time.
_SHARE: Final = 0.05
_IDLE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class HarmRate:
    """How often first verdicts named a harm, in a window and in the one before.

    Attributes:
        category: The harm.
        count: The first verdicts in the window that restrict, hold or remove for it.
        total: All first verdicts in the window.
        low: The lower end of the 95 % interval of the share.
        high: The upper end.
        before: ``count`` of the window before.
        total_before: ``total`` of the window before.
        change: ``more``, ``less`` or ``no clear change``.
    """

    category: str
    count: int
    total: int
    low: float
    high: float
    before: int
    total_before: int
    change: str

    @property
    def share(self) -> float:
        """The share in the window."""
        return self.count / self.total if self.total else 0.0

    @property
    def share_before(self) -> float:
        """The share in the window before."""
        return self.before / self.total_before if self.total_before else 0.0


@dataclass(frozen=True, slots=True)
class Trend:
    """The verdicts of a window.

    Attributes:
        times: The start of each bucket.
        width: How long a bucket is.
        by_action: For each action, the number of verdicts made in each bucket.
        median: The median latency in seconds by bucket, without reviewers' verdicts; None where
            there is none.
        harms: The harms, those first that are surely most frequent.
        categories: The categories to choose from.
    """

    times: tuple[datetime, ...]
    width: timedelta
    by_action: Mapping[str, tuple[int, ...]]
    median: tuple[float | None, ...]
    harms: tuple[HarmRate, ...]
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Counted:
    """What was read of one window: counts by bucket, and latencies."""

    start: datetime
    width: int
    counts: Sequence[VerdictCount]
    latencies: Sequence[Any]


class TrendCache:
    """Keeps the counts of the windows that somebody looks at.

    Args:
        ledger: The ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._known: dict[str, _Counted] = {}
        #: By window: when it was counted, how long that took, and when it was asked for.
        self._counted: dict[str, tuple[float, float]] = {}
        self._asked: dict[str, float] = {}

    def trend(self, window: str, category: str | None = None) -> Trend:
        """Return the verdicts of a window; all categories, or one.

        Args:
            window: A key of ``WINDOWS``.
            category: Only verdicts of this category; None for all.
        """
        at = time.monotonic()
        idle = at - self._asked.get(window, float("-inf")) > _IDLE_SECONDS
        self._asked[window] = at
        if idle or window not in self._known:
            self._count(window)
        return _trend(self._known[window], category)

    def refresh(self) -> None:
        """Count anew what is due and still looked at."""
        at = time.monotonic()
        for window, asked in list(self._asked.items()):
            counted, cost = self._counted.get(window, (float("-inf"), 0.0))
            if at - asked <= _IDLE_SECONDS and at - counted > max(_SECONDS, cost / _SHARE):
                self._count(window)

    def _count(self, window: str) -> None:
        with self._lock:
            begun = time.monotonic()
            self._known[window] = self._ledger.transact(
                lambda connection: _read(connection, WINDOWS[window])
            )
            ended = time.monotonic()
            self._counted[window] = (ended, ended - begun)


def _read(connection: Connection, window: timedelta) -> _Counted:
    v = verdicts.c
    width = int(window.total_seconds()) // BUCKETS
    # Databases count whole seconds, and keep their counts by the grain: the bucket of now begins
    # at most a grain before now, and ends after it.
    grain = 1 if width % GRAIN else GRAIN
    end = now().replace(microsecond=0)
    end += timedelta(seconds=-int(end.timestamp()) % grain)
    start = end - BUCKETS * timedelta(seconds=width)
    before = start - BUCKETS * timedelta(seconds=width)
    counts = (
        _each(connection, before, width)
        if grain == 1
        else count_verdicts(connection, before, width)
    )
    latencies = (
        select(v.at, v.latency, v.category)
        .where(v.at >= start, v.decided_by != "reviewer")
        .order_by(v.at.desc())
        .limit(_LATENCIES)
    )
    return _Counted(start, width, counts, connection.execute(latencies).all())


def _each(connection: Connection, since: datetime, width: int) -> list[VerdictCount]:
    """Count the verdicts one by one, for buckets that are shorter than the grain."""
    v = verdicts.c
    begin = int(since.timestamp())
    bucket = ((cast(extract("epoch", v.at), BigInteger) - begin) // width).label("bucket")
    first = (v.revision == 1).label("first")
    query = (
        select(bucket, v.action, v.category, first, func.count())
        .where(v.at >= since)
        .group_by(bucket, v.action, v.category, first)
    )
    return [VerdictCount(*row) for row in connection.execute(query)]


def _trend(counted: _Counted, category: str | None) -> Trend:
    series = {action.value: [0] * BUCKETS for action in Action}
    harms: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    totals = [0, 0]
    categories = set()
    for bucket, action, named, first, count in counted.counts:
        # A verdict whose clock is ahead belongs to now.
        place = min(int(bucket), 2 * BUCKETS - 1) - BUCKETS
        earlier = place < 0
        if named:
            categories.add(named)
        if first:
            totals[earlier] += count
            if named and action != Action.ALLOW.value:
                harms[named][earlier] += count
        if not earlier and category in (None, named):
            series[action][place] += count
    latencies: dict[int, list[float]] = defaultdict(list)
    for row in counted.latencies:
        if category in (None, row.category):
            place = int((row.at - counted.start).total_seconds()) // counted.width
            latencies[min(place, BUCKETS - 1)].append(row.latency)
    width = timedelta(seconds=counted.width)
    rates = [_rate(name, found, totals) for name, found in harms.items()]
    return Trend(
        times=tuple(counted.start + width * n for n in range(BUCKETS)),
        width=width,
        by_action={name: tuple(values) for name, values in series.items()},
        median=tuple(
            statistics.median(latencies[n]) if n in latencies else None for n in range(BUCKETS)
        ),
        harms=tuple(sorted(rates, key=lambda one: (-one.low, -one.count, one.category))),
        categories=tuple(sorted(categories)),
    )


def _rate(category: str, counts: Sequence[int], totals: Sequence[int]) -> HarmRate:
    low, high = wilson(counts[0], totals[0])
    least, most = difference(counts[0], totals[0], counts[1], totals[1])
    change = "more" if least > 0 else "less" if most < 0 else "no clear change"
    return HarmRate(category, counts[0], totals[0], low, high, counts[1], totals[1], change)
